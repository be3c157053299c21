"""Recipients of a published weekly report: people whose role may read reports of the whole region."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.webhooks.notices.recipients import Addressee, NewNotice
from services.webhooks.schemas.notices import NoticeKind
from shared.auth.rights import RIGHTS, Right, RightScope, Role
from shared.contracts.metrics_events import ReportReady
from shared.contracts.stored_events import parse_event
from shared.tables.common import Event
from shared.tables.registry import Person

_READERS = [role.value for role, rights in RIGHTS.items() if rights.get(Right.REPORTS_READ) is RightScope.REGION]


async def find_report_readers(session: AsyncSession, published: Sequence[Event]) -> list[NewNotice]:
    """Return the notices to write for these reports."""
    if not published:
        return []
    rows = await session.execute(
        select(Person.id, Person.role, Person.organisation_id)
        .where(Person.active, Person.locked_at.is_(None), Person.role.in_(_READERS))
        .order_by(Person.id)
    )
    people = [Addressee(row.id, Role(row.role), row.organisation_id) for row in rows]
    found = []
    for event in published:
        data = parse_event(event)
        assert isinstance(data, ReportReady)
        found.append(NewNotice(event, data, NoticeKind.REPORT, people))
    return found
