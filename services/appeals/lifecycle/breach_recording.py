"""Recording of SLA breaches: each appeal is recorded as overdue once per clock."""

from sqlalchemy import select

from services.appeals.lifecycle.timeline import AppealRecorder, event_snapshot
from services.appeals.sla import clocks
from services.appeals.sla.breaches import overdue_condition
from shared import clock
from shared.contracts.appeal_events import AppealOverdue
from shared.database.sessions import WriteSession
from shared.tables.appeals import Appeal

BREACH_BATCH = 500


async def record_breaches(session: WriteSession) -> int:
    """Record the next appeals that became overdue; returns how many."""
    late = list(
        await session.scalars(
            select(Appeal)
            .where(overdue_condition(clock.now()), Appeal.overdue_recorded_at.is_(None))
            .order_by(Appeal.id)
            .limit(BREACH_BATCH)
            .with_for_update(skip_locked=True)
        )
    )
    recorder = AppealRecorder()
    for appeal in late:
        appeal.overdue_recorded_at = clock.now()
        recorder.add_timeline_entry(appeal, "overdue", deadline=clocks.first_response_text(appeal))
        recorder.add_event(AppealOverdue(**event_snapshot(appeal), promised_at=appeal.promised_at))
    await recorder.write(session)
    return len(late)
