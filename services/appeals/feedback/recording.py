"""Recording of feedback on final answers: in the round, the appeal, its timeline and an event. Callers must have
locked the row of the appeal.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.actors import SYSTEM_ACTOR
from services.appeals.feedback.feedback_reading import READ_BY_RULE, FeedbackReading
from services.appeals.lifecycle import transitions
from services.appeals.lifecycle.timeline import AppealRecorder, event_snapshot
from services.appeals.lifecycle.workflow import is_reopened_by_dissatisfaction
from services.appeals.sla.sla_context import SlaContext
from shared import clock
from shared.contracts.appeal_events import AppealFeedbackCorrected, AppealFeedbackReceived
from shared.database.sessions import WriteSession
from shared.tables.appeals import Appeal
from shared.tables.appeals_feedback import FeedbackRound
from shared.tables.appeals_replies import Reply
from shared.tables.ingest import Message

_BATCH = 500
# Pairs of former and new feedback in which the new adds nothing, such as thanks after a mark.
_ADDS_NOTHING = {("thanks", "thanks"), ("mark", "thanks")}
# Outcomes of a closed appeal with which the organisation itself declared the matter unsolved.
_UNSOLVED_OUTCOMES = frozenset({"not_solved", "postponed"})
_REOPENED = "Гражданин пишет, что вопрос не решён"
_MOVED = "Сообщение относится к другому обращению"


def record_feedback(
    appeal: Appeal,
    row: FeedbackRound,
    reading: FeedbackReading,
    message: Message,
    *,
    sla: SlaContext,
    recorder: AppealRecorder,
) -> None:
    """Record the feedback of a message on the answer of this round. Dissatisfaction reopens the appeal."""
    if (row.kind, reading.kind) in _ADDS_NOTHING:
        return
    row.kind, row.mark, row.reason, row.read_by = reading.kind, reading.mark, reading.reason, READ_BY_RULE
    row.message_id, row.said_at = message.id, message.written_at
    row.ended_at = row.ended_at or clock.now()
    appeal.feedback_kind = row.kind
    _record_received(appeal, row, recorder)
    if row.kind == "not_solved":
        reopen_unsolved(appeal, message, sla, recorder, SYSTEM_ACTOR)


def reopen_unsolved(
    appeal: Appeal,
    message: Message | None,
    sla: SlaContext,
    recorder: AppealRecorder,
    actor: str,
) -> None:
    """Reopen an answered or closed appeal whose answer did not solve the matter; its clock continues from its
    original start. An appeal that was closed as not solved or postponed stays closed.
    """
    closed_as_unsolved = appeal.status == "closed" and appeal.outcome in _UNSOLVED_OUTCOMES
    if is_reopened_by_dissatisfaction(appeal.status) and not closed_as_unsolved:
        transitions.reopen(
            appeal,
            "reopened",
            sla,
            recorder,
            actor,
            message=message,
            reason=_REOPENED,
            not_solved=True,
        )


async def record_silence(session: WriteSession) -> int:
    """Record silence on the next answers whose time for feedback is over; return how many rounds were handled. No
    silence is recorded for an appeal that has been reopened.
    """
    now = clock.now()
    rows = await session.execute(
        select(FeedbackRound, Appeal)
        .join(Appeal, Appeal.id == FeedbackRound.appeal_id)
        .where(FeedbackRound.ended_at.is_(None), FeedbackRound.silent_after < now)
        .order_by(FeedbackRound.silent_after, FeedbackRound.id)
        .limit(_BATCH)
        # Skipped rows are locked by the handling of a message or reply, which takes precedence; the next run
        # handles rows that remain.
        .with_for_update(skip_locked=True)
    )
    recorder = AppealRecorder()
    found = rows.all()
    for row, appeal in found:
        row.ended_at = now
        if is_reopened_by_dissatisfaction(appeal.status):
            row.kind, row.read_by = "silence", READ_BY_RULE
            local = row.silent_after.astimezone(clock.REGION_TIME_ZONE)
            row.reason = f"Отзыва не было до {local:%d.%m.%Y %H:%M}"
            appeal.feedback_kind, appeal.updated_at = row.kind, now
            _record_received(appeal, row, recorder)
    await recorder.write(session)
    return len(found)


async def end_withdrawn_round(session: WriteSession, appeal: Appeal, reply_id: UUID) -> None:
    """End the round of a withdrawn final answer. Its feedback stays in the round, and the feedback on the previous
    answer counts again.
    """
    row = await session.scalar(select(FeedbackRound).where(FeedbackRound.reply_id == reply_id))
    if row is not None:
        row.ended_at = row.ended_at or clock.now()
    last = await last_round(session, appeal.id)
    appeal.feedback_kind = last.kind if last is not None else None


async def await_feedback_again(session: WriteSession, appeal: Appeal) -> None:
    """Reopen the round of the appeal's last final answer, which is current again because a later reply was
    withdrawn. The end of its time for feedback does not change. A round that has feedback stays ended.
    """
    last = await last_round(session, appeal.id)
    if last is not None and last.kind is None:
        last.ended_at = None


async def forget_word(
    session: WriteSession, appeal: Appeal, message_id: UUID, recorder: AppealRecorder, *, actor: str
) -> None:
    """Clear the feedback of a message that was moved to another appeal; the timeline keeps the former feedback."""
    row = await session.scalar(
        select(FeedbackRound).where(FeedbackRound.appeal_id == appeal.id, FeedbackRound.message_id == message_id)
    )
    if row is None:
        return
    former = row.kind
    row.kind = row.mark = row.message_id = row.said_at = row.reason = row.read_by = None
    if row is await last_round(session, appeal.id):
        appeal.feedback_kind = None
        # The round continues: feedback may still come, or silence is recorded.
        row.ended_at = None
    data = feedback_data(row) | {"reason": _MOVED}
    recorder.add_timeline_entry(appeal, "feedback_corrected", actor, **data, former=former)
    corrected = AppealFeedbackCorrected(
        **event_snapshot(appeal), reply_id=row.reply_id, kind=None, mark=None, message_id=None
    )
    recorder.add_event(corrected, actor)


async def reads_as_unsolved(session: AsyncSession, appeal: Appeal, message_id: UUID) -> bool:
    """Return whether this message is recorded as dissatisfaction with the appeal's last final answer."""
    last = await last_round(session, appeal.id)
    return last is not None and last.kind == "not_solved" and last.message_id == message_id


