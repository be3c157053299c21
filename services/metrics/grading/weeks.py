"""Names of weeks: ISO weeks of the region, such as 2026-W47."""

from datetime import date, datetime, timedelta

from services.metrics.indicators.period import Period, midnight
from shared.clock import REGION_TIME_ZONE


def week_period(week: str) -> Period:
    """Return the period of a week. Raise `ValueError` if the year has no such week."""
    year, _, number = week.partition("-W")
    monday = date.fromisocalendar(int(year), int(number), 1)
    return Period(midnight(monday), midnight(monday + timedelta(days=7)))


def week_of_moment(moment: datetime) -> str:
    """Return the name of the week that contains the moment."""
    return f"{moment.astimezone(REGION_TIME_ZONE):%G-W%V}"


def last_ended_week(now: datetime) -> str:
    """Return the name of the week before the current one."""
    return week_of_moment(now - timedelta(days=7))
