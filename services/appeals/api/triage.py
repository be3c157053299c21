"""Routes of judgements: what was judged of messages, and people's decisions about them."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Response

from services.appeals.api.appeals import READ, WRITE, Moderator
from services.appeals.api.presenters import classifications
from services.appeals.api.presenters.appeals import item
from services.appeals.classification import classification_queries
from services.appeals.classification.classification_queries import Filter
from services.appeals.classification.types import Language, NeedsAnswer
from services.appeals.lifecycle import appeal_queries
from services.appeals.moderation import decisions
from services.appeals.schemas import appeals
from services.appeals.schemas.types import Line, Moment
from shared.api.pagination import Page, PagingDep
from shared.api.preconditions import OptionalVersion, set_etag
from shared.auth.callers import Caller, allowed
from shared.auth.rights import Right
from shared.database.sessions import uncrossed
from shared.http import problems
from shared.http.problems import DecidedByAnother, NotFound, PreconditionFailed, Unavailable
from shared.service import Reading, Writing

router = APIRouter()

Understander = Annotated[Caller, allowed(Right.UNDERSTANDING_READ)]


@router.get(
    "/triage", tags=["messages"], responses=problems.responses(*READ), summary="What was judged of messages"
)
async def list_judgements(
    *,
    session: Reading,
    caller: Understander,
    paging: PagingDep,
    response: Response,
    needs_answer: Annotated[NeedsAnswer | None, Query(description="`no` opened no case")] = None,
    language: Language | None = None,
    urgency: Literal["normal", "high"] | None = None,
    judged_by: Annotated[
        Line | None,
        Query(description="`machine`, `person`, or exactly, as `triage.judged_by` shows it", examples=["machine"]),
    ] = None,
    topic_id: Annotated[UUID | None, Query(description="A topic; a group takes all its topics")] = None,
    page_id: UUID | None = None,
    organisation_id: Annotated[UUID | None, Query(description="Whose page it is")] = None,
    judged_from: Annotated[Moment | None, Query(description="First judged from, included")] = None,
    judged_to: Annotated[Moment | None, Query(description="Up to, not including")] = None,
) -> Page[appeals.JudgedOut]:
    """Each message that was judged, by when it was judged first, newest first. With `needs_answer=no` and
    `judged_by=machine`: what a machine let lie and nobody has looked at yet.

    Personal data is masked in `text` and `triage.why`.
    """
    wanted = Filter(
        needs_answer=needs_answer, language=language, urgency=urgency, judged_by=judged_by, topic_id=topic_id,
        page_id=page_id, organisation_id=organisation_id, judged_from=judged_from, judged_to=judged_to,
    )  # fmt: skip
    rows, cursor = paging.page(
        await classification_queries.find(session, caller, wanted, paging),
        lambda row: (row.Triage.created_at, row.Triage.message_id),
        response,
    )
    return Page(items=await classifications.present(session, rows), next_cursor=cursor)


@router.post(
    "/messages/{message_id}/triage",
    tags=["messages"],
    responses=problems.responses(*WRITE, NotFound, DecidedByAnother, PreconditionFailed, Unavailable),
    summary="Confirm or correct what was judged of a message",
)
async def triage(
    *,
    session: Writing,
    caller: Moderator,
    message_id: UUID,
    body: appeals.TriageIn,
    seen: OptionalVersion,
    response: Response,
) -> appeals.Decision:
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
    wishes, needs_answer = body.wishes(), body.needs_answer
    decided = await uncrossed(
        session,
        lambda: decisions.decide(session, caller, message_id, wishes, needs_answer=needs_answer, seen=seen),
    )
    set_etag(response, decided.judged.version)
    return await classifications.decision(session, decided)


@router.post(
    "/appeals/{appeal_id}/triage",
    tags=["appeals"],
    responses=problems.responses(*WRITE, NotFound, DecidedByAnother, PreconditionFailed),
    summary="Set class, place, urgency and owner of a case without messages",
)
async def classify(
    *,
    session: Writing,
    caller: Moderator,
    appeal_id: UUID,
    body: appeals.ClassIn,
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
    await decisions.classify(session, caller, appeal, body.wishes(), seen=seen)
    found = await item(session, caller, appeal.id)
    set_etag(response, found.version)
    return found
