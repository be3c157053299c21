"""Routes of people's decisions about messages."""

from uuid import UUID

from fastapi import APIRouter

from services.appeals import appeals, deciding, reviewed, schemas
from services.appeals.api.appeals import WRITE, Moderator
from shared import problems
from shared.problems import NotFound
from shared.service import Writing

router = APIRouter()


@router.post(
    "/messages/{message_id}/triage",
    tags=["messages"],
    responses=problems.responses(*WRITE, NotFound),
    summary="Confirm or correct what was judged of a message",
)
async def triage(
    session: Writing, caller: Moderator, message_id: UUID, body: schemas.TriageIn
) -> schemas.Decision:
    """One call confirms or corrects what was judged: need, class, place, urgency and owner, of the message and its
    case. `{"needs_answer": true, "confirm": true}` says that all is right as it is.

    Yes opens a case, joins the open one of that thread and author, or starts the clock of one that waited for a
    decision. A corrected class or place routes a case anew that nobody has begun and no person placed. No ends a
    case that nobody has begun and no other message of it needs. The decision stands over the rule's, and over an
    earlier person's where both say something.
    """
    decided = await deciding.decide(session, caller, message_id, body.wishes(), needs_answer=body.needs_answer)
    return await reviewed.decision(session, decided)


@router.post(
    "/appeals/{appeal_id}/triage",
    tags=["appeals"],
    responses=problems.responses(*WRITE, NotFound),
    summary="Set class, place, urgency and owner of a case without messages",
)
async def classify(
    session: Writing, caller: Moderator, appeal_id: UUID, body: schemas.ClassIn
) -> schemas.AppealOut:
    """For a case opened by hand from words that came another way. One that holds a citizen's messages is a 409: a
    decision is about a message then, and `message_id` of the problem names the first.

    As with messages, a corrected class or place routes a case anew that nobody has begun and no person placed.
    """
    appeal = await appeals.lock(session, caller, appeal_id)
    await deciding.classify(session, caller, appeal, body.wishes())
    return await appeals.item(session, caller, appeal.id)
