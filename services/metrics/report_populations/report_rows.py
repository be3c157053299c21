"""The rows that the figures of a report count: as a list, and as tables from which every figure can be
recomputed.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import Field
from sqlalchemy import ColumnElement, Row, Select, Text, cast, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.metrics.indicators.breakdown import NO_GROUP
from services.metrics.page_health.page_groups import PeerGroupCode, peer_group_parameters
from services.metrics.report_populations.catalogue import POPULATIONS
from services.metrics.report_populations.reported_time import ReportedTime, plan_for_a_week
from services.metrics.schemas.page_health import PageLight
from services.metrics.schemas.weekly_report import ReportPopulation, ReportRow
from shared.api.pagination import Paging
from shared.api.query_parameters import ListFilter
from shared.contracts.values import PromiseStatus
from shared.http.problems import Invalid

_COMMON = frozenset(
    {"row_id", "appeal_id", "number", "at", "channel", "organisation_id", "oktmo", "topic_group_id", "topic_id"}
)
_KEY = r"^[\w-]{1,100}$"


class ReportRowFilter(ListFilter):
    """Filter of the rows of a population; `none` means rows without a value."""

    channel: str | None = Field(default=None, pattern=_KEY)
    organisation_id: str | None = Field(default=None, pattern=_KEY)
    oktmo: str | None = Field(default=None, pattern=_KEY)
    topic_group_id: str | None = Field(default=None, pattern=_KEY)
    status: PromiseStatus | None = Field(default=None, description="Only for `promises`")
    light: PageLight | None = Field(default=None, description="Only for `pages`")
    peer_group: PeerGroupCode | None = Field(default=None, description="Code of a peer group; only for `pages`")


# The population of each filter that only one population has.
_OWN_FILTERS: Mapping[str, ReportPopulation] = {
    "status": ReportPopulation.PROMISES,
    "light": ReportPopulation.PAGES,
    "peer_group": ReportPopulation.PAGES,
}


def _conditions(rows: Any, filters: ReportRowFilter) -> list[ColumnElement[bool]]:
    given = filters.model_dump(exclude_none=True)
    return [
        rows[name].is_(None) if value == NO_GROUP else cast(rows[name], Text) == value
        for name, value in given.items()
    ]


async def list_rows(
    session: AsyncSession,
    population: ReportPopulation,
    time: ReportedTime,
    filters: ReportRowFilter,
    paging: Paging,
) -> Sequence[Row[Any]]:
    """Return the rows of a population, newest first, one more than the page holds.

    Raises `Invalid` for a filter that the population does not have.
    """
    _check(filters, population)
    rows = POPULATIONS[population]().subquery("listed")
    query: Select[Any] = select(rows).where(*_conditions(rows.c, filters))
    after = paging.after((rows.c.at, rows.c.row_id), (datetime.fromisoformat, UUID))
    if after is not None:
        query = query.where(after)
    query = query.order_by(rows.c.at.desc(), rows.c.row_id.desc()).limit(paging.limit + 1)
    await plan_for_a_week(session)
    found: Sequence[Row[Any]] = (await session.execute(query, await _parameters(session, population, time))).all()
    return found


def _check(filters: ReportRowFilter, population: ReportPopulation) -> None:
    for name, owner in _OWN_FILTERS.items():
        if getattr(filters, name) is not None and population is not owner:
            raise Invalid.field(
                f"query/{name}", f"Rows of «{population}» have no {name}: only those of «{owner}» do"
            )


async def _parameters(
    session: AsyncSession, population: ReportPopulation, time: ReportedTime
) -> Mapping[str, Any]:
    if population is not ReportPopulation.PAGES:
        return time.parameters
    return time.parameters | await peer_group_parameters(session)


def present_row(row: Row[Any]) -> ReportRow:
    """Return a row as its API model: the common fields, and the values of its population."""
    values = row._mapping
    return ReportRow(
        **{name: values[name] for name in _COMMON},
        values={name: value for name, value in values.items() if name not in _COMMON},
    )


async def read_all_rows(
    session: AsyncSession, population: ReportPopulation, time: ReportedTime, max_rows: int
) -> tuple[list[str], Sequence[Row[Any]]]:
    """Return the column names and up to `max_rows` rows of a population, oldest first."""
    rows = POPULATIONS[population]().subquery("listed")
    query: Select[Any] = select(rows).order_by(rows.c.at, rows.c.row_id).limit(max_rows)
    await plan_for_a_week(session)
    found = await session.execute(query, await _parameters(session, population, time))
    return list(found.keys()), found.all()
