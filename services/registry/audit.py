"""The audit trail as those who may read it see it: newest first, narrowed by who, what, where and when."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.access import Caller
from shared.pagination import Paging
from shared.tables.events import AuditEntry


@dataclass(frozen=True, kw_only=True)
class Filter:
    """What the trail is narrowed to; null means any. `start` is included, `end` is not."""

    actor: str | None = None
    on_behalf_of: str | None = None
    action: str | None = None
    subject_id: str | None = None
    organisation_id: UUID | None = None
    start: datetime | None = None
    end: datetime | None = None


async def listed(session: AsyncSession, caller: Caller, wanted: Filter, paging: Paging) -> list[AuditEntry]:
    """Chained rows that the caller may see, newest first, one more than the limit."""
    query = (
        select(AuditEntry)
        .where(AuditEntry.position.is_not(None), caller.scope(AuditEntry.organisation_id))
        .order_by(AuditEntry.position.desc())
        .limit(paging.limit + 1)
    )
    for name in ("actor", "on_behalf_of", "action", "subject_id", "organisation_id"):
        if (value := getattr(wanted, name)) is not None:
            query = query.where(getattr(AuditEntry, name) == value)
    if wanted.start is not None:
        query = query.where(AuditEntry.created_at >= wanted.start)
    if wanted.end is not None:
        query = query.where(AuditEntry.created_at < wanted.end)
    after = paging.after((AuditEntry.position,), (int,))
    return list(await session.scalars(query if after is None else query.where(after)))
