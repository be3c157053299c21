"""Figures of pages by week, network and another dimension: values for charts and tables."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from pydantic import Field
from sqlalchemy import ColumnElement, Row, Select, Text, cast, func, literal, null, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.metrics.fairness.peer_groups import PeerGroup
from services.metrics.indicators.breakdown import NO_GROUP
from services.metrics.indicators.dimensions import read_names
from services.metrics.indicators.weeks import Week, requested_week
from services.metrics.page_health.engagement import audience_columns, network_audience
from services.metrics.page_health.page_groups import PeerGroupCode, peer_group_parameters, peers_table
from services.metrics.page_health.score_run import newest_scored_week
from services.metrics.schemas.analytics import AppealDimension
from services.metrics.schemas.page_table import PageDimension, PageTable, PageTableRow
from shared.api.query_parameters import ListFilter
from shared.auth.callers import Caller
from shared.http.problems import Invalid
from shared.networks import NETWORKS, NetworkName
from shared.tables.metrics_pages import PageScore
from shared.tables.registry import Organisation, Page

DEFAULT_WEEKS = 12
MAX_WEEKS = 106
MAX_ROWS = 5_000
# By organisation, one week only: a region has some two thousand organisations with pages in each network.
_DEFAULT_WEEKS: Mapping[PageDimension | None, int] = {PageDimension.ORGANISATION: 1}
# The key columns are put first.
_KEYS = ("week", "network", "key", "name", "total")
CSV_HEADING = (*_KEYS, *(name for name in PageTableRow.model_fields if name not in _KEYS))
_LIGHTS = ("green", "yellow", "red", "unknown")
# The parameter of `GET /metrics/pages` that lists the pages of a key.
_FILTERS: Mapping[PageDimension, str] = {
    PageDimension.PEER_GROUP: "peer_group",
    PageDimension.MUNICIPALITY: "municipality",
    PageDimension.ORGANISATION: "organisation_id",
}


class PageTableFilter(ListFilter):
    """Filter of the counted pages."""

    network: NetworkName | None = None
    organisation_id: UUID | None = None
    municipality: str | None = Field(
        default=None, pattern=r"^[0-9]{8}$", description="OKTMO code of the organisation", examples=["81701000"]
    )
    peer_group: PeerGroupCode | None = None


async def compute_page_table(
    session: AsyncSession,
    caller: Caller,
    filters: PageTableFilter,
    by: PageDimension | None,
    weeks: tuple[str | None, str | None],
) -> PageTable:
    """Return the figures of the pages that the caller may see, from the first to the last week, both inclusive.

    The default last week is the newest with scores; by default there are twelve weeks, or one if grouped by
    organisation. Raises `Invalid` for a week that does not exist, too many weeks, and a table that is too large.
    """
    first, last = await _bounds(session, *weeks, default=_DEFAULT_WEEKS.get(by, DEFAULT_WEEKS))
    if first is None or last is None:
        return PageTable(first_week=None, last_week=None, by=by, rows=[])
    query = _query(by, filters, first, last).where(caller.scope(Page.organisation_id)).limit(MAX_ROWS + 1)
    rows = (await session.execute(query, await peer_group_parameters(session))).all()
    if len(rows) > MAX_ROWS:
        detail = f"The table has more than {MAX_ROWS:,} rows: request fewer weeks, or restrict by a filter"
        raise Invalid.field("query/from", detail)
    names = await _names(session, by, {row.key for row in rows})
    return await asyncio.to_thread(_table, rows=rows, names=names, by=by, filters=filters, first=first, last=last)


async def _bounds(
    session: AsyncSession, first: str | None, last: str | None, *, default: int
) -> tuple[Week | None, Week | None]:
    end = requested_week(last, "query/to") if last else await newest_scored_week(session)
    start = requested_week(first, "query/from") if first else None
    if end is None:
        return None, None
    start = start or end.shifted(1 - default)
    if start.monday > end.monday:
        raise Invalid.field("query/from", f"«from» is later than «to»: {start.name} to {end.name}")
    if (end.monday - start.monday).days // 7 >= MAX_WEEKS:
        raise Invalid.field("query/from", f"More than {MAX_WEEKS} weeks: request fewer")
    return start, end


def _query(by: PageDimension | None, filters: PageTableFilter, first: Week, last: Week) -> Select[Any]:
    peers = peers_table()
    keys: Mapping[PageDimension | None, ColumnElement[Any]] = {
        None: cast(null(), Text),
        PageDimension.PEER_GROUP: peers.c.code,
        PageDimension.MUNICIPALITY: func.coalesce(Organisation.municipality, literal(NO_GROUP)),
        PageDimension.ORGANISATION: cast(Organisation.id, Text),
    }
    key = keys[by].label("key")
    query = (
        select(
            PageScore.week,
            Page.network,
            key,
            *(func.count().filter(PageScore.light == light).label(light) for light in _LIGHTS),
            func.avg(PageScore.score).label("mean_score"),
            *audience_columns(),
        )
        .select_from(PageScore)
        .join(Page, Page.id == PageScore.page_id)
        .join(Organisation, Organisation.id == Page.organisation_id)
        .join(peers, peers.c.organisation_id == Page.organisation_id)
        .where(PageScore.week.between(first.name, last.name))
        .group_by(PageScore.week, Page.network, key)
    )
    if filters.network is not None:
        query = query.where(Page.network == filters.network)
    if filters.organisation_id is not None:
        query = query.where(Page.organisation_id == filters.organisation_id)
    if filters.municipality is not None:
        query = query.where(Organisation.municipality == filters.municipality)
    if filters.peer_group is not None:
        query = query.where(peers.c.code == filters.peer_group)
    return query


async def _names(
    session: AsyncSession, by: PageDimension | None, keys: set[str | None]
) -> Mapping[Any, str | None]:
    """Return display names by key, in the order of the rows."""
    if by is None:
        return {None: None}
    if by is PageDimension.PEER_GROUP:
        return {group.value: group.label for group in PeerGroup if group.value in keys}
    known = [key for key in keys if key is not None]
    return await read_names(session, AppealDimension(by.value), known)


def _table(
    *,
    rows: Sequence[Row[*tuple[Any, ...]]],
    names: Mapping[Any, str | None],
    by: PageDimension | None,
    filters: PageTableFilter,
    first: Week,
    last: Week,
) -> PageTable:
    networks, keys = list(NETWORKS), {key: index for index, key in enumerate(names)}
    ordered = sorted(rows, key=lambda row: (networks.index(row.network), keys[row.key], row.week))
    return PageTable(
        first_week=first.name,
        last_week=last.name,
        by=by,
        rows=[
            PageTableRow(
                **network_audience(row).model_dump(),
                week=row.week,
                key=row.key,
                name=names[row.key],
                total=sum(getattr(row, light) for light in _LIGHTS),
                scored=row.green + row.yellow + row.red,
                **{light: getattr(row, light) for light in _LIGHTS},
                mean_score=None if row.mean_score is None else float(round(row.mean_score, 1)),
                listed=_link(row, by, filters),
            )
            for row in ordered
        ],
    )


def _link(row: Row[*tuple[Any, ...]], by: PageDimension | None, filters: PageTableFilter) -> str | None:
    """Return the link to the pages of a row; None for organisations without a municipality."""
    asked = filters.model_dump(mode="json", exclude_none=True) | {"week": row.week, "network": row.network}
    if by is not None:
        asked |= {_FILTERS[by]: row.key}
    if asked.get("municipality") == NO_GROUP:
        return None
    return "/api/v1/metrics/pages?" + urlencode({name: asked[name] for name in sorted(asked)})


def csv_rows(table: PageTable) -> Iterator[list[object]]:
    """Yield the rows of the table for CSV: the heading, then a row for each row of the table."""
    yield list(CSV_HEADING)
    for row in table.rows:
        yield [getattr(row, name) for name in CSV_HEADING]
