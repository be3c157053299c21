"""Pausing and resuming of the clocks of an appeal by a person, with a reason."""

from services.appeals.lifecycle.timeline import AppealRecorder, event_snapshot
from services.appeals.lifecycle.workflow import FINAL_STATUSES
from services.appeals.sla import clocks
from services.appeals.sla.sla_context import SlaContext
from shared import clock
from shared.auth.callers import Caller
from shared.contracts.appeal_events import AppealClockPaused, AppealClockResumed
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict
from shared.tables.appeals import Appeal


async def pause_clocks(session: WriteSession, caller: Caller, appeal: Appeal, reason: str) -> SlaContext:
    """Pause the running clocks of a locked appeal; return the SLA context in which they count. Raises `Conflict`
    if no clock is running, or the appeal has ended.
    """
    sla = await SlaContext.load(session, {appeal.organisation_id}, selects_policies=False)
    has_ended = appeal.status in FINAL_STATUSES
    if has_ended or not clocks.pause_clocks(appeal, sla, caller.actor, reason):
        raise Conflict("No clock of the appeal is running: its clocks are already paused, or no answer is awaited")
    recorder = AppealRecorder()
    recorder.add_timeline_entry(appeal, "clock_paused", caller.actor, reason=reason)
    appeal.updated_at = clock.now()
    recorder.add_event(AppealClockPaused(**event_snapshot(appeal), reason=reason), caller.actor)
    await recorder.write(session)
    return sla


async def resume_clocks(session: WriteSession, caller: Caller, appeal: Appeal, reason: str | None) -> SlaContext:
    """Resume the paused clocks of a locked appeal; return the SLA context in which they count. Raises `Conflict`
    if none is paused.
    """
    sla = await SlaContext.load(session, {appeal.organisation_id}, selects_policies=False)
    if not clocks.resume_clocks(appeal, sla, caller.actor, reason):
        raise Conflict("No clock of the appeal is paused")
    recorder = AppealRecorder()
    appeal.updated_at = clock.now()
    record_resumed(appeal, sla, recorder, caller.actor, reason)
    await recorder.write(session)
    return sla


def record_resumed(
    appeal: Appeal, sla: SlaContext, recorder: AppealRecorder, actor: str, reason: str | None
) -> None:
    """Record that the pause of a locked appeal ended, with a timeline entry and an event."""
    recorder.add_timeline_entry(
        appeal, "clock_resumed", actor, reason=reason, deadline=clocks.awaited_response_text(appeal, sla)
    )
    recorder.add_event(AppealClockResumed(**event_snapshot(appeal), reason=reason), actor)
