"""The clocks of an appeal for the page: which time counted, which did not, how much is left."""

from collections.abc import Mapping
from dataclasses import dataclass

from services.console.pages.appeal import appeal_words as words
from services.console.pages.appeal.appeal_locations import Document
from services.console.pages.appeal.appeal_sentences import hours_words
from services.console.words.formats import parsed
from services.console.words.labels import label

# Clocks whose deadline can be extended, in this order.
_EXTENDABLE = ("final_answer", "first_response", "next_response")


@dataclass(frozen=True)
class Clock:
    """An SLA clock: its row from the API, and its labels. `share` is the used percentage, 0 to 100; None without a
    target.
    """

    row: Document
    title: str
    state: str
    active: bool
    late: bool
    share: float | None
    used: str
    target: str
    left: str
    segments: tuple["Span", ...]
    events: tuple["Happened", ...]


@dataclass(frozen=True)
class Span:
    """A time span of a clock, and how much of it counts."""

    from_: str
    to: str
    counted: str
    why_not: str
    planned: bool


@dataclass(frozen=True)
class Happened:
    """A clock event, as the page shows it."""

    at: str
    text: str
    actor: str | None
    reason: str | None


def clocks_of(deadlines: Document) -> list[Clock]:
    """Return the clocks, active ones first, without those of promises, which the page shows separately."""
    found = [_clock(row, deadlines["at"]) for row in deadlines["clocks"] if row["kind"] != "promise"]
    return sorted(found, key=lambda clock: not clock.active)


def extendable(clocks: list[Clock]) -> list[tuple[str, str]]:
    """Return the kinds and titles of the clocks whose extension may be requested; the final answer's comes
    first.
    """
    running = {
        clock.row["kind"]: clock.title
        for clock in clocks
        if clock.row["state"] in {"running", "paused"} and not clock.late
    }
    return [(kind, running[kind]) for kind in _EXTENDABLE if kind in running]


def _clock(row: Document, now: str) -> Clock:
    state = row["state"]
    used, left, due = row["used_seconds"], row["left_seconds"], row["due_at"]
    target = (row["target_seconds"] or 0) + row["extension_seconds"]
    late = row["on_time"] is False or (state == "running" and due is not None and parsed(due) <= parsed(now))
    return Clock(
        row=row,
        title=label(row["kind"], "clock").capitalize(),
        state=words.CLOCK_STATE[state],
        active=state in {"running", "paused", "waiting"},
        late=late,
        share=min(100.0, 100 * used / target) if used is not None and target else None,
        used=_amount(used),
        target=_amount(target) + (" рабочего времени" if row["unit"] == "working" else ""),
        left=_amount(left),
        segments=tuple(_span(segment) for segment in row["segments"]),
        events=tuple(_happened(event, row["unit"]) for event in row["events"]),
    )


def _span(segment: Document) -> Span:
    why = words.NOT_COUNTED.get(segment["why_not"] or "", "")
    note = segment["note"]
    return Span(
        from_=segment["from"],
        to=segment["to"],
        counted=_amount(segment["seconds"]) if segment["seconds"] else "не идёт",
        why_not=f"{why}: {note}" if why and note else why or note or "",
        planned=segment["planned"],
    )


def _happened(event: Document, unit: str | None) -> Happened:
    text = words.CLOCK_EVENT[event["kind"]]
    if event["extension_seconds"]:
        text += f" на {hours_words(event['extension_seconds'] / 3600, unit)}"
    actor: Mapping[str, str] = event["actor"]
    return Happened(event["at"], text, None if actor["kind"] == "system" else actor["name"], event["reason"])


def _amount(seconds: float | None) -> str:
    """Return a clock's duration as text: «5 ч 9 мин»."""
    if seconds is None:
        return ""
    hours, minutes = divmod(round(max(seconds, 0) / 60), 60)
    parts = [f"{hours} ч"] * bool(hours) + [f"{minutes} мин"] * bool(minutes or not hours)
    return " ".join(parts).replace(" ", "\N{NO-BREAK SPACE}")
