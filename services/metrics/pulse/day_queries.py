"""SQL queries of the daily pulse: one for each figure, over the appeals that the caller may see."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Date,
    DateTime,
    Select,
    Text,
    and_,
    cast,
    column,
    func,
    literal_column,
    or_,
    select,
    tuple_,
    values,
)
from sqlalchemy.orm import aliased

from services.metrics.indicators.channels import CHANNEL
from services.metrics.indicators.period import Period, midnight
from services.metrics.indicators.sla import EXCLUDED_STATUSES, figure_conditions
from services.metrics.pulse.unusual_topics import first_day_of_history
from services.metrics.schemas.metrics import SlaFigure
from shared.auth.callers import Caller
from shared.clock import REGION_TIME_ZONE
from shared.tables.appeals import WITH_SOMEBODY_STATUSES, Appeal
from shared.tables.appeals_classification import Topic
from shared.tables.registry import Municipality

# The number of earlier days with which the figures of a day are compared.
DAYS_BEFORE = 7
# An upper bound of the clock difference between the machines that set an answer's time and a row's `updated_at`.
_CLOCK_DIFFERENCE = timedelta(hours=1)

# Appeals in triage count: many of the last day's appeals are still there, and the rate test must compare like with
# like.
_NEVER_COUNTED = ("not_required", "merged")

_GROUP = func.coalesce(Topic.group_id, Topic.id)
_TopicGroup = aliased(Topic)


@dataclass(frozen=True, slots=True)
class DaySpan:
    """A day and the `DAYS_BEFORE` days before it."""

    day: date

    @property
    def days(self) -> list[date]:
        """Return the days, earliest first."""
        return [self.day - timedelta(days=back) for back in range(DAYS_BEFORE, -1, -1)]

    @property
    def period(self) -> Period:
        """Return the time from the start of the first day to the end of the last."""
        return Period(midnight(self.days[0]), end_of(self.day))


def end_of(day: date) -> datetime:
    """Return the end of a day in the region, which is the start of the next day."""
    return midnight(day + timedelta(days=1))


def opened_query(span: DaySpan, caller: Caller, now: datetime) -> Select[*tuple[Any, ...]]:
    """Return the SQL query that counts opened appeals, and those in triage, by channel and day."""
    conditions = figure_conditions(Appeal, now)
    day = _local_date(Appeal.opened_at)
    return (
        select(
            CHANNEL.label("channel"),
            day.label("day"),
            func.count().filter(conditions[SlaFigure.OPENED]).label("opened"),
            func.count().filter(conditions[SlaFigure.IN_TRIAGE]).label("in_triage"),
        )
        .where(caller.scope(Appeal.organisation_id), _between(Appeal.opened_at, span.period))
        .group_by(CHANNEL, day)
    )


def earlier_query(span: DaySpan, caller: Caller) -> Select[UUID]:
    """Return the SQL query for one appeal that was opened before all days of the span, if there is any."""
    return (
        select(Appeal.id)
        .where(caller.scope(Appeal.organisation_id), Appeal.opened_at < span.period.start)
        .limit(1)
    )


def answered_query(span: DaySpan, caller: Caller) -> Select[*tuple[Any, ...]]:
    """Return the SQL query that counts first responses by channel and day.

    An answer also updates the appeal's row, so the index of `updated_at` finds the rows.
    """
    day = _local_date(Appeal.first_response_at)
    return (
        select(CHANNEL.label("channel"), day.label("day"), func.count().label("answered"))
        .where(
            caller.scope(Appeal.organisation_id),
            Appeal.status.not_in(EXCLUDED_STATUSES),
            _between(Appeal.first_response_at, span.period),
            Appeal.updated_at >= span.period.start - _CLOCK_DIFFERENCE,
        )
        .group_by(CHANNEL, day)
    )


def overdue_query(span: DaySpan, caller: Caller) -> Select[*tuple[Any, ...]]:
    """Return the SQL query that counts, for the end of each day and by channel, appeals with an overdue first
    response.

    The current rows are enough: unanswered appeals, and those updated since the end of the first day, because an
    answer or a closing updates the row.
    """
    ends = values(column("day", Date), column("at", DateTime(timezone=True)), name="ends").data(
        [(day, end_of(day)) for day in span.days]
    )
    due = Appeal.first_response_due_at
    ended_at = func.coalesce(Appeal.first_response_at, Appeal.closed_at)
    # Constants instead of parameters, so that a generic plan can use the partial index.
    with_somebody = Appeal.status.in_([literal_column(f"'{status}'") for status in WITH_SOMEBODY_STATUSES])
    unanswered = and_(Appeal.first_response_at.is_(None), with_somebody)
    changed = Appeal.updated_at >= end_of(span.days[0]) - _CLOCK_DIFFERENCE
    return (
        select(CHANNEL.label("channel"), ends.c.day, func.count().label("overdue"))
        .select_from(Appeal)
        .join(
            ends,
            and_(due < ends.c.at, Appeal.opened_at < ends.c.at, or_(ended_at.is_(None), ended_at >= ends.c.at)),
        )
        .where(
            caller.scope(Appeal.organisation_id),
            Appeal.status.not_in(EXCLUDED_STATUSES),
            or_(unanswered, changed),
        )
        .group_by(CHANNEL, ends.c.day)
    )


def history_query(day: date, caller: Caller) -> Select[*tuple[Any, ...]]:
    """Return the SQL query that counts appeals and their authors by day, municipality and topic group, over the
    day and its history. Appeals in triage count too.
    """
    local_day = _local_date(Appeal.opened_at)
    people = func.coalesce(Appeal.author_key, cast(Appeal.id, Text))
    return (
        select(
            local_day.label("day"),
            Appeal.municipality,
            _GROUP.label("topic_group_id"),
            func.count().label("appeals"),
            func.count(people.distinct()).label("people"),
        )
        .outerjoin(Topic, Topic.id == Appeal.topic_id)
        .where(
            caller.scope(Appeal.organisation_id),
            Appeal.status.not_in(_NEVER_COUNTED),
            _between(Appeal.opened_at, Period(midnight(first_day_of_history(day)), end_of(day))),
        )
        .group_by(local_day, Appeal.municipality, _GROUP)
    )


def appeals_query(day: date, pairs: Sequence[tuple[str, UUID]], caller: Caller) -> Select[*tuple[Any, ...]]:
    """Return the SQL query for the appeals of a day in one of these pairs of municipality and topic group."""
    return (
        select(
            Appeal.id,
            Appeal.municipality,
            _GROUP.label("topic_group_id"),
            Municipality.name.label("municipality_name"),
            func.coalesce(_TopicGroup.name, Topic.name).label("topic_group"),
            Topic.name.label("topic"),
            Topic.group_id.is_(None).label("group_only"),
        )
        .join(Topic, Topic.id == Appeal.topic_id)
        .outerjoin(_TopicGroup, _TopicGroup.id == Topic.group_id)
        .outerjoin(Municipality, Municipality.oktmo == Appeal.municipality)
        .where(
            caller.scope(Appeal.organisation_id),
            Appeal.status.not_in(_NEVER_COUNTED),
            _between(Appeal.opened_at, Period(midnight(day), end_of(day))),
            tuple_(Appeal.municipality, _GROUP).in_(pairs),
        )
        .order_by(Appeal.opened_at, Appeal.id)
    )


def _between(moment: Any, period: Period) -> ColumnElement[bool]:
    return and_(moment >= period.start, moment < period.end)


def _local_date(moment: Any) -> ColumnElement[date]:
    return cast(func.timezone(REGION_TIME_ZONE.key, moment), Date)
