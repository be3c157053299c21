"""Records breaches: an appeal becomes overdue once."""

from sqlalchemy import select

from services.appeals.lifecycle.timeline import Journal
from services.appeals.sla.breaches import overdue_at
from shared import clock
from shared.database.sessions import WriteSession
from shared.tables.appeals import Appeal

BATCH = 500


async def note_overdue(session: WriteSession) -> int:
    """Note the next cases that became overdue; returns how many."""
    late = list(
        await session.scalars(
            select(Appeal)
            .where(overdue_at(clock.now()), Appeal.overdue_noted_at.is_(None))
            .order_by(Appeal.id)
            .limit(BATCH)
            .with_for_update(skip_locked=True)
        )
    )
    journal = Journal()
    for appeal in late:
        appeal.overdue_noted_at = clock.now()
        journal.note(appeal, "overdue", deadline=(appeal.deadline or {}).get("text"))
        journal.tell(
            appeal, "appeal.overdue", promised_at=appeal.promised_at.isoformat() if appeal.promised_at else None
        )
    await journal.write(session)
    return len(late)
