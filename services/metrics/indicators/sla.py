"""SLA figures, computed from rows of `appeals`: the only definition of each figure.

A figure counts the appeals that meet its condition; the list of counted appeals uses the same condition. Docs:
docs/moderator/metrics.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import Field
from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    Text,
    and_,
    cast,
    extract,
    false,
    func,
    literal,
    null,
    or_,
    select,
    tuple_,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from services.metrics.indicators.breakdown import NO_GROUP, Breakdown
from services.metrics.indicators.period import Period
from services.metrics.schemas.metrics import (
    DurationQuantiles,
    SlaAppeal,
    SlaFigure,
    SlaFigures,
    SlaGroup,
    SlaGroupBy,
)
from shared.api.pagination import Paging
from shared.api.query_parameters import ListFilter
from shared.auth.callers import Caller
from shared.clock import REGION_TIME_ZONE
from shared.tables.appeals import Appeal
from shared.tables.appeals_classification import Topic
from shared.tables.registry import Municipality, Organisation

_COUNTED_COLUMNS = (
    "status", "written_at", "opened_at", "closed_at", "first_response_at", "first_response_due_at",
    "first_response_working_seconds", "final_answer_at", "outcome", "feedback_kind",
)  # fmt: skip
# Increase it whenever what is counted here changes: rollups of an older definition are then rebuilt.
SLA_DEFINITION = 1
# A merged appeal is left out: the appeal into which it was merged is counted.
EXCLUDED_STATUSES = ("not_required", "merged", "triage")
_QUANTILES = {"median": 0.5, "p90": 0.9}

# The group of an appeal's topic; an appeal may also have a topic group as its topic.
_TopicGroup = aliased(Topic)


@dataclass(frozen=True)
class GroupedBy:
    """The columns by which appeals are grouped; `opened` is the local time of opening."""

    organisation_id: ColumnElement[Any]
    topic_id: ColumnElement[Any]
    network: ColumnElement[Any]
    opened: ColumnElement[Any]


OF_APPEALS = GroupedBy(
    Appeal.organisation_id.expression,
    Appeal.topic_id.expression,
    Appeal.network.expression,
    func.timezone(REGION_TIME_ZONE.key, Appeal.opened_at),
)
_NAMELESS = cast(null(), Text)
_UNGROUPED = Breakdown(_NAMELESS, _NAMELESS, _NAMELESS)


def breakdown_by(group_by: SlaGroupBy | None, columns: GroupedBy) -> Breakdown:
    """Return the key, name and order of the group, for a query joined with `join_names`."""
    day = func.to_char(columns.opened, "YYYY-MM-DD")
    week = func.to_char(columns.opened, 'IYYY-"W"IW')
    breakdowns = {
        SlaGroupBy.ORGANISATION: Breakdown(
            cast(columns.organisation_id, Text), Organisation.name.expression, Organisation.sort_key.expression
        ),
        SlaGroupBy.MUNICIPALITY: Breakdown(
            Organisation.municipality.expression, Municipality.name.expression, Municipality.sort_key.expression
        ),
        SlaGroupBy.NETWORK: Breakdown(columns.network, _NAMELESS, columns.network),
        SlaGroupBy.TOPIC_GROUP: Breakdown(
            cast(func.coalesce(Topic.group_id, Topic.id), Text),
            func.coalesce(_TopicGroup.name, Topic.name),
            func.to_char(func.coalesce(_TopicGroup.position, Topic.position), "0000000000"),
        ),
        SlaGroupBy.TOPIC: Breakdown(
            cast(columns.topic_id, Text), Topic.name.expression, func.to_char(Topic.position, "0000000000")
        ),
        SlaGroupBy.DAY: Breakdown(day, _NAMELESS, day),
        SlaGroupBy.WEEK: Breakdown(week, _NAMELESS, week),
    }
    return breakdowns[group_by] if group_by else _UNGROUPED


def join_names(query: Select[Any], group_by: SlaGroupBy | None, columns: GroupedBy) -> Select[Any]:
    """Return the query joined with the tables that the group's key, name and order need."""
    if group_by in {SlaGroupBy.ORGANISATION, SlaGroupBy.MUNICIPALITY}:
        query = query.outerjoin(Organisation, Organisation.id == columns.organisation_id)
    if group_by == SlaGroupBy.MUNICIPALITY:
        query = query.outerjoin(Municipality, Municipality.oktmo == Organisation.municipality)
    if group_by in {SlaGroupBy.TOPIC_GROUP, SlaGroupBy.TOPIC}:
        query = query.outerjoin(Topic, Topic.id == columns.topic_id)
    if group_by == SlaGroupBy.TOPIC_GROUP:
        query = query.outerjoin(_TopicGroup, _TopicGroup.id == Topic.group_id)
    return query


