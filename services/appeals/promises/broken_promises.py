"""Promises whose date has passed without a final reply are recorded as broken."""

from sqlalchemy import select

from services.appeals.actors import SYSTEM_ACTOR
from services.appeals.deadline_watch.breach_recording import record_overdue
from services.appeals.lifecycle.timeline import AppealRecorder
from services.appeals.promises.promise_lifecycle import record_status
from services.appeals.promises.promise_reading import read_promise
from services.appeals.sla.breaches import late_clocks
from services.appeals.sla.explanation import explain_deadline
from shared import clock
from shared.api.pagination import inline_literal
from shared.database.sessions import WriteSession
from shared.tables.appeals import Appeal
from shared.tables.appeals_replies import Promise

BATCH = 500


async def record_broken_promises(session: WriteSession) -> int:
    """Record the next promises whose date has passed as broken; return how many."""
    now = clock.now()
    rows = await session.execute(
        select(Promise, Appeal)
        .join(Appeal, Appeal.id == Promise.appeal_id)
        .where(Promise.status == inline_literal("open"), Promise.promised_at < now)
        .order_by(Promise.promised_at, Promise.id)
        .limit(BATCH)
        # Skipped rows are locked by a publication or a move of the appeal; the next run handles them.
        .with_for_update(skip_locked=True)
    )
    recorder = AppealRecorder()
    found = rows.all()
    for promise, appeal in found:
        promise.status, promise.ended_at = "broken", promise.promised_at
        record_status(promise, appeal, SYSTEM_ACTOR, recorder)
        # Not a breach if the appeal has another promised date by now, or is in triage: no organisation has to act.
        due_at = late_clocks(appeal, now).get("promise")
        if due_at == promise.promised_at and appeal.overdue_recorded_at is None:
            text = explain_deadline(read_promise(promise))
            record_overdue(appeal, recorder, kind="promise", due_at=due_at, deadline=text)
    await recorder.write(session)
    return len(found)
