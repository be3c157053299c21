"""Routes of judgements: what was judged of messages, and people's decisions about them."""

from uuid import UUID

from fastapi import APIRouter, Response

from services.appeals.api.dependencies import WRITE_PROBLEMS, Moderator
from services.appeals.api.presenters import classifications
from services.appeals.api.presenters.appeals import appeal_detail
from services.appeals.lifecycle import appeal_queries
from services.appeals.moderation import decisions
from services.appeals.schemas import appeals
from services.appeals.schemas.classifications import ClassificationIn, TriageIn, TriageResult
from shared.api.preconditions import OptionalVersion, set_etag
from shared.database.sessions import uncrossed
from shared.http import problems
from shared.http.problems import DecidedByAnother, NotFound, PreconditionFailed, Unavailable
from shared.service import Writing

router = APIRouter()


@router.post(
    "/messages/{message_id}/triage",
    tags=["messages"],
    responses=problems.responses(*WRITE_PROBLEMS, NotFound, DecidedByAnother, PreconditionFailed, Unavailable),
    summary="Confirm or correct what was judged of a message",
)
async def triage(
    *,
    session: Writing,
    caller: Moderator,
    message_id: UUID,
    body: TriageIn,
    seen: OptionalVersion,
    response: Response,
) -> TriageResult:
    """One call confirms or corrects what was judged: need, class, place, urgency and owner, of the message and its
    case. `{"needs_answer": true, "confirm": true}` says that all is right as it is.

    Yes opens a case, joins the open one of that thread and author, or starts the clock of one that waited for a
    decision. A corrected class or place routes a case anew that nobody has begun and no person placed. No ends a
    case that nobody has begun and no other message of it needs. The decision takes precedence over the rule's.

    `If-Match` names the `version` of the judgement that you saw (`triage.version`, 0 where there is none): 412
    names the version that it has now and the `decision` of whoever was first. Without `If-Match`, a decision that
    says otherwise than another person's, or that confirms what they have changed, is a 409 (`decided-by-another`)
    naming theirs; one that only adds to it is taken.
    """
    corrections, needs_answer = body.corrections(), body.needs_answer
    decided = await uncrossed(
        session,
        lambda: decisions.decide_message(
            session, caller, message_id, corrections, needs_answer=needs_answer, seen=seen
        ),
    )
    set_etag(response, decided.classification.version)
    return await classifications.triage_result(session, decided)


@router.post(
    "/appeals/{appeal_id}/triage",
    tags=["appeals"],
    responses=problems.responses(*WRITE_PROBLEMS, NotFound, DecidedByAnother, PreconditionFailed),
    summary="Set class, place, urgency and owner of a case without messages",
)
async def classify(
    *,
    session: Writing,
    caller: Moderator,
    appeal_id: UUID,
    body: ClassificationIn,
    seen: OptionalVersion,
    response: Response,
) -> appeals.AppealOut:
    """For a case opened by hand from words that came another way. One that holds a citizen's messages is a 409: a
    decision is about a message then, and `message_id` of the problem names the first.

    As with messages, a corrected class or place routes a case anew that nobody has begun and no person placed.

    With `If-Match` the appeal must be in the version that you saw: else 412 with its `version` and `last_change`.
    Without, what another person has set is not replaced: 409 (`decided-by-another`) names their `decision`.
    """
    appeal = await appeal_queries.lock(session, caller, appeal_id)
    await appeal_queries.check_version(session, appeal, seen.version)
    await decisions.classify_appeal(session, caller, appeal, body.corrections(), seen=seen)
    found = await appeal_detail(session, caller, appeal.id)
    set_etag(response, found.version)
    return found