async def last_round(session: AsyncSession, appeal_id: UUID) -> FeedbackRound | None:
    """Return the round of the appeal's last final answer that was not withdrawn; None without one."""
    row: FeedbackRound | None = await session.scalar(
        select(FeedbackRound)
        .join(Reply, Reply.id == FeedbackRound.reply_id)
        .where(FeedbackRound.appeal_id == appeal_id, Reply.status != "withdrawn")
        .order_by(FeedbackRound.created_at.desc(), FeedbackRound.id.desc())
        .limit(1)
    )
    return row


def _record_received(appeal: Appeal, row: FeedbackRound, recorder: AppealRecorder) -> None:
    recorder.add_timeline_entry(appeal, "feedback_received", **feedback_data(row))
    recorder.add_event(
        AppealFeedbackReceived(
            **event_snapshot(appeal),
            reply_id=row.reply_id,
            kind=row.kind,
            mark=row.mark,
            message_id=row.message_id,
        )
    )


def feedback_data(row: FeedbackRound) -> dict[str, Any]:
    """Return the data of a round for a timeline entry."""
    return {
        "feedback": row.kind,
        "mark": row.mark,
        "reason": row.reason,
        "reply_id": str(row.reply_id),
        "message_id": str(row.message_id) if row.message_id is not None else None,
    }
