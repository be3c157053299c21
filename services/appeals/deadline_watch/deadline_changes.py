"""The event about a deadline that moved, for changes that no other event of the appeal reports."""

from datetime import datetime

from services.appeals.actors import SYSTEM_ACTOR
from services.appeals.lifecycle.timeline import AppealRecorder, event_snapshot
from services.appeals.sla import clocks
from services.appeals.sla.sla_context import SlaContext
from shared.contracts.appeal_events import AppealDeadlineChanged
from shared.tables.appeals import Appeal

DueDates = tuple[datetime | None, ...]


def due_dates(appeal: Appeal) -> DueDates:
    """Return the deadlines of the appeal that events contain."""
    return appeal.first_response_due_at, appeal.next_response_due_at, appeal.resolution_due_at


def record_changed_deadline(
    recorder: AppealRecorder, appeal: Appeal, before: DueDates, sla: SlaContext, actor: str = SYSTEM_ACTOR
) -> bool:
    """Add `appeal.deadline_changed` with a timeline entry if a deadline of the locked appeal differs from
    `before`; return whether one does.
    """
    if due_dates(appeal) == before:
        return False
    text = clocks.awaited_response_text(appeal, sla)
    recorder.add_timeline_entry(appeal, "deadline_changed", actor, deadline=text)
    recorder.add_event(AppealDeadlineChanged(**event_snapshot(appeal)), actor)
    return True
