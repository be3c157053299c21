"""The route by which ingest erases the texts that people wrote about answers to a citizen."""

from typing import Annotated

from fastapi import APIRouter

from services.metrics.grading.erasure import erase_grades
from shared.auth.callers import ServiceCaller, require_service
from shared.contracts.erasures import EraseGrades, GradesErased
from shared.service import UncheckedWriteTransaction

internal = APIRouter(prefix="/internal/erasures/grades", include_in_schema=False)
IngestService = Annotated[ServiceCaller, require_service("ingest")]


@internal.post("")
async def erase_texts_of_grades(
    session: UncheckedWriteTransaction, caller: IngestService, body: EraseGrades
) -> GradesErased:
    """Erase the comments, grounds and reasons that people wrote about the answers in these appeals. Idempotent."""
    return GradesErased(answers=await erase_grades(session, body.appeal_ids))
