"""The route of the model in force."""

from fastapi import APIRouter

from services.appeals.api.appeals import READ
from services.appeals.api.triage import Understander
from services.appeals.classification.classifier_pool import ReadingAwayError, judging
from services.appeals.schemas import appeals
from services.appeals.settings import settings
from shared.http import problems
from shared.http.problems import Unavailable

router = APIRouter()


@router.get(
    "/understanding",
    tags=["messages"],
    responses=problems.responses(*READ, Unavailable),
    summary="What judges messages",
)
async def get_understanding(_caller: Understander) -> appeals.UnderstandingOut:
    """The model in force as it was loaded when the service started, with the data cards of its parts: what they
    learnt from, how well they do on what they have not seen, where their thresholds are.
    """
    try:
        found = await judging().in_force()
    except ReadingAwayError as error:
        raise Unavailable("No text can be read for now; the service's log says why") from error
    return appeals.UnderstandingOut(
        understanding=settings().understanding,
        judged_by=found.name,
        built_in=dict(found.built_in) if found.built_in is not None else None,
        taught=dict(found.taught) if found.taught is not None else None,
        foreign_labels=found.foreign_labels or None,
    )
