"""Build the report of a week from database rows."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.metrics.indicators.channels import channel_name
from services.metrics.indicators.weeks import Week
from services.metrics.page_health.page_measures import PAGE_MEASURES
from services.metrics.report_populations.reported_time import ReportedTime, reported_time
from services.metrics.report_populations.responses import overdue
from services.metrics.schemas.weekly_report import (
    ChannelTotal,
    CoverageRow,
    MunicipalityRow,
    NamedCount,
    PromiseFigures,
    ReportCell,
    ReportDocument,
    ReportOutcomes,
    TopicRow,
)
from services.metrics.weekly_report import data_gaps, opened_counts
from services.metrics.weekly_report.attention import attention_items
from services.metrics.weekly_report.grade_figures import read_grade_figures
from services.metrics.weekly_report.hard_appeals import choose_hard_appeals
from services.metrics.weekly_report.measure_values import axis_values, percent
from services.metrics.weekly_report.measures import MEASURES
from services.metrics.weekly_report.opened_counts import ComparedWeeks, most_frequent
from services.metrics.weekly_report.page_figures import read_page_figures
from services.metrics.weekly_report.peers import peer_groups
from services.metrics.weekly_report.printed_names import Labels, read_labels
from services.metrics.weekly_report.week_figures import WeekFigures, read_week_figures
from shared.clock import REGION_TIME_ZONE
from shared.networks import NETWORKS
from shared.tables.registry import CoverageDay

TOPICS_IN_DETAIL = 5
_DETAILS = 5


async def build_report(session: AsyncSession, week: Week, now: datetime) -> ReportDocument:
    """Return the report of a week; for a week that has not ended, from the data at `now`.

    `session` must read one snapshot (repeatable read), so that all figures come from the same rows.
    """
    time = reported_time(week, now)
    as_of = time.as_of
    before = week.shifted(-1)
    labels = await read_labels(session)
    opened = await opened_counts.read_opened(session, time)
    earlier = await opened_counts.read_earlier_weeks(session, week, as_of)
    figures = await read_week_figures(session, time)
    last_week = await read_week_figures(session, ReportedTime(before.period, before.period.end))
    total = earlier.compare(lambda _one: True)
    topics = _topics(opened, earlier, labels)
    pages = await read_page_figures(session, week)
    return ReportDocument(
        week=week.name,
        first_day=week.monday,
        last_day=week.sunday,
        time_zone=REGION_TIME_ZONE.key,
        as_of=as_of.astimezone(REGION_TIME_ZONE),
        totals=[
            ChannelTotal(channel="all", label="Всего", appeals=total),
            *(_channel_total(earlier, channel) for channel in earlier.channels()),
        ],
        outcomes=_outcomes(opened, await opened_counts.count_uncounted(session, week.period)),
        attention=attention_items(figures, topics, pages),
        topics=topics,
        municipalities=await _municipalities(session, time, earlier, labels),
        cells=_cells(opened),
        axes=axis_values(
            figures, None if total.last_week is None else last_week, complete=as_of >= week.period.end
        ),
        peer_groups=peer_groups(figures, _by_organisation(opened), labels),
        hard_appeals=await choose_hard_appeals(session, time, labels),
        promises=_promises(figures),
        coverage=await _coverage(session, week),
        pages=pages,
        grades=await read_grade_figures(session, week),
        definitions=[measure.definition for measure in MEASURES],
        page_definitions=list(PAGE_MEASURES),
        gaps=await data_gaps.read_gaps(session, week, as_of),
    )


def _by_organisation(opened: Sequence[Row[Any]]) -> Counter[UUID | None]:
    counts: Counter[UUID | None] = Counter()
    for row in opened:
        counts[row.organisation_id] += row.appeals
    return counts


def _channel_total(earlier: ComparedWeeks, channel: str) -> ChannelTotal:
    appeals = earlier.compare(lambda one: one.channel == channel)
    return ChannelTotal(channel=channel, label=channel_name(channel), appeals=appeals)


def _outcomes(opened: Sequence[Row[Any]], uncounted: Counter[str]) -> ReportOutcomes:
    states: Counter[str] = Counter()
    for row in opened:
        states[row.state] += row.appeals
        states["final_answered"] += row.appeals if row.final_answered else 0
        states["solved"] += row.appeals if row.solved else 0
    return ReportOutcomes(
        opened=sum(row.appeals for row in opened),
        answered=states["answered"],
        waiting=states["waiting"],
        overdue=states["overdue"],
        closed_unanswered=states["closed_unanswered"],
        final_answered=states["final_answered"],
        interim=states["answered"] - states["final_answered"],
        solved=states["solved"],
        not_required=uncounted["not_required"],
        in_triage=uncounted["triage"],
    )


def _topics(opened: Sequence[Row[Any]], earlier: ComparedWeeks, labels: Labels) -> list[TopicRow]:
    total = sum(row.appeals for row in opened)
    by_group: dict[UUID | None, list[Row[Any]]] = defaultdict(list)
    for row in opened:
        by_group[row.topic_group_id].append(row)
    return [
        _topic_row(group, by_group[group] if index < TOPICS_IN_DETAIL else (), total, earlier, labels)
        for index, group in enumerate(earlier.topic_groups())
    ]


def _topic_row(
    group: UUID | None, opened: Sequence[Row[Any]], total: int, earlier: ComparedWeeks, labels: Labels
) -> TopicRow:
    """Return the row of a topic group; `opened` has its counted appeals if details are wanted."""
    subtopics: Counter[str] = Counter()
    locations: Counter[str] = Counter()
    for row in opened:
        if row.topic_id is not None and row.topic_id != group:
            subtopics[labels.topics[row.topic_id]] += row.appeals
        if row.oktmo is not None:
            place = labels.municipality(row.oktmo)
            locations[f"{place}, {row.settlement}" if row.settlement else place] += row.appeals
    appeals = earlier.compare(lambda one: one.topic_group_id == group)
    return TopicRow(
        topic_group_id=group,
        label=labels.topic_group(group),
        appeals=appeals,
        share=percent(appeals.value, total),
        subtopics=_named(subtopics),
        locations=_named(locations),
    )


def _named(counts: Counter[str]) -> list[NamedCount]:
    return [NamedCount(name=name, count=count) for name, count in most_frequent(counts)[:_DETAILS]]


async def _municipalities(
    session: AsyncSession, time: ReportedTime, earlier: ComparedWeeks, labels: Labels
) -> list[MunicipalityRow]:
    rows = await session.execute(_overdue_query(), time.parameters)
    overdue: Counter[str | None] = Counter({row[0]: row[1] for row in rows})
    known = earlier.municipalities()
    # Municipalities with only overdue answers come last.
    late = [oktmo for oktmo, _ in most_frequent(overdue) if oktmo not in set(known)]
    return [
        MunicipalityRow(
            oktmo=oktmo,
            name=labels.municipality(oktmo),
            appeals=earlier.compare(lambda one, oktmo=oktmo: one.oktmo == oktmo),  # type: ignore[misc]
            overdue=overdue[oktmo],
        )
        for oktmo in [*known, *late]
    ]


@cache
def _overdue_query() -> Select[Any]:
    rows = overdue().subquery("overdue")
    return select(rows.c.oktmo, func.count()).group_by(rows.c.oktmo)


def _cells(opened: Sequence[Row[Any]]) -> list[ReportCell]:
    counts: Counter[tuple[UUID | None, str | None, UUID | None]] = Counter()
    for row in opened:
        counts[row.topic_group_id, row.oktmo, row.organisation_id] += row.appeals
    return [
        ReportCell(topic_group_id=group, oktmo=oktmo, organisation_id=organisation, appeals=count)
        for (group, oktmo, organisation), count in most_frequent(counts)
    ]


def _promises(figures: WeekFigures) -> PromiseFigures:
    total = figures.total
    return PromiseFigures(
        due=total["promises_due"],
        kept=total["promises_kept"],
        moved=total["promises_moved"],
        broken=total["promises_broken"],
        open=total["promises_open"],
    )


async def _coverage(session: AsyncSession, week: Week) -> list[CoverageRow]:
    """Return the coverage on the last recorded day of the week."""
    day = (
        select(func.max(CoverageDay.day))
        .where(CoverageDay.day.between(week.monday, week.sunday))
        .scalar_subquery()
    )
    names = ("required", "exempt", "covered", "live")
    query = (
        select(CoverageDay.network, *(func.sum(getattr(CoverageDay, name)).label(name) for name in names))
        # The table also has rows about a page in any network: skip them.
        .where(CoverageDay.day == day, CoverageDay.network.in_(NETWORKS))
        .group_by(CoverageDay.network)
        .order_by(CoverageDay.network.desc())
    )
    return [
        CoverageRow(
            network=row.network,
            required=int(row.required),
            exempt=int(row.exempt),
            covered=int(row.covered),
            live=int(row.live),
            percent=percent(int(row.covered), int(row.required)),
        )
        for row in await session.execute(query)
    ]
