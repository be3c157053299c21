"""Read the tables `calendars.txt` and `clock_cases.txt` without using the product's code."""

import re
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

FOLDER = Path(__file__).parent
_DAY = re.compile(r"(\d{4}-)?\d\d-\d\d$")
Span = tuple[int, int]


@dataclass
class RawCalendar:
    """A calendar as the table gives it; hours are minutes since midnight."""

    zone: ZoneInfo
    week: dict[int, list[Span]] = field(default_factory=dict)
    days: dict[date, tuple[list[Span], str]] = field(default_factory=dict)


@dataclass(frozen=True)
class RawTarget:
    """An amount in minutes, its unit (`w`: working, `c`: calendar) and a ceiling in calendar minutes."""

    minutes: int
    unit: str
    ceiling: int | None = None


@dataclass(frozen=True)
class RawPolicy:
    """A policy of the table: its versions in order of their start; a version without a target ends the policy."""

    versions: tuple[tuple[datetime | None, RawTarget | None], ...]


@dataclass(frozen=True)
class RawEvent:
    """An event of a case. `other` is a second moment (a start or due date), `minutes` that of an extension."""

    kind: str
    at: datetime
    calendar: str | None = None
    target: RawTarget | None = None
    other: datetime | None = None
    minutes: int | None = None


@dataclass(frozen=True)
class Case:
    """A row of the table. `due` and `used` (minutes at the answer or the pause) are the expected results."""

    group: str
    name: str
    calendar: str
    policies: tuple[RawPolicy, ...]
    events: tuple[RawEvent, ...]
    due: datetime | None
    used: int | None


def read_calendars() -> dict[str, RawCalendar]:
    """Return the calendars by key."""
    found: dict[str, RawCalendar] = {}
    key = ""
    for line in (FOLDER / "calendars.txt").read_text(encoding="utf-8").splitlines():
        words = line.split()
        if not words or line.startswith("#"):
            continue
        if line.startswith("["):
            key = line.strip("[]")
        elif words[0] == "zone":
            found[key] = RawCalendar(ZoneInfo(words[1]))
        elif words[0] == "week":
            first, last = (words[1].split("-") * 2)[:2]
            for weekday in range(int(first), int(last) + 1):
                found[key].week[weekday] = [_span(word) for word in words[2:]]
        else:
            hours = [] if words[1] == "off" else [_span(word) for word in words[1:] if re.match(r"\d\d:", word)]
            title = " ".join(word for word in words[1:] if word != "off" and not re.match(r"\d\d:", word))
            found[key].days[date.fromisoformat(words[0])] = (hours, title)
    return found


def read_cases() -> list[Case]:
    """Return the cases in the order of the table."""
    zones = {key: calendar.zone for key, calendar in read_calendars().items()}
    cases: list[Case] = []
    group = ""
    for line in (FOLDER / "clock_cases.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            group = line[3:].strip()
        elif line.strip() and not line.startswith("#"):
            name, calendar, policy, events, due, used = (cell.strip() for cell in line.split("|"))
            zone = zones[calendar]
            cases.append(
                Case(
                    group,
                    name,
                    calendar,
                    tuple(_policy(part, zone) for part in policy.split(";")),
                    tuple(_event(part, zone) for part in events.split(";")),
                    None if due == "-" else _moment(due.split(), zone),
                    None if used == "-" else minutes_of(used),
                )
            )
    return cases


def minutes_of(text: str) -> int:
    """Return the minutes of `h:mm`."""
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def _span(word: str) -> Span:
    start, end = word.split("-")
    return minutes_of(start), minutes_of(end)


def _moment(words: list[str], zone: ZoneInfo) -> datetime:
    day = words[0] if len(words[0]) > 5 else f"2026-{words[0]}"
    return datetime.fromisoformat(f"{day} {words[1]}").replace(tzinfo=zone)


def _target(words: list[str]) -> RawTarget:
    ceiling = round(float(words[words.index("max") + 1].rstrip("c")) * 60) if "max" in words else None
    return RawTarget(round(float(words[0][:-1]) * 60), words[0][-1], ceiling)


def _policy(text: str, zone: ZoneInfo) -> RawPolicy:
    """Parse `9w / 03-04 12:00 6w / 03-06 09:00 -`: the first version, then later ones by their start."""
    versions: list[tuple[datetime | None, RawTarget | None]] = []
    for part in text.split("/"):
        words = part.split()
        start = _moment(words, zone) if _DAY.match(words[0]) else None
        rest = words[2:] if start is not None else words
        versions.append((start, None if rest in (["-"], ["promise"]) else _target(rest)))
    return RawPolicy(tuple(versions))


def _event(text: str, zone: ZoneInfo) -> RawEvent:
    """Parse `kind [calendar] [target] [hours] moment [until|from moment]`."""
    kind, *words = text.split()
    place = next(number for number, word in enumerate(words) if _DAY.match(word))
    extension = round(float(words[0].removesuffix("h")) * 60) if kind == "extend" else None
    named, moments = words[:place], words[place:]
    second = next((number for number, word in enumerate(moments) if word in {"until", "from"}), None)
    return RawEvent(
        kind,
        _moment(moments, zone),
        calendar=named[0] if kind == "move" else None,
        target=_target(named) if kind == "policy" else None,
        other=_moment(moments[second + 1 :], zone) if second is not None else None,
        minutes=extension,
    )
