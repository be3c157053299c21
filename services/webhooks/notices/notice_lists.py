"""Lists of notices: those of a person, and those of the people whom the caller may see."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.webhooks.schemas.notices import NoticeKind, NoticeReason, NoticeStatus
from shared.api.pagination import Paging, inline_literal
from shared.api.query_parameters import ListFilter
from shared.auth.callers import Caller
from shared.tables.notices import Notice


class OwnNoticeFilter(ListFilter):
    """Filter of a person's own notices."""

    kind: NoticeKind | None = None
    status: NoticeStatus | None = None


class NoticeFilter(OwnNoticeFilter):
    """Filter of a list of notices."""

    reason: NoticeReason | None = None
    person_id: UUID | None = None
    appeal_id: UUID | None = None


async def list_own(
    session: AsyncSession, person_id: UUID, filters: OwnNoticeFilter, paging: Paging
) -> Sequence[Notice]:
    """Return the notices of a person, newest first, one more than the page holds."""
    query = select(Notice).where(Notice.person_id == person_id)
    if filters.kind is not None:
        query = query.where(Notice.kind == filters.kind.value)
    if filters.status is not None:
        query = query.where(Notice.status == filters.status.value)
    after = paging.after((Notice.created_at, Notice.id), (datetime.fromisoformat, UUID))
    if after is not None:
        query = query.where(after)
    return (
        await session.scalars(query.order_by(Notice.created_at.desc(), Notice.id.desc()).limit(paging.limit + 1))
    ).all()


async def list_notices(
    session: AsyncSession, caller: Caller, filters: NoticeFilter, paging: Paging
) -> Sequence[Notice]:
    """Return the notices of the people in the caller's scope, newest first, one more than the page holds."""
    query = select(Notice).where(caller.scope(Notice.organisation_id))
    for name in NoticeFilter.model_fields:
        if (value := getattr(filters, name)) is not None:
            known = inline_literal(value.value) if isinstance(value, NoticeStatus) else value
            query = query.where(getattr(Notice, name) == known)
    after = paging.after((Notice.created_at, Notice.id), (datetime.fromisoformat, UUID))
    if after is not None:
        query = query.where(after)
    return (
        await session.scalars(query.order_by(Notice.created_at.desc(), Notice.id.desc()).limit(paging.limit + 1))
    ).all()
