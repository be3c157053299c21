"""Moments and days as people read them."""

from datetime import timedelta

from services.console.words import formats
from shared import clock


def test_moment_of_today_is_written_as_today_except_after_a_preposition() -> None:
    now = clock.now()
    assert formats.moment(now).startswith("сегодня, ")
    assert formats.day(now - timedelta(days=1)) == "вчера"
    named = formats.dated(now)
    assert "сегодня" not in named
    assert named.startswith(f"{formats.parsed(now).day}\N{NO-BREAK SPACE}")
    assert named.endswith(formats.moment(now).removeprefix("сегодня"))


def test_day_of_another_year_is_written_with_the_year() -> None:
    assert formats.dated_day("2019-03-01") == "1\N{NO-BREAK SPACE}марта 2019\N{NO-BREAK SPACE}г."
    assert formats.dated("2019-03-01T04:05:00Z") == f"{formats.dated_day('2019-03-01')}, 12:05"
    assert formats.dated(None) == formats.dated_day(None) == "—"


def test_time_to_a_moment_is_written_from_now() -> None:
    now = clock.now()
    assert formats.until(None) == "—"
    later = formats.until(now + timedelta(hours=3, minutes=1)).replace("\N{NO-BREAK SPACE}", " ")
    assert later == "через 3 часа"
    before = formats.until(now - timedelta(days=2, minutes=1)).replace("\N{NO-BREAK SPACE}", " ")
    assert before.endswith("назад")
    assert not before.startswith("через")
