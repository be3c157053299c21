"""Working hours as people write them: «09:00–13:00, 14:00–18:00»; an empty text means a day off."""

import re
from collections.abc import Mapping, Sequence

WEEKDAYS = (
    ("1", "Понедельник"), ("2", "Вторник"), ("3", "Среда"), ("4", "Четверг"), ("5", "Пятница"), ("6", "Суббота"),
    ("7", "Воскресенье"),
)  # fmt: skip
_INTERVAL = re.compile(r"(\d{1,2})[:.](\d{2})\s*[-–—]\s*(\d{1,2})[:.](\d{2})")


class NotHours(ValueError):  # noqa: N818
    """The text is not a list of intervals."""


def written(intervals: Sequence[Sequence[str]]) -> str:
    """Return intervals as text."""
    return ", ".join(f"{start}–{end}" for start, end in intervals)


def parse_hours(text: str) -> list[list[str]]:
    """Return the intervals of a text. Raises `NotHours` if a part is not an interval; the API checks their
    order.
    """
    intervals = []
    for part in filter(None, (one.strip() for one in text.replace(";", ",").split(","))):
        found = _INTERVAL.fullmatch(part)
        if found is None:
            raise NotHours(part)
        intervals.append([f"{found[1]:0>2}:{found[2]}", f"{found[3]:0>2}:{found[4]}"])
    return intervals


def parse_week(form: Mapping[str, str]) -> tuple[dict[str, list[list[str]]], dict[str, str]]:
    """Return the week entered in a form, and errors by field."""
    week, wrong = {}, {}
    for key, _ in WEEKDAYS:
        try:
            week[key] = parse_hours(form.get(f"day_{key}", ""))
        except NotHours:
            wrong[f"day_{key}"] = "Напишите часы так: 09:00–13:00, 14:00–18:00."
    return week, wrong


def shown_week(weekly: Mapping[str, Sequence[Sequence[str]]]) -> dict[str, str]:
    """Return a week as values of the form's fields."""
    return {f"day_{key}": written(weekly.get(key, ())) for key, _ in WEEKDAYS}
