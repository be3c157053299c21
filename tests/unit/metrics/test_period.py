"""Periods: dates and times in the region, defaults, and invalid input."""

from datetime import datetime

import pytest

from services.metrics.indicators.period import parse_period, week_of
from shared.http.problems import Invalid

NOW = datetime.fromisoformat("2026-11-25T04:00:00+00:00")  # Wednesday noon in Irkutsk


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_default_period_is_the_current_week() -> None:
    period = parse_period(None, None, NOW)
    assert period.start == moment("2026-11-23T00:00:00+08:00")
    assert period.end == moment("2026-11-30T00:00:00+08:00")


@pytest.mark.parametrize(
    ("at", "monday"),
    [
        ("2026-11-22T15:59:59+00:00", "2026-11-16T00:00:00+08:00"),  # Sunday 23:59:59 in Irkutsk
        ("2026-11-22T16:00:00+00:00", "2026-11-23T00:00:00+08:00"),  # Monday 00:00 in Irkutsk, Sunday in UTC
    ],
)
def test_week_starts_at_midnight_in_irkutsk(at: str, monday: str) -> None:
    assert week_of(moment(at)).start == moment(monday)


@pytest.mark.parametrize(
    ("start", "end", "first", "last"),
    [
        ("2026-11-20", "2026-11-20", "2026-11-20T00:00:00+08:00", "2026-11-21T00:00:00+08:00"),
        (
            "2026-11-20T10:00:00Z",
            "2026-11-20T11:00:00.5Z",
            "2026-11-20T18:00:00+08:00",
            "2026-11-20T19:00:00.5+08:00",
        ),
        ("2026-11-20T10:00:00 08:00", None, "2026-11-20T10:00:00+08:00", "2026-11-30T00:00:00+08:00"),
        (None, "2026-11-15", "2026-11-09T00:00:00+08:00", "2026-11-16T00:00:00+08:00"),
        (None, "2026-11-11T00:00:00+08:00", "2026-11-09T00:00:00+08:00", "2026-11-11T00:00:00+08:00"),
    ],
)
def test_period_boundaries_are_parsed(start: str | None, end: str | None, first: str, last: str) -> None:
    period = parse_period(start, end, NOW)
    assert period.start == moment(first)
    assert period.end == moment(last)


@pytest.mark.parametrize(
    ("start", "end"),
    [("2099-12-01", "2099-12-31"), ("2000-01-01", "2000-01-02"), (None, "2000-01-02")],
)
def test_shown_boundaries_can_be_requested_again(start: str | None, end: str) -> None:
    period = parse_period(start, end, NOW)
    assert parse_period(period.start.isoformat(), period.end.isoformat(), NOW) == period


@pytest.mark.parametrize(
    ("start", "end", "pointers"),
    [
        ("yesterday", None, ["query/from"]),
        ("2026-13-01", None, ["query/from"]),
        ("2026-11-20", "2026-02-30", ["query/to"]),
        ("20261120", None, ["query/from"]),
        ("2026-W47-1", None, ["query/from"]),
        ("2026-11-20T10:00:00", None, ["query/from"]),
        ("2026-11-20T25:00:00Z", None, ["query/from"]),
        ("", "", ["query/from", "query/to"]),
        ("0001-01-01", "9999-12-31", ["query/from", "query/to"]),
        # In the region: the last hours of 1999, and the first of 2100.
        ("2000-01-01T00:00:00+14:00", "2099-12-31T20:00:00Z", ["query/from", "query/to"]),
        ("2026-11-21", "2026-11-20", ["query/from"]),
        ("2026-12-01", None, ["query/from"]),
        ("٢٠٢٦-11-20", None, ["query/from"]),
    ],
)
def test_invalid_boundary_is_refused_naming_the_parameter(
    start: str | None, end: str | None, pointers: list[str]
) -> None:
    with pytest.raises(Invalid) as refused:
        parse_period(start, end, NOW)
    assert [error.pointer for error in refused.value.errors] == pointers
