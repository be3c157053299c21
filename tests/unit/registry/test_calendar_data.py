"""The checked-in special days agree with their sources and with the law."""

from datetime import date

import pytest

from migrations.reference import days
from services.registry.schemas.calendars import SpecialDaysReplace


def test_checked_in_file_equals_the_generated_one() -> None:
    assert days.read() == days.generate()


@pytest.mark.parametrize(
    ("day", "works", "shorter_by"),
    [
        (date(2025, 3, 3), False, 0),  # Сагаалган fell on a Saturday, so Monday is off
        (date(2025, 11, 1), True, 60),  # a working Saturday, swapped with the eve of 4 November
        (date(2026, 2, 17), True, 60),
        (date(2026, 2, 18), False, 0),
        (date(2026, 5, 8), True, 60),  # the holiday itself is on Saturday
        (date(2026, 12, 31), False, 0),
        (date(2027, 2, 20), True, 60),
    ],
)
def test_known_special_days_are_correct(day: date, works: bool, shorter_by: int) -> None:
    found = {row.day: row for row in days.read()}[day]
    assert (found.works, found.shorter_by) == (works, shorter_by)


def test_working_day_not_directly_before_a_holiday_is_not_shortened() -> None:
    known = {row.day for row in days.read()}
    # No public holiday follows these working days directly, so they are not shortened.
    assert not known & {date(2026, 3, 6), date(2027, 4, 29), date(2027, 5, 7), date(2025, 10, 31)}


def test_year_is_printed_as_a_request_body(capsys: pytest.CaptureFixture[str]) -> None:
    days.main("2026")
    printed = capsys.readouterr()
    body = SpecialDaysReplace.model_validate_json(printed.out)
    found = {day.day: (day.intervals, day.title) for day in body.days}
    assert found[date(2026, 2, 17)] == ([("09:00", "13:00"), ("14:00", "17:00")], "Предпраздничный день")
    assert found[date(2026, 2, 18)] == ([], "Сагаалган")
    assert set(found) == {row.day for row in days.read() if row.day.year == 2026}
    assert printed.err == ""


def test_year_without_regional_days_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    days.main("2024")
    printed = capsys.readouterr()
    assert "2024" in printed.err
    assert SpecialDaysReplace.model_validate_json(printed.out).start == date(2024, 1, 1)
