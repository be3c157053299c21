"""Messages of the citizen that a published reply does not answer, because its author could not have seen them."""

from sqlalchemy import ColumnElement, exists, func, or_, select

from services.appeals.actors import SYSTEM_ACTOR
from services.appeals.lifecycle.route_snapshot import TriageReason, route_of
from services.appeals.lifecycle.timeline import AppealRecorder
from services.appeals.lifecycle.transitions import reopen
from services.appeals.lifecycle.waiting_messages import first_waiting, received_after, written_after
from services.appeals.lifecycle.workflow import status_after_message
from services.appeals.sla.clock_rows import unfinished
from services.appeals.sla.sla_context import SlaContext
from shared.contracts.appeal_events import AppealFeedbackCorrected, AppealMoved, ReplyQueued
from shared.database.sessions import WriteSession
from shared.tables.appeals import Appeal, AppealMessage
from shared.tables.appeals_replies import Reply
from shared.tables.common import Event


async def reopen_after_own_reply(
    session: WriteSession, appeal: Appeal, reply: Reply, sla: SlaContext, recorder: AppealRecorder
) -> None:
    """Reopen the answered appeal if a message that awaits a reply was received after the reply was submitted and
    before its publication was known.
    """
    await _reopen(session, appeal, received_after(reply), sla, recorder)


async def awaits_later_answer(session: WriteSession, appeal: Appeal, reply: Reply) -> bool:
    """Return whether the answered appeal was reopened after the reply was submitted, by a message or a person, so
    that the reply cannot be the answer that is awaited now.
    """
    awaited = unfinished(appeal, "next_response")
    if appeal.first_response_at is None or awaited is None:
        return False
    later = exists().where(AppealMessage.message_id == awaited.message_id, received_after(reply))
    return bool(await session.scalar(select(later))) or await _reopened_since(session, appeal, reply)


async def _reopened_since(session: WriteSession, appeal: Appeal, reply: Reply) -> bool:
    """Return whether a person reopened the appeal after the reply was queued for publication, also by a correction
    of the feedback in an earlier message. The database gave the order of the events while the appeal was locked.
    Neither leaving triage nor a correction while the reply is already awaited is a reopening.
    """
    queued = select(func.max(Event.write_order)).where(
        Event.subject_id == appeal.id,
        Event.type == ReplyQueued.event_type,
        Event.data["reply_id"].astext == str(reply.id),
    )
    moved = (Event.type == AppealMoved.event_type) & (Event.data["to"].astext == "reopened")
    corrected = (
        (Event.type == AppealFeedbackCorrected.event_type)
        & (Event.data["kind"].astext == "not_solved")
        & (Event.data["status"].astext == "reopened")
    )
    reopened = exists().where(
        Event.subject_id == appeal.id,
        or_(moved & (Event.data["from"].astext != "triage"), corrected),
        Event.write_order > queued.scalar_subquery(),
    )
    return bool(await session.scalar(select(reopened)))


async def reopen_after_staff_reply(
    session: WriteSession,
    appeal: Appeal,
    reply: Reply,
    sla: SlaContext,
    recorder: AppealRecorder,
) -> None:
    """Reopen the answered appeal if a message that awaits a reply was written, or edited into a question, after
    the staff reply, although we received the message first. The compared times are the network's.
    """
    await _reopen(session, appeal, written_after(reply.published_at), sla, recorder)


async def _reopen(
    session: WriteSession,
    appeal: Appeal,
    is_later: ColumnElement[bool],
    sla: SlaContext,
    recorder: AppealRecorder,
) -> None:
    if appeal.status != "answered":
        return
    if (found := await first_waiting(session, appeal, is_later)) is None:
        return
    status = status_after_message(appeal.status, found.needs_answer)
    reopen(appeal, status, sla, recorder, SYSTEM_ACTOR, message=found.message, asked_at=found.asked_at)
    if status == "triage":
        reason: TriageReason = "buryat_text" if found.language == "bxr" else "need_unclear"
        appeal.route = route_of(appeal).updated(triage_reason=reason).dump()
