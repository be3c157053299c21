"""Working hours as people write them."""

import pytest

from services.console.pages.calendars.working_hours import NotHours, parse_hours, parse_week, written


@pytest.mark.parametrize(
    ("text", "intervals"),
    [
        ("", []),
        ("09:00–13:00, 14:00–18:00", [["09:00", "13:00"], ["14:00", "18:00"]]),
        ("9.00-13.00; 14:00 — 18:00", [["09:00", "13:00"], ["14:00", "18:00"]]),
        ("00:00–24:00", [["00:00", "24:00"]]),
    ],
)
def test_hours_are_parsed(text: str, intervals: list[list[str]]) -> None:
    assert parse_hours(text) == intervals
    assert parse_hours(written(intervals)) == intervals


@pytest.mark.parametrize("text", ["с утра", "9-18", "09:00", "09:00–13:00–15:00"])
def test_text_other_than_hours_is_refused(text: str) -> None:
    with pytest.raises(NotHours):
        parse_hours(text)


def test_invalid_hours_are_refused_naming_their_day() -> None:
    week, wrong = parse_week({"day_1": "09:00–18:00", "day_3": "утром"})
    assert week["1"] == [["09:00", "18:00"]]
    assert list(wrong) == ["day_3"]
