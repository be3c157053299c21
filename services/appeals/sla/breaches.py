"""Deadlines that passed without an answer are noted once per clock."""

from datetime import datetime

from sqlalchemy import ColumnElement, and_, or_, select

from services.appeals.lifecycle.timeline import Journal
from shared import clock
from shared.api.pagination import inline_literal
from shared.database.sessions import WriteSession
from shared.tables.appeals import OPEN_STATUSES, Appeal

BATCH = 500


def overdue_at(moment: datetime) -> ColumnElement[bool]:
    """The condition of `deadlines.is_overdue`, in SQL."""
    return and_(
        Appeal.status.in_([inline_literal(status) for status in OPEN_STATUSES if status != "triage"]),
        or_(
            and_(Appeal.first_response_at.is_(None), Appeal.first_response_due_at < moment),
            Appeal.next_response_due_at < moment,
            # In force until the final reply is published, whatever people do with the appeal meanwhile.
            Appeal.promised_at < moment,
        ),
    )


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
