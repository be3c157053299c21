"""Expiry of extension requests whose deadline passed before the centre decided."""

from sqlalchemy import select

from services.appeals.lifecycle.timeline import AppealRecorder
from shared import clock
from shared.database.sessions import WriteSession
from shared.tables.appeals import Appeal
from shared.tables.appeals_sla import SlaClock

EXPIRY_BATCH = 200


async def end_late_requests(session: WriteSession) -> int:
    """End the next extension requests whose deadline has passed; return how many appeals were handled."""
    ids = await session.scalars(
        select(SlaClock.appeal_id)
        .where(SlaClock.extension_request_id.is_not(None), SlaClock.due_at <= clock.now())
        .order_by(SlaClock.due_at, SlaClock.id)
        .limit(EXPIRY_BATCH)
    )
    # Appeals that another transaction has locked are left to the next run.
    appeals = (
        await session.scalars(
            select(Appeal).where(Appeal.id.in_(ids.all())).order_by(Appeal.id).with_for_update(skip_locked=True)
        )
    ).all()
    recorder = AppealRecorder()
    for appeal in appeals:
        recorder.end_extension_requests(appeal)
    await recorder.write(session)
    return len(appeals)
