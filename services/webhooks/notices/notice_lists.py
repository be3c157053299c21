"""Lists of notices: a person's own, and those of the people in the caller's scope."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, select
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
    return await _newest(session, Notice.person_id == person_id, filters, paging)


async def list_notices(
    session: AsyncSession, caller: Caller, filters: NoticeFilter, paging: Paging
) -> Sequence[Notice]:
    """Return the notices of the people in the caller's scope, newest first, one more than the page holds."""
    return await _newest(session, caller.scope(Notice.organisation_id), filters, paging)


async def _newest(
    session: AsyncSession, scope: ColumnElement[bool], filters: OwnNoticeFilter, paging: Paging
) -> Sequence[Notice]:
    query = select(Notice).where(scope)
    for name, value in filters:
        if value is not None:
            # A literal lets the planner use partial indexes.
            wanted = inline_literal(value.value) if isinstance(value, NoticeStatus) else value
            query = query.where(getattr(Notice, name) == wanted)
    after = paging.after((Notice.created_at, Notice.id), (datetime.fromisoformat, UUID))
    if after is not None:
        query = query.where(after)
    found = await session.scalars(
        query.order_by(Notice.created_at.desc(), Notice.id.desc()).limit(paging.limit + 1)
    )
    return found.all()
