"""Routes of people's decisions about messages."""

from uuid import UUID

from fastapi import APIRouter

from services.appeals import appeals, deciding, schemas
from services.appeals.api.appeals import WRITE, Moderator
from services.appeals.deciding import Wishes
from shared import problems
from shared.problems import NotFound
from shared.service import Writing

router = APIRouter(tags=["messages"])


@router.post(
    "/messages/{message_id}/triage",
    responses=problems.responses(*WRITE, NotFound),
    summary="Decide whether a message needs an answer",
)
async def triage(
    session: Writing, caller: Moderator, message_id: UUID, body: schemas.TriageIn
) -> schemas.Decision:
    """Yes opens a case, joins the open one of that thread and author, or starts the clock of one that waited for a
    decision; no ends a case that waited. The decision stands over the rule's.
    """
    wishes = Wishes(topic_id=body.topic_id, urgency=body.urgency)
    judged, appeal = await deciding.decide(session, caller, message_id, wishes, needs_answer=body.needs_answer)
    return schemas.Decision(
        message_id=message_id,
        triage=appeals.judgement(judged),
        appeal_id=appeal.id if appeal else None,
        appeal_number=appeal.number if appeal else None,
        appeal_status=appeal.status if appeal else None,
    )
