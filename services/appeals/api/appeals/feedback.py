"""Route that corrects the classification of a citizen's feedback on a final answer."""

from uuid import UUID

from fastapi import APIRouter, Response

from services.appeals.api.dependencies import WRITE_PROBLEMS, Moderator
from services.appeals.api.presenters.appeals import appeal_detail
from services.appeals.feedback import feedback_corrections
from services.appeals.lifecycle import appeal_queries
from services.appeals.schemas.appeals.appeals import AppealOut
from services.appeals.schemas.appeals.feedback import FeedbackIn
from shared.api.preconditions import RequiredVersion, set_etag
from shared.http import problems
from shared.http.problems import NotFound, PreconditionFailed, PreconditionRequired
from shared.service import WriteTransaction

router = APIRouter(prefix="/appeals/{appeal_id}", tags=["appeals"])


@router.put(
    "/feedback/{feedback_id}",
    responses=problems.responses(*WRITE_PROBLEMS, NotFound, PreconditionFailed, PreconditionRequired),
    summary="Correct how a citizen's words about an answer were read",
)
async def correct_feedback(
    *,
    session: WriteTransaction,
    caller: Moderator,
    appeal_id: UUID,
    feedback_id: UUID,
    body: FeedbackIn,
    version: RequiredVersion,
    response: Response,
) -> AppealOut:
    """Correct whether the citizen is satisfied with the last final answer, with a reason that the timeline keeps.
    Needs `appeals:triage`: the organisation that answered must not judge its own answer.

    `not_solved` reopens the appeal, and its clock continues from its original start. An appeal that was reopened
    by mistake becomes `answered` again, unless somebody has begun to work on it. `If-Match` is the version of the
    appeal. 409 for feedback on an earlier or a withdrawn answer.
    """
    appeal = await appeal_queries.lock(session, caller, appeal_id)
    await appeal_queries.check_version(session, appeal, version)
    await feedback_corrections.correct_feedback(session, appeal, feedback_id, body.correction(), caller)
    detail = await appeal_detail(session, caller, appeal_id, scoped=False)
    set_etag(response, detail.version)
    return detail
