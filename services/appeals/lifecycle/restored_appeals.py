"""Restoring of appeals whose last change is undone: records of the change, and the former assignee."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.assignees.directory import load_staff
from services.appeals.assignees.selection import owner_of_next_step
from services.appeals.lifecycle import transitions
from services.appeals.lifecycle.timeline import AppealRecorder, event_snapshot
from services.appeals.sla.sla_context import SlaContext
from shared.auth.callers import Caller
from shared.contracts.appeal_events import AppealMoved
from shared.database.sessions import WriteSession
from shared.tables.appeals import Appeal


async def record_restored(
    session: WriteSession,
    appeal: Appeal,
    caller: Caller,
    sla: SlaContext,
    recorder: AppealRecorder,
    *,
    lost_by: UUID | None,
    status: str,
    assignee_id: UUID | None,
    reason: str,
    undone_since: datetime | None,
) -> None:
    """Record that a locked appeal has its former organisation and status again, and restore its former assignee.
    `lost_by` and `status` are the organisation and the status before the undo; `undone_since` is the moment of the
    undone change, None if it was not stored.
    """
    if appeal.organisation_id is not None and appeal.organisation_id != lost_by:
        transitions.record_assigned(recorder, appeal, sla, caller.actor)
        recorder.queue_incident_replies(appeal)
    payload: dict[str, Any] = {"from": status, "to": appeal.status, "reason": reason}
    if undone_since is not None:
        payload["undone_since"] = undone_since.isoformat()
    recorder.add_timeline_entry(appeal, "moved", caller.actor, **payload)
    moved = AppealMoved(**event_snapshot(appeal), from_status=status, to_status=appeal.status, reason=reason)
    recorder.add_event(moved, caller.actor)
    transitions.record_unassigned(recorder, appeal, lost_by, status, caller.actor, reason=reason)
    if not await _may_work(session, appeal, assignee_id):
        recorder.queue_assignee_choice(appeal)
    elif appeal.assignee_id != assignee_id:
        recorder.change_assignee(appeal, assignee_id, caller.actor, reason=reason)
    await recorder.choose_assignees(session)
    await session.flush()
    await recorder.write(session)


async def _may_work(session: AsyncSession, appeal: Appeal, person_id: UUID | None) -> bool:
    """Return whether the former assignee may work on the appeal again; true if it was unassigned."""
    if person_id is None:
        return True
    # Not flushed, so that the move and its assignee make one version of the appeal.
    with session.no_autoflush:
        staff = await load_staff(session, [person_id])
    return person_id in staff and staff[person_id].may_work_for(owner_of_next_step(appeal))
