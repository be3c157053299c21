"""Recording of SLA breaches: each late response once. Promises are settled in their own package."""

from sqlalchemy import select

from services.appeals.lifecycle.timeline import AppealRecorder, event_snapshot
from services.appeals.sla import clocks
from services.appeals.sla.breaches import late_response_condition
from services.appeals.sla.sla_context import SlaContext
from shared import clock
from shared.contracts.appeal_events import AppealOverdue
from shared.database.sessions import WriteSession
from shared.tables.appeals import Appeal

BREACH_BATCH = 500


async def record_breaches(session: WriteSession) -> int:
    """Record the next appeals whose response became late; returns how many."""
    late = list(
        await session.scalars(
            select(Appeal)
            .where(late_response_condition(clock.now()), Appeal.overdue_recorded_at.is_(None))
            .order_by(Appeal.id)
            .limit(BREACH_BATCH)
            .with_for_update(skip_locked=True)
        )
    )
    if not late:
        return 0
    sla = await SlaContext.load(session, {appeal.organisation_id for appeal in late}, selects_policies=False)
    recorder = AppealRecorder()
    for appeal in late:
        record_overdue(appeal, recorder, deadline=clocks.awaited_response_text(appeal, sla))
    await recorder.write(session)
    return len(late)


def record_overdue(appeal: Appeal, recorder: AppealRecorder, *, deadline: str | None) -> None:
    """Record that a locked appeal is late now: timeline entry and event."""
    appeal.overdue_recorded_at = clock.now()
    recorder.add_timeline_entry(appeal, "overdue", deadline=deadline)
    recorder.add_event(AppealOverdue(**event_snapshot(appeal), promised_at=appeal.promised_at))
