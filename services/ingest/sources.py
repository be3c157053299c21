"""How each page is read: by which ways, how far behind, and what went wrong."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.ingest.schemas import SourceOut, WayOut
from shared import clock
from shared.access import Caller
from shared.pagination import Paging
from shared.tables.ingest import NetworkToken, Source
from shared.tables.registry import Page

READ_BACK = "read_back"


async def listed(
    session: AsyncSession, caller: Caller, paging: Paging, conditions: Sequence[ColumnElement[bool]]
) -> tuple[list[SourceOut], dict[UUID, str]]:
    """Active pages by name with their ways, one more than the page holds; and the pages' sort keys."""
    query = (
        select(
            Page.id,
            Page.organisation_id,
            Page.network,
            Page.name,
            Page.sort_key,
            Page.url,
            Page.live_from,
        )
        .where(Page.active, caller.scope(Page.organisation_id), *conditions)
        .order_by(Page.sort_key, Page.id)
        .limit(paging.limit + 1)
    )
    after = paging.after([Page.sort_key, Page.id], [str, UUID], descending=False)
    if after is not None:
        query = query.where(after)
    pages = list(await session.execute(query))
    ways: dict[UUID, list[Source]] = defaultdict(list)
    for source in await session.scalars(
        select(Source)
        .where(Source.page_id.in_([page.id for page in pages]), Source.way != READ_BACK)
        .order_by(Source.way)
    ):
        ways[source.page_id].append(source)
    tokens = await session.execute(
        select(NetworkToken.network, NetworkToken.page_id).where(NetworkToken.state.in_(("healthy", "limited")))
    )
    usable = {(row.network, row.page_id) for row in tokens}
    now = clock.now()
    sources = []
    for page in pages:
        shown = [_way(source, now) for source in ways[page.id]]
        has_token = bool({(page.network, page.id), (page.network, None)} & usable)
        lags = [way.lag_seconds for way in shown if way.lag_seconds is not None]
        sources.append(
            SourceOut(
                page_id=page.id,
                organisation_id=page.organisation_id,
                network=page.network,
                name=page.name,
                url=page.url,
                live_from=page.live_from,
                state=_state(shown, has_token=has_token),
                lag_seconds=min(lags, default=None),
                ways=shown,
            )
        )
    return sources, {page.id: page.sort_key for page in pages}


def _way(source: Source, now: datetime) -> WayOut:
    at = source.last_success_at
    return WayOut(
        way=source.way,
        last_success_at=at,
        last_message_at=source.last_message_at,
        last_error_at=source.last_error_at,
        last_error=source.last_error,
        failures=source.failures,
        lag_seconds=None if at is None else max((now - at).total_seconds(), 0.0),
    )


def _state(ways: list[WayOut], *, has_token: bool) -> Literal["healthy", "waiting", "failing", "no_token"]:
    if not has_token:
        return "no_token"
    if any(way.failures for way in ways):
        return "failing"
    if not any(way.last_success_at for way in ways):
        return "waiting"
    return "healthy"
