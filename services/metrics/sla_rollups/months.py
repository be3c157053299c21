"""Months of the region, each represented by its first day."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta

from services.metrics.indicators.period import Period, midnight
from shared.clock import REGION_TIME_ZONE


def month_of(moment: datetime) -> date:
    """Return the month that contains the moment."""
    return moment.astimezone(REGION_TIME_ZONE).date().replace(day=1)


def next_month(month: date) -> date:
    """Return the month after this one."""
    return (month + timedelta(days=31)).replace(day=1)


def month_period(month: date) -> Period:
    """Return the month as a period."""
    return Period(midnight(month), midnight(next_month(month)))


def whole_months(period: Period) -> list[date]:
    """Return the months that lie completely within the period."""
    first = month_of(period.start)
    return [
        month
        for month in months_between(first, month_of(period.end))
        if period.start <= midnight(month) and midnight(next_month(month)) <= period.end
    ]


def months_between(first: date, last: date) -> Iterator[date]:
    """Yield the months from the first to the last, both included."""
    while first <= last:
        yield first
        first = next_month(first)


def without_months(period: Period, months: Sequence[date]) -> list[Period]:
    """Return the parts of the period outside these of its months, which are given in order."""
    left: list[Period] = []
    start = period.start
    for month in months:
        if start < midnight(month):
            left.append(Period(start, midnight(month)))
        start = midnight(next_month(month))
    if start < period.end:
        left.append(Period(start, period.end))
    return left
