"""Russian texts that explain a deadline, with figures that add up."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, TypeVar

from services.appeals.sla.deadlines import ClockReading, NotCounted, Segment, Target
from services.appeals.sla.named_calendar import NamedCalendar
from shared.russian import plural

_Item = TypeVar("_Item")

_FROM_WEEKDAY = (
    "с понедельника",
    "со вторника",
    "со среды",
    "с четверга",
    "с пятницы",
    "с субботы",
    "с воскресенья",
)
_WEEKDAY = ("понедельник", "вторник", "среда", "четверг", "пятница", "суббота", "воскресенье")
_WHY_NOT: dict[NotCounted, str] = {"day_off": "выходной", "outside_hours": "нерабочее время"}
_HOURS = {
    "working": ("рабочий час", "рабочих часа", "рабочих часов", "рабочего часа"),
    "calendar": ("час", "часа", "часов", "часа"),
}


@dataclass(frozen=True)
class ExplainedSpan:
    """Consecutive segments of one day or one pause. `minutes` of all spans add up to the rounded whole."""

    begins: datetime
    ends: datetime
    minutes: int
    counted: timedelta
    calendar: NamedCalendar
    why_not: NotCounted | None
    note: str | None


def explained_spans(segments: Sequence[Segment]) -> list[ExplainedSpan]:
    """Return the segments by day with whole minutes, rounded so that the sum stays exact."""
    total, shown = timedelta(), 0
    spans = []
    for group in _groups(segments):
        counted = sum((part.counted for part in group), timedelta())
        total += counted
        minutes = in_minutes(total) - shown
        shown += minutes
        first, last = group[0], group[-1]
        reasons = {part.why_not for part in group}
        why_not = first.why_not if len(reasons) == 1 else None
        spans.append(ExplainedSpan(first.begins, last.ends, minutes, counted, first.calendar, why_not, first.note))
    return spans


def explain_deadline(reading: ClockReading) -> str:
    """Return the computation of the deadline in words, in local time: «9 рабочих часов с пятницы 27.11 16:40:
    27.11 — 1 ч 20 мин; …».
    """
    until = reading.due_at
    path = [part for part in reading.segments if until is None or part.ends <= until]
    calendar = path[0].calendar if path else reading.calendar
    if reading.target is None:
        return f"обещано: {_moment(reading.due_at or reading.started_at, calendar)}"
    begins = reading.started_at.astimezone(calendar.working.zone)
    spans = explained_spans(path)
    words = [
        _span(span, previous, lasts=reading.due_at is None and span is spans[-1])
        for previous, span in _with_previous(spans)
    ]
    days = f": {'; '.join(words)}" if words else ""
    since = f"{_FROM_WEEKDAY[begins.weekday()]} {begins:%d.%m %H:%M}"
    return f"{in_hours(reading.target)} {since}{_extension(reading)}{days} → {_end(reading)}"


def explain_state(reading: ClockReading, *, on_time: bool | None = None) -> str:
    """Return in words how much time is used and left at the moment of the reading, or when the answer stopped the
    clock; empty for a promise.
    """
    if reading.target is None:
        return ""
    target = reading.target.amount + reading.extension
    used = f"использовано {in_words(reading.used)} из {in_words(target)}"
    left = max(in_minutes(target) - in_minutes(reading.used), 0)
    if reading.cut_by_ceiling:
        left = in_minutes(reading.left)
    if reading.state == "stopped":
        answered = _moment(reading.moment, reading.calendar)
        verdict = {True: ", в срок", False: ", с опозданием", None: ""}[on_time]
        return f"Ответ дан: {answered}; {used}{verdict}."
    if reading.due_at is not None and reading.due_at < reading.moment:
        late = in_minutes(reading.used) - in_minutes(target)
        over = f" сверх срока прошло {_minutes(late)}" if late > 0 else ""
        return f"Срок прошёл: {used};{over}." if over else f"Срок прошёл: {used}."
    return f"{used[0].upper()}{used[1:]}, осталось {_minutes(left)}."


def without_pause_reasons(stored: Mapping[str, Any], reasons: Iterable[str | None] = ()) -> dict[str, Any]:
    """Return the stored explanation of an ended clock without what people wrote as reasons of pauses: those of its
    segments, and `reasons`, which an explanation without segments has in its text.
    """
    found, changed = {reason for reason in reasons if reason}, dict(stored)
    if "segments" in stored:
        found |= {part["note"] for part in stored["segments"] if part["why_not"] == "paused" and part["note"]}
        changed["segments"] = [
            part | {"note": None} if part["why_not"] == "paused" else part for part in stored["segments"]
        ]
    # The longest first: a reason may contain the words of another pause.
    for reason in sorted(found, key=len, reverse=True):
        changed["text"] = changed["text"].replace(_pause(reason), _pause(None))
    return changed


def in_hours(target: Target) -> str:
    """Return the amount in words: «9 рабочих часов», «1,5 часа»."""
    hours = target.amount / timedelta(hours=1)
    one, few, many, part = _HOURS[target.unit]
    if hours != int(hours):
        return f"{hours:g} {part}".replace(".", ",")
    return f"{int(hours)} {plural(int(hours), (one, few, many))}"


def in_minutes(duration: timedelta) -> int:
    """Return the duration in whole minutes."""
    return round(duration.total_seconds() / 60)


def in_words(duration: timedelta) -> str:
    """Return a duration in hours and minutes: «1 ч 20 мин»."""
    if duration and not in_minutes(duration):
        return "меньше минуты"
    return _minutes(in_minutes(duration))


def _minutes(minutes: int) -> str:
    parts = (f"{minutes // 60} ч" if minutes >= 60 else "", f"{minutes % 60} мин" if minutes % 60 else "")
    return " ".join(part for part in parts if part) or "0 мин"


def _groups(segments: Sequence[Segment]) -> Iterator[list[Segment]]:
    """Yield groups of adjacent segments that belong to one day of one calendar, or to one pause."""
    number = 0
    keyed = []
    for previous, part in _with_previous(segments):
        same = previous is not None and (
            previous.why_not == part.why_not == "paused"
            or (
                "paused" not in {previous.why_not, part.why_not}
                and previous.calendar is part.calendar
                and previous.day == part.day
            )
        )
        number += not same
        keyed.append((number, part))
    for _, group in groupby(keyed, key=lambda found: found[0]):
        yield [part for _, part in group]


def _with_previous(items: Sequence[_Item]) -> Iterator[tuple[_Item | None, _Item]]:
    previous: _Item | None = None
    for item in items:
        yield previous, item
        previous = item


def _span(span: ExplainedSpan, previous: ExplainedSpan | None, *, lasts: bool) -> str:
    zone = span.calendar.working.zone
    begins = span.begins.astimezone(zone)
    if span.why_not == "paused":
        ends = span.ends.astimezone(zone)
        until = "" if lasts else f" по {ends:%d.%m %H:%M}"
        return f"с {begins:%d.%m %H:%M}{until} — {_pause(span.note)}"
    moved = ""
    if previous is not None and previous.calendar is not span.calendar:
        moved = f"с {begins:%d.%m %H:%M} по календарю «{span.calendar.name}»: "
    why = span.note or (_WHY_NOT.get(span.why_not) if span.why_not else None)
    note = f" ({why})" if why else ""
    if span.why_not:
        return f"{moved}{begins:%d.%m} — не идёт{note}"
    return f"{moved}{begins:%d.%m} — {_minutes(span.minutes) if span.minutes else 'меньше минуты'}{note}"


def _pause(reason: str | None) -> str:
    return f"пауза ({reason})" if reason else "пауза"


def _extension(reading: ClockReading) -> str:
    if reading.target is None or not reading.extension:
        return ""
    return f", продлено на {in_hours(Target(reading.extension, reading.target.unit))}"


def _end(reading: ClockReading) -> str:
    if reading.due_at is None:
        return "часы на паузе"
    due = _moment(reading.due_at, reading.calendar)
    if reading.unextended_due_at is not None:
        return f"{due} (без продления — {_moment(reading.unextended_due_at, reading.calendar)})"
    if reading.cut_by_ceiling and reading.target is not None and reading.target.ceiling is not None:
        return f"{due} (предел — {in_hours(Target(reading.target.ceiling, 'calendar'))})"
    return due


def _moment(moment: datetime, calendar: NamedCalendar) -> str:
    local = moment.astimezone(calendar.working.zone)
    return f"{_WEEKDAY[local.weekday()]} {local:%d.%m %H:%M}"