def figure_conditions(appeals: Any, now: datetime) -> dict[SlaFigure, ColumnElement[bool]]:
    """Return the SQL condition of each figure.

    `appeals` has the columns of `Appeal`; open deadlines are compared with `now`.

    An answer given before any deadline was set is on time. For an appeal closed without an answer, the time of
    closing is compared with its deadline.
    """
    counted = appeals.status.not_in(EXCLUDED_STATUSES)
    answered = and_(counted, appeals.first_response_at.is_not(None))
    unanswered = and_(counted, appeals.first_response_at.is_(None))
    due = appeals.first_response_due_at
    judged_at = func.coalesce(appeals.first_response_at, appeals.closed_at, literal(now))
    overdue = and_(counted, due.is_not(None), judged_at > due)
    disputed = func.coalesce(appeals.feedback_kind == "not_solved", false())
    in_time = or_(due.is_(None), judged_at <= due)
    return {
        SlaFigure.OPENED: counted,
        SlaFigure.ANSWERED: answered,
        SlaFigure.ON_TIME: and_(answered, in_time),
        SlaFigure.OVERDUE: overdue,
        SlaFigure.WAITING: and_(unanswered, appeals.closed_at.is_(None), in_time),
        SlaFigure.CLOSED_UNANSWERED: and_(unanswered, appeals.closed_at.is_not(None), in_time),
        SlaFigure.FINAL_ANSWERED: and_(counted, appeals.final_answer_at.is_not(None)),
        SlaFigure.SOLVED: and_(counted, appeals.outcome == "solved", ~disputed),
        SlaFigure.DISPUTED: and_(counted, disputed),
        SlaFigure.NOT_REQUIRED: appeals.status == "not_required",
        SlaFigure.IN_TRIAGE: appeals.status == "triage",
    }


def measured_values(
    appeals: Any, conditions: Mapping[SlaFigure, ColumnElement[bool]]
) -> dict[str, tuple[ColumnElement[Any], ColumnElement[bool]]]:
    """Return the values with quantiles, in seconds, each with the condition of the appeals that have it."""
    delay = extract("epoch", appeals.opened_at - appeals.written_at)
    return {
        "first_response": (appeals.first_response_working_seconds, conditions[SlaFigure.ANSWERED]),
        "receipt_delay": (delay, conditions[SlaFigure.OPENED]),
    }


def opened_in(period: Period, caller: Caller) -> ColumnElement[bool]:
    """Return the SQL condition that the appeal was opened in the period and the caller may see it."""
    return and_(
        caller.scope(Appeal.organisation_id), Appeal.opened_at >= period.start, Appeal.opened_at < period.end
    )


