"""Recording of SLA breaches: each late response and each late final answer is recorded once. Promises are handled
in their own package.
"""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, select

from services.appeals.lifecycle.timeline import AppealRecorder, event_snapshot
from services.appeals.sla import clocks
from services.appeals.sla.breaches import (
    is_clock_of_final_answer,
    late_clocks,
    late_final_answer_condition,
    late_response_condition,
)
from services.appeals.sla.clock_rows import deadline_text, unfinished
from services.appeals.sla.sla_context import SlaContext
from shared import clock
from shared.contracts.appeal_events import AppealOverdue
from shared.contracts.values import AwaitedClock
from shared.database.sessions import WriteSession
from shared.tables.appeals import Appeal
from shared.tables.appeals_sla import SlaClock

BREACH_BATCH = 500
_RESPONSES: tuple[AwaitedClock, ...] = ("first_response", "next_response")


async def record_breaches(session: WriteSession) -> int:
    """Record the breaches of the next appeals whose response or final answer became late; return the number of
    breaches.
    """
    return await _record_late_responses(session) + await _record_late_final_answers(session)


async def _record_late_responses(session: WriteSession) -> int:
    now = clock.now()
    late = await _lock(session, [late_response_condition(now), Appeal.overdue_recorded_at.is_(None)])
    sla, recorder = await _context(session, late), AppealRecorder()
    for appeal in late:
        passed = late_clocks(appeal, now)
        kind = next(found for found in _RESPONSES if found in passed)
        text = clocks.awaited_response_text(appeal, sla)
        record_overdue(appeal, recorder, kind=kind, due_at=passed[kind], deadline=text)
    await recorder.write(session)
    return len(late)


async def _record_late_final_answers(session: WriteSession) -> int:
    unrecorded = select(SlaClock.id).where(is_clock_of_final_answer(), SlaClock.overdue_recorded_at.is_(None))
    late = await _lock(session, [late_final_answer_condition(clock.now()), unrecorded.exists()])
    sla, recorder = await _context(session, late), AppealRecorder()
    count = 0
    for appeal in late:
        row = unfinished(appeal, "final_answer")
        # The condition was checked before the lock: another worker may have recorded the breach since.
        if row is None or row.due_at is None or row.overdue_recorded_at is not None:
            continue
        row.overdue_recorded_at = clock.now()
        _record(appeal, recorder, kind="final_answer", due_at=row.due_at, deadline=deadline_text(row, sla))
        count += 1
    await recorder.write(session)
    return count


async def _lock(session: WriteSession, conditions: Sequence[ColumnElement[bool]]) -> Sequence[Appeal]:
    found = await session.scalars(
        select(Appeal)
        .where(*conditions)
        .order_by(Appeal.id)
        .limit(BREACH_BATCH)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )
    return found.all()


async def _context(session: WriteSession, late: Collection[Appeal]) -> SlaContext:
    return await SlaContext.load(session, {appeal.organisation_id for appeal in late}, selects_policies=False)


def record_overdue(
    appeal: Appeal, recorder: AppealRecorder, *, kind: AwaitedClock, due_at: datetime, deadline: str | None
) -> None:
    """Record that the response or the promise of a locked appeal is late now, with a timeline entry and an
    event.
    """
    appeal.overdue_recorded_at = clock.now()
    _record(appeal, recorder, kind=kind, due_at=due_at, deadline=deadline)


def _record(
    appeal: Appeal, recorder: AppealRecorder, *, kind: AwaitedClock, due_at: datetime, deadline: str | None
) -> None:
    recorder.add_timeline_entry(appeal, "overdue", clock=kind, due_at=due_at.isoformat(), deadline=deadline)
    recorder.add_event(
        AppealOverdue(**event_snapshot(appeal), promised_at=appeal.promised_at, clock=kind, due_at=due_at)
    )
