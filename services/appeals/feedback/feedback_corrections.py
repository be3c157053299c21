"""Moderators' corrections of how citizens' feedback on final answers was classified."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.deadline_watch.deadline_changes import due_dates, record_changed_deadline
from services.appeals.feedback.feedback_reading import LOWEST_CONTENT_MARK
from services.appeals.feedback.recording import feedback_data, last_round, reopen_unsolved
from services.appeals.lifecycle.message_queries import WITHOUT_RAW_PAYLOAD
from services.appeals.lifecycle.timeline import AppealRecorder, event_snapshot
from services.appeals.lifecycle.transitions import answer_again
from services.appeals.lifecycle.waiting_messages import await_next_message
from services.appeals.routing.context import RoutingContext
from services.appeals.sla.clocks import awaits_reply_to
from shared import clock
from shared.auth.callers import Caller
from shared.contracts.appeal_events import AppealFeedbackCorrected
from shared.contracts.values import FeedbackKind
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict, Invalid, NotFound
from shared.tables.appeals import Appeal
from shared.tables.appeals_feedback import FeedbackRound
from shared.tables.appeals_replies import Reply
from shared.tables.ingest import Message


@dataclass(frozen=True)
class FeedbackCorrection:
    """The feedback as a moderator reads it; `kind` None: the citizen said nothing about the answer."""

    kind: FeedbackKind | None
    mark: int | None
    reason: str


# Built once: building the statement takes longer than executing it.
_ROUNDS = (
    select(FeedbackRound)
    .where(FeedbackRound.appeal_id == bindparam("appeal_id"))
    .order_by(FeedbackRound.created_at, FeedbackRound.id)
)


async def rounds_of(session: AsyncSession, appeal_id: UUID) -> list[FeedbackRound]:
    """Return the feedback rounds of an appeal, one per final answer, oldest first."""
    return list(await session.scalars(_ROUNDS, {"appeal_id": appeal_id}))


async def correct_feedback(
    session: WriteSession, appeal: Appeal, round_id: UUID, given: FeedbackCorrection, caller: Caller
) -> None:
    """Correct the feedback on the last final answer of a locked appeal, and record the former one in the timeline.
    Dissatisfaction reopens the appeal. An appeal that was reopened by mistake becomes answered again, unless
    somebody has begun to work on it. Raises `NotFound`, `Invalid` for a mark that contradicts the kind, `Conflict`
    for a withdrawn or an earlier answer, or if nothing changes.
    """
    row = await session.get(FeedbackRound, round_id)
    if row is None or row.appeal_id != appeal.id:
        raise NotFound("No such feedback on this appeal")
    if await _is_withdrawn(session, row):
        raise Conflict("The answer was withdrawn: feedback on it cannot be corrected")
    if row is not await last_round(session, appeal.id):
        raise Conflict("The appeal was answered again: only the feedback on its last answer can be corrected")
    _check_mark(given)
    before = feedback_data(row)
    if (row.kind, row.mark) == (given.kind, given.mark):
        raise Conflict("The feedback already has this kind and mark")
    was_unsolved = row.kind == "not_solved"
    row.kind, row.mark, row.reason, row.read_by = given.kind, given.mark, given.reason, caller.actor
    # Without feedback the round continues: thanks may still come, or silence is recorded.
    row.ended_at = None if given.kind is None else row.ended_at or clock.now()
    appeal.feedback_kind, appeal.updated_at = given.kind, clock.now()
    organisations = {appeal.organisation_id} if appeal.organisation_id is not None else set()
    context = await RoutingContext.load(session, {appeal.page_id} if appeal.page_id else (), organisations)
    recorder = AppealRecorder()
    recorder.add_timeline_entry(
        appeal, "feedback_corrected", caller.actor, **feedback_data(row), former=before["feedback"]
    )
    if given.kind == "not_solved":
        reopen_unsolved(appeal, await _message(session, row), context.sla, recorder, caller.actor)
    elif was_unsolved:
        await _answer_again(session, appeal, row, context=context, recorder=recorder, caller=caller)
    recorder.add_event(
        AppealFeedbackCorrected(
            **event_snapshot(appeal),
            reply_id=row.reply_id,
            kind=row.kind,
            mark=row.mark,
            message_id=row.message_id,
        ),
        caller.actor,
    )
    await recorder.write(session)


def _check_mark(given: FeedbackCorrection) -> None:
    if given.kind == "mark" and (given.mark is None or given.mark < LOWEST_CONTENT_MARK):
        detail = (
            f"The kind `mark` needs a mark of {LOWEST_CONTENT_MARK} or higher; for a lower mark give `not_solved`"
        )
        raise Invalid.field("/mark", detail)
    if given.kind == "not_solved" and given.mark is not None and given.mark >= LOWEST_CONTENT_MARK:
        raise Invalid.field(
            "/mark", f"A mark of {LOWEST_CONTENT_MARK} or higher is not dissatisfaction: give the kind `mark`"
        )
    if given.kind not in {"mark", "not_solved"} and given.mark is not None:
        raise Invalid.field("/mark", "Omit `mark`: only the kinds `mark` and `not_solved` have one")


async def _is_withdrawn(session: AsyncSession, row: FeedbackRound) -> bool:
    return await session.scalar(select(Reply.status).where(Reply.id == row.reply_id)) == "withdrawn"


async def _message(session: AsyncSession, row: FeedbackRound) -> Message | None:
    if row.message_id is None:
        return None
    return await session.get(Message, row.message_id, options=[WITHOUT_RAW_PAYLOAD])


async def _answer_again(
    session: WriteSession,
    appeal: Appeal,
    row: FeedbackRound,
    *,
    context: RoutingContext,
    recorder: AppealRecorder,
    caller: Caller,
) -> None:
    """Undo the reopening, unless the appeal awaits another reply or somebody works on it. If a message needs an
    answer, also the same one as an ordinary question, the appeal awaits the reply to this message.
    """
    if appeal.status != "reopened" or not awaits_reply_to(appeal, row.message_id):
        return
    before = due_dates(appeal)
    if await await_next_message(
        session,
        appeal,
        context.sla,
        recorder,
        caller.actor,
        former=row.message_id,
        former_may_ask=row.kind is None,
    ):
        record_changed_deadline(recorder, appeal, before, context.sla, caller.actor)
        return
    outcome = await session.scalar(select(Reply.outcome).where(Reply.id == row.reply_id))
    answer_again(appeal, outcome, context.sla, recorder, caller.actor, reason=row.reason)
