"""Numbers, dates and periods in Russian."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from services.metrics.rendering import russian_format as russian
from shared.russian import period

ZONE = ZoneInfo("Asia/Irkutsk")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (508, "508"), (1024, "1\u00a0024"), (1234567, "1\u00a0234\u00a0567"), (-1050, "\u22121\u00a0050"),
     (None, "нет данных")],
)  # fmt: skip
def test_count_is_written_with_non_breaking_spaces_and_a_minus_sign(value: int | None, text: str) -> None:
    assert russian.count(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(94.1, "94,1"), (94.0, "94,0"), (71.25, "71,25"), (0.005, "0,01"), (-0.4, "\u22120,4"), (-0.001, "0,0"),
     (1234.5, "1\u00a0234,5"), (2.675, "2,68"), (None, "нет данных")],
)  # fmt: skip
def test_decimal_has_a_comma_and_rounds_half_up(value: float | None, text: str) -> None:
    assert russian.decimal(value) == text


def test_number_with_two_decimals_keeps_the_trailing_zero() -> None:
    assert russian.decimal(1.1, places=2) == "1,10"


@pytest.mark.parametrize(
    ("value", "text"), [(-50, "\u221250"), (12, "+12"), (0, "0"), (2.1, "+2,1"), (None, "нет данных")]
)
def test_difference_has_its_sign(value: float | None, text: str) -> None:
    assert russian.signed(value) == text


def test_count_is_written_with_its_change() -> None:
    assert russian.compared(508, -50) == "508 (\u221250)"
    assert russian.compared(201, 30) == "201 (+30)"
    assert russian.compared(7, None) == "7"
    assert russian.compared(None, None) == "нет данных"


def test_shares_and_intervals_are_formatted_in_russian() -> None:
    assert russian.share_of(478, 508) == "478 из 508"
    assert russian.share_of(None, 470) == "измерено 470"
    assert russian.share_of(None, None) == "—"
    assert russian.interval(91.7, 95.8) == "91,7–95,8\u00a0%"
    assert russian.interval(None, 95.8) == "—"


def test_measures_have_their_units() -> None:
    assert russian.measure(94.1, "percent") == "94,1\u00a0%"
    assert russian.measure(12.0, "count") == "12"
    assert russian.measure(3.4, "hours") == "3,4\u00a0ч"
    assert russian.measure(1.62, "mark") == "1,62"
    assert russian.measure(None, "mark") == "нет данных"
    assert russian.measure_change(2.1, "percent") == "+2,1\u00a0п.\u00a0п."
    assert russian.measure_change(-2, "count") == "\u22122"
    assert russian.measure_change(None, "hours") == "нет данных"


@pytest.mark.parametrize(
    ("first", "last", "text"),
    [
        (date(2026, 11, 16), date(2026, 11, 22), "16–22 ноября 2026 г."),
        (date(2026, 11, 30), date(2026, 12, 6), "30 ноября – 6 декабря 2026 г."),
        (date(2025, 12, 29), date(2026, 1, 4), "29 декабря 2025 г. – 4 января 2026 г."),
    ],
)
def test_period_omits_equal_months_and_years(first: date, last: date, text: str) -> None:
    assert period(first, last).replace("\u00a0", " ") == text


def test_moments_are_in_the_regions_time() -> None:
    late = datetime(2026, 11, 22, 16, 5, tzinfo=UTC)
    assert russian.moment(late, ZONE) == "23.11.2026 00:05"
    assert russian.long_moment(late, ZONE).replace("\u00a0", " ") == "23 ноября 2026 г. в 00:05"
    assert russian.day(None) == "нет данных"


def test_week_is_written_with_number_and_year() -> None:
    assert russian.week_name("2026-W07") == "7-я неделя 2026 года"
