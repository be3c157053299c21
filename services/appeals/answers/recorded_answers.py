"""Recorded answers, given by phone, in person or in writing, to appeals without a thread."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.answers.published_replies import record_published_reply
from services.appeals.lifecycle.timeline import AppealRecorder
from services.appeals.lifecycle.workflow import FINAL_STATUSES, allowed_moves
from services.appeals.promises.promise_lifecycle import apply_reply_to_promises
from services.appeals.replies.mark_question import check_outcome
from services.appeals.replies.new_reply import NewReply
from services.appeals.replies.repeated_texts import without_whitespace
from services.appeals.replies.submission import check_promise
from services.appeals.routing.context import RoutingContext
from services.appeals.sla.clocks import awaiting_since
from shared import clock
from shared.auth.callers import Caller
from shared.auth.rights import Right
from shared.contracts.values import AnswerChannel, ReplyKind
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict, Duplicate, Invalid
from shared.ids import new_id
from shared.tables.appeals import Appeal, AppealMessage
from shared.tables.appeals_replies import Reply

RECORDED = "recorded"


@dataclass(frozen=True)
class NewRecordedAnswer:
    """An answer that was given outside the networks."""

    channel: AnswerChannel
    text: str
    answered_at: datetime
    kind: ReplyKind
    promised_at: datetime | None
    outcome: str | None = None
    answered_by: str | None = None


async def record_answer(
    session: WriteSession,
    appeal: Appeal,
    new: NewRecordedAnswer,
    caller: Caller,
    *,
    allow_duplicate: bool = False,
) -> Reply:
    """Store an answer to a locked appeal as a published reply, which stops the clock at the moment when it was
    given. Raises `Conflict` if the appeal takes no answer now, or has a thread in a network; `Duplicate` naming
    the first answer if the same answer is already recorded, unless the caller repeats it on purpose; `Invalid`
    naming the field.
    """
    if appeal.status in FINAL_STATUSES or appeal.status == "triage":
        raise Conflict(
            f"An appeal in status «{appeal.status}» cannot be answered",
            allowed_moves=allowed_moves(
                appeal.status, caller.role, may_triage=caller.token_includes(Right.APPEALS_TRIAGE)
            ),
        )
    if await has_thread(session, appeal):
        raise Conflict("The citizen wrote in a network: reply in the thread, with POST …/replies")
    written = NewReply(new.text, new.kind, new.promised_at, None, outcome=new.outcome)
    check_promise(written)
    check_outcome(written)
    _check_time(appeal, new.answered_at)
    if not allow_duplicate:
        await _require_new(session, appeal, new)
    now = clock.now()
    reply = Reply(
        id=new_id(), appeal_id=appeal.id, origin=RECORDED, kind=new.kind, text=new.text, status="published",
        author=caller.actor, promised_at=new.promised_at, published_at=new.answered_at, channel=new.channel,
        answered_by=new.answered_by, outcome=new.outcome,
        created_at=now, updated_at=now,
    )  # fmt: skip
    session.add(reply)
    organisations = {appeal.organisation_id} if appeal.organisation_id is not None else set()
    routing_context = await RoutingContext.load(session, (), organisations)
    appeal.updated_at = now
    recorder = AppealRecorder()
    record_published_reply(appeal, reply, new.answered_at, routing_context, recorder, actor=caller.actor)
    await apply_reply_to_promises(session, appeal, reply, recorder)
    await recorder.write(session)
    return reply


async def has_thread(session: AsyncSession, appeal: Appeal) -> bool:
    """Return whether the citizen wrote in a network, where replies are published."""
    return bool(await session.scalar(select(exists().where(AppealMessage.appeal_id == appeal.id))))


def _check_time(appeal: Appeal, answered_at: datetime) -> None:
    if answered_at > clock.now():
        raise Invalid.field(
            "/answered_at", "The time of the answer must not be in the future: record an answer after it was given"
        )
    earliest = max(appeal.opened_at, awaiting_since(appeal))
    if answered_at < earliest:
        detail = (
            f"The time of the answer must not be before the appeal was opened or reopened ({earliest.isoformat()})"
        )
        raise Invalid.field("/answered_at", detail)


async def _require_new(session: AsyncSession, appeal: Appeal, new: NewRecordedAnswer) -> None:
    recorded = await session.scalars(
        select(Reply).where(
            Reply.appeal_id == appeal.id, Reply.origin == RECORDED, Reply.published_at == new.answered_at
        )
    )
    for reply in recorded:
        if without_whitespace(reply.text) == without_whitespace(new.text):
            raise Duplicate("This answer is already recorded", reply={"id": str(reply.id), "status": reply.status})
