"""Lists of notices: a person's own, and those of the people in the caller's scope."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.webhooks.schemas.notices import NoticeKind, NoticeReason, NoticeStatus
from shared.api.pagination import Paging, inline_literal
from shared.api.query_parameters import ListFilter
from shared.auth.callers import Caller
from shared.tables.appeals import Appeal
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
    return await _newest(session, select(Notice).where(Notice.person_id == person_id), filters, paging)


async def list_notices(
    session: AsyncSession, caller: Caller, filters: NoticeFilter, paging: Paging
) -> Sequence[Notice]:
    """Return the notices of the people in the caller's scope, newest first, one more than the page holds.

    A notice of an appeal is left out if its appeal is out of the scope now: the person may see subordinate
    organisations that the caller may not.
    """
    query = select(Notice).where(caller.scope(Notice.organisation_id))
    if not caller.is_region_wide:
        is_visible = or_(Notice.appeal_id.is_(None), caller.scope(Appeal.organisation_id))
        query = query.outerjoin(Appeal, Appeal.id == Notice.appeal_id).where(is_visible)
    return await _newest(session, query, filters, paging)


async def _newest(
    session: AsyncSession, query: Select[Notice], filters: OwnNoticeFilter, paging: Paging
) -> Sequence[Notice]:
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