def sla_query(period: Period, group_by: SlaGroupBy | None, caller: Caller, now: datetime) -> Select[Any]:
    """Return the SQL query of all figures: a row per group, and a row of totals, whose `is_total` is 1."""
    breakdown = breakdown_by(group_by, OF_APPEALS)
    # The subquery names the keys, so that GROUPING SETS refers to columns and not to repeated expressions.
    names: list[ColumnElement[Any]] = [breakdown.key.label("key"), breakdown.name.label("name")]
    names.append(breakdown.order.label("order"))
    columns = [getattr(Appeal, name) for name in _COUNTED_COLUMNS]
    appeals = (
        join_names(select(*columns, *names).select_from(Appeal), group_by, OF_APPEALS)
        .where(opened_in(period, caller))
        .subquery("appeals_of_period")
    )
    column = appeals.c
    counts = figure_conditions(column, now)
    quantiles = [
        func.percentile_cont(share).within_group(value).filter(among).label(f"{name}_{quantile}")
        for name, (value, among) in measured_values(column, counts).items()
        for quantile, share in _QUANTILES.items()
    ]
    grouping = (
        func.grouping_sets(tuple_(column.key, column.name, column.order), tuple_()) if group_by else tuple_()
    )
    query = select(
        (func.grouping(column.key) if group_by else literal(1)).label("is_total"),
        *([column.key, column.name] if group_by else [_NAMELESS.label("key")]),
        *(func.count().filter(condition).label(figure) for figure, condition in counts.items()),
        *quantiles,
    ).select_from(appeals)
    if group_by:
        query = query.group_by(grouping).order_by(column.order.nulls_last(), column.key)
    return query


async def compute_from_rows(
    session: AsyncSession, period: Period, group_by: SlaGroupBy | None, caller: Caller, now: datetime
) -> tuple[SlaFigures, list[SlaGroup]]:
    """Return the total and the groups of the appeals that the caller may see, counted from the rows."""
    rows = (await session.execute(sla_query(period, group_by, caller, now))).all()
    total = next(row for row in rows if row.is_total)
    groups = [
        SlaGroup(key=row.key if row.key is not None else NO_GROUP, name=row.name, **_figures(row))
        for row in rows
        if not row.is_total
    ]
    return SlaFigures(**_figures(total)), groups


def _figures(row: Row[Any]) -> dict[str, Any]:
    values = row._mapping
    return {figure.value: values[figure.value] for figure in SlaFigure} | {
        "first_response": DurationQuantiles(median=row.first_response_median, p90=row.first_response_p90),
        "receipt_delay": DurationQuantiles(median=row.receipt_delay_median, p90=row.receipt_delay_p90),
    }


class SlaAppealFilter(ListFilter):
    """Filter of listed appeals: those that a figure counts, with `group_by` and `key` only those of one group."""

    figure: SlaFigure = Field(description="The figure whose appeals to list")
    group_by: SlaGroupBy | None = Field(
        default=None, description="With `key`: restrict to one group of the figures"
    )
    key: str | None = Field(
        default=None,
        pattern=r"^[\w-]{1,100}$",
        description="`key` of the group; `none` for appeals without one",
    )


async def list_counted_appeals(
    session: AsyncSession,
    period: Period,
    filters: SlaAppealFilter,
    caller: Caller,
    now: datetime,
    *,
    paging: Paging,
) -> Sequence[Row[Any]]:
    """Return the appeals that a figure counts, newest first, one more than the page holds."""
    columns = (getattr(Appeal, name) for name in SlaAppeal.model_fields)
    query = join_names(select(*columns).select_from(Appeal), filters.group_by, OF_APPEALS).where(
        opened_in(period, caller), figure_conditions(Appeal, now)[filters.figure]
    )
    if filters.group_by is not None:
        of = breakdown_by(filters.group_by, OF_APPEALS).key
        query = query.where(of.is_(None) if filters.key == NO_GROUP else of == filters.key)
    rows: Sequence[Row[Any]] = (await session.execute(paged(query, paging))).all()
    return rows


def paged(query: Select[Any], paging: Paging) -> Select[Any]:
    """Return the SQL query for a page of appeals, newest first, one more than the page holds."""
    after = paging.after((Appeal.opened_at, Appeal.id), (datetime.fromisoformat, UUID))
    if after is not None:
        query = query.where(after)
    return query.order_by(Appeal.opened_at.desc(), Appeal.id.desc()).limit(paging.limit + 1)
