"""Periods of requests: dates or times in the region's time zone, weeks from Monday to Sunday."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from shared.clock import REGION_TIME_ZONE
from shared.http.problems import FieldError, Invalid

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,6})?([Zz]|[+-]\d{2}:\d{2})")
# An unescaped «+» in a query string arrives as a space.
_UNESCAPED_PLUS = re.compile(r" (?=\d{2}:\d{2}$)")
_FIRST_YEAR, _LAST_YEAR = 2000, 2099


@dataclass(frozen=True)
class Period:
    """The time from `start` to `end` (exclusive); both in the region's time zone."""

    start: datetime
    end: datetime


def midnight(day: date) -> datetime:
    """Return the moment at which a day begins in the region."""
    return datetime.combine(day, time.min, REGION_TIME_ZONE)


# The last boundary is the end of `_LAST_YEAR`, so that a period shown in a response can be requested again.
_EARLIEST, _LATEST = midnight(date(_FIRST_YEAR, 1, 1)), midnight(date(_LAST_YEAR + 1, 1, 1))


def week_of(moment: datetime) -> Period:
    """Return the region's week, Monday to Sunday, that contains the moment."""
    day = moment.astimezone(REGION_TIME_ZONE).date()
    monday = day - timedelta(days=day.weekday())
    return Period(midnight(monday), midnight(monday + timedelta(days=7)))


def parse_period(start: str | None, end: str | None, now: datetime) -> Period:
    """Return the period of a request.

    A date means the whole day, so a period up to a date includes that day; a time ends the period exactly. Without
    `end` the period ends with the current week; without `start` it begins on the Monday of its last week. Raises
    `Invalid` for `query/from` or `query/to`.
    """
    errors: list[FieldError] = []
    first = _boundary("from", start, errors, whole_day=False)
    last = _boundary("to", end, errors, whole_day=True)
    if errors:
        raise Invalid("; ".join(error.detail for error in errors), errors=errors)
    last = last or week_of(now).end
    first = first or max(week_of(last.astimezone(UTC) - timedelta(microseconds=1)).start, _EARLIEST)
    # A date in «to» was moved to the next midnight, so a «from» one day later gives an empty period: also an
    # error.
    backwards = first == last and end is not None and _DATE.fullmatch(end) is not None
    if first > last or backwards:
        detail = f"«from» is later than «to»: the period would be {first.isoformat()} to {last.isoformat()}"
        raise Invalid(detail, errors=[FieldError(pointer="query/from", detail=detail)])
    return Period(first, last)


def _boundary(name: str, value: str | None, errors: list[FieldError], *, whole_day: bool) -> datetime | None:
    if value is None:
        return None
    value = _UNESCAPED_PLUS.sub("+", value)
    try:
        if _DATE.fullmatch(value):
            day = date.fromisoformat(value)
            _check_range(_FIRST_YEAR <= day.year <= _LAST_YEAR)
            return midnight(day + timedelta(days=1) if whole_day else day)
        if _MOMENT.fullmatch(value):
            moment = datetime.fromisoformat(value.upper())
            _check_range(_EARLIEST <= moment <= _LATEST)
            return moment.astimezone(REGION_TIME_ZONE)
    except ValueError as error:
        errors.append(FieldError(pointer=f"query/{name}", detail=f"«{name}»: {error}"))
        return None
    detail = f"«{name}»: expected a date (2026-11-23) or a time with offset (2026-11-23T09:00:00+08:00)"
    errors.append(FieldError(pointer=f"query/{name}", detail=detail))
    return None


def _check_range(is_within: bool) -> None:
    if not is_within:
        raise ValueError(f"the year must be from {_FIRST_YEAR} to {_LAST_YEAR}")
