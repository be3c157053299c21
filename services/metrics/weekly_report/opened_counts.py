"""Counts of opened appeals: detailed for the week, and of earlier weeks for comparison."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import Date, Row, Select, cast, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.metrics.indicators.period import Period
from services.metrics.indicators.weeks import Week
from services.metrics.report_populations.appeal_columns import NEVER_ASSIGNED
from services.metrics.report_populations.opened import opened
from services.metrics.report_populations.reported_time import ReportedTime
from services.metrics.schemas.weekly_report import ComparedCount
from shared.clock import REGION_TIME_ZONE
from shared.tables.appeals import Appeal

WEEKS_OF_MEAN = 8
_DETAILS = (
    "channel", "topic_group_id", "topic_id", "oktmo", "settlement", "organisation_id", "state", "final_answered",
    "solved",
)  # fmt: skip


@dataclass(frozen=True)
class OpenedCount:
    """The number of appeals with these keys that were opened in the week beginning on `monday`."""

    monday: date
    channel: str
    topic_group_id: UUID | None
    oktmo: str | None
    count: int


class ComparedWeeks:
    """The counts of the week and of the weeks with which it is compared."""

    def __init__(
        self, week: Week, first_day: date | None, counts: Sequence[OpenedCount], *, complete: bool = True
    ) -> None:
        """`first_day` is the day of the first appeal ever: weeks that began before it have incomplete data.

        `complete`: the week has ended; an incomplete week is not compared with complete ones.
        """
        self._week = week
        self._first_day = first_day
        self._counts = counts
        self._complete = complete

    def compare(self, select_counts: Callable[[OpenedCount], bool]) -> ComparedCount:
        """Return the count of the week together with those of earlier weeks."""
        by_week: Counter[date] = Counter()
        for one in self._counts:
            if select_counts(one):
                by_week[one.monday] += one.count
        value = by_week[self._week.monday]
        last_week = self._count(by_week, self._week.shifted(-1))
        last_year = self._count(by_week, self._week.year_before())
        before = [self._count(by_week, self._week.shifted(-weeks)) for weeks in range(1, WEEKS_OF_MEAN + 1)]
        known = [count for count in before if count is not None]
        return ComparedCount(
            value=value,
            last_week=last_week,
            change=value - last_week if last_week is not None and self._complete else None,
            last_year=last_year,
            change_to_last_year=value - last_year if last_year is not None and self._complete else None,
            mean_of_8_weeks=round(sum(known) / len(known), 1) if known else None,
        )

    def channels(self) -> list[str]:
        """Return the channels of this and the previous week, most frequent first."""
        return [channel for channel, _ in self._frequent(lambda one: one.channel)]

    def topic_groups(self) -> list[UUID | None]:
        """Return the topic groups of this and the previous week, most frequent first."""
        return [group for group, _ in self._frequent(lambda one: one.topic_group_id)]

    def municipalities(self) -> list[str | None]:
        """Return the municipalities of this and the previous week, most frequent first."""
        return [oktmo for oktmo, _ in self._frequent(lambda one: one.oktmo)]

    def _count(self, by_week: Counter[date], week: Week) -> int | None:
        if self._first_day is None or week.monday < self._first_day:
            return None
        return by_week[week.monday]

    def _frequent(self, key: Callable[[OpenedCount], Any]) -> list[tuple[Any, int]]:
        counted: Counter[Any] = Counter()
        recent = (self._week.monday, self._week.shifted(-1).monday)
        for one in self._counts:
            if one.monday in recent:
                counted[key(one)] += one.count if one.monday == self._week.monday else 0
        return most_frequent(counted)


def most_frequent(counts: Counter[Any]) -> list[tuple[Any, int]]:
    """Return keys and counts, most frequent first; equal counts are sorted by key, so that the order is
    reproducible.
    """
    return sorted(counts.items(), key=lambda item: (-item[1], item[0] is None, str(item[0])))


async def read_opened(session: AsyncSession, time: ReportedTime) -> Sequence[Row[Any]]:
    """Return the counts of the week's appeals by all keys that the report shows."""
    found: Sequence[Row[Any]] = (await session.execute(_detailed_query(), time.parameters)).all()
    return found


@cache
def _detailed_query() -> Select[Any]:
    rows = opened().subquery("opened")
    columns = [rows.c[name] for name in _DETAILS]
    return select(*columns, func.count().label("appeals")).group_by(*columns)


async def read_earlier_weeks(session: AsyncSession, week: Week, as_of: datetime) -> ComparedWeeks:
    """Return the counts of the week, of the eight weeks before, and of the same week a year before."""
    counts: list[OpenedCount] = []
    for start, end in (
        (week.shifted(-WEEKS_OF_MEAN).period.start, week.period.end),
        (week.year_before().period.start, week.year_before().period.end),
    ):
        time = ReportedTime(Period(start, end), as_of)
        found = await session.execute(_weekly_query(), time.parameters)
        counts += [OpenedCount(**row._mapping) for row in found]
    first = await session.scalar(select(func.min(Appeal.opened_at)))
    first_day = None if first is None else first.astimezone(REGION_TIME_ZONE).date()
    return ComparedWeeks(week, first_day, counts, complete=as_of >= week.end)


@cache
def _weekly_query() -> Select[Any]:
    rows = opened().subquery("opened")
    monday = cast(func.date_trunc("week", func.timezone(REGION_TIME_ZONE.key, rows.c.at)), Date).label("monday")
    keys = (monday, rows.c.channel, rows.c.topic_group_id, rows.c.oktmo)
    return select(*keys, func.count().label("count")).group_by(*keys)


async def count_uncounted(session: AsyncSession, period: Period) -> Counter[str]:
    """Return how many appeals of the period need no answer, and how many were never assigned, by status."""
    query = (
        select(Appeal.status, func.count())
        .where(
            Appeal.opened_at >= period.start,
            Appeal.opened_at < period.end,
            or_(Appeal.status == "not_required", NEVER_ASSIGNED),
        )
        .group_by(Appeal.status)
    )
    return Counter({row[0]: row[1] for row in await session.execute(query)})
