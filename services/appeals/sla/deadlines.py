"""Computation of deadlines from the events of a clock: pure functions without database and clock.

See docs/moderator/deadlines.md. A deadline depends on the events of a clock, the target of its policy and the
calendars that the events name, and on nothing else.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Literal

from typing_extensions import TypeAliasType

from services.appeals.sla.named_calendar import DEFAULT_CALENDAR, NamedCalendar

TimeUnit = TypeAliasType("TimeUnit", Literal["working", "calendar"])
ClockEventKind = TypeAliasType(
    "ClockEventKind",
    Literal[
        "started",
        "restarted",
        "reopened",
        "moved",
        "paused",
        "resumed",
        "policy_changed",
        "merged",
        "extended",
        "stopped",
        "cancelled",
        "answer_withdrawn",
    ],
)
ClockState = TypeAliasType("ClockState", Literal["waiting", "running", "paused", "stopped", "cancelled"])
_ONE_DAY = timedelta(days=1)
# Number of days after a moment in which the next working time is searched for.
_WARNING_DAYS = 31
# Reasons why the time of a segment does not count.
NotCounted = TypeAliasType("NotCounted", Literal["paused", "day_off", "holiday", "outside_hours"])


@dataclass(frozen=True)
class Target:
    """The time allowed by a clock: working or calendar time, but at most `ceiling` of calendar time."""

    amount: timedelta
    unit: TimeUnit = "working"
    ceiling: timedelta | None = None


@dataclass(frozen=True)
class ClockEvent:
    """An event of a clock. `sequence` orders events; `at` is the time at which it happened.

    `started` and `restarted` give `starts_at`, `calendar`, and `target` or, for a promise, the date `due_at`.
    `reopened` continues a clock that an answer stopped; the time in between does not count. `moved` gives
    `calendar`; `policy_changed` gives `target` and `starts_at`; `merged` gives `starts_at`; `extended` gives
    `extension`, time in the unit of the target. `answer_withdrawn` cancels the last answer and its consequences
    (`traces_of_withdrawn_answers`).
    """

    sequence: int
    kind: ClockEventKind
    at: datetime
    starts_at: datetime | None = None
    calendar: NamedCalendar = DEFAULT_CALENDAR
    target: Target | None = None
    due_at: datetime | None = None
    extension: timedelta | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Segment:
    """A span of a clock within one local day, and how much of it counts. `why_not` is set if nothing counts;
    `note` is the title of the day or the reason for the pause.
    """

    begins: datetime
    ends: datetime
    counted: timedelta
    calendar: NamedCalendar
    why_not: NotCounted | None = None
    note: str | None = None

    @property
    def day(self) -> date:
        """Return the local date on which the segment begins."""
        return self.begins.astimezone(self.calendar.working.zone).date()


@dataclass(frozen=True)
class ClockDeadline:
    """The deadline of a clock (None if it was paused before the deadline), and the moment of the next warning.

    `unextended_due_at` is the deadline that an extended clock would have without its extensions.
    """

    state: ClockState
    started_at: datetime
    due_at: datetime | None
    target: Target | None
    next_warning_at: datetime | None = None
    unextended_due_at: datetime | None = None


@dataclass(frozen=True)
class ClockReading:
    """The state of a clock at a moment. `due_at` is None if it was paused before the deadline.

    `segments` cover the time from the start to the later of deadline and `moment`, without gaps; a promise has
    none. `used` is the time counted until the moment, the sum of the segments before it. `left` is the time from
    then to the deadline, or what a clock that was paused before its deadline has left. Until the deadline is
    missed or cut by the ceiling, `used + left` is the target with `extension`, the sum of the extensions.
    `unextended_due_at` as in `ClockDeadline`.
    """

    state: ClockState
    moment: datetime
    started_at: datetime
    due_at: datetime | None
    target: Target | None
    segments: tuple[Segment, ...]
    used: timedelta
    left: timedelta
    cut_by_ceiling: bool = False
    extension: timedelta = timedelta()
    unextended_due_at: datetime | None = None

    @property
    def calendar(self) -> NamedCalendar:
        """Return the calendar in which the clock last counted."""
        return self.segments[-1].calendar if self.segments else DEFAULT_CALENDAR


@dataclass(frozen=True)
class _Period:
    """A period in which the clock counts in one calendar, or is paused; the last period has no end."""

    begins: datetime
    ends: datetime | None
    calendar: NamedCalendar
    paused: bool
    reason: str | None


@dataclass(frozen=True)
class _History:
    starts_at: datetime
    target: Target | None
    due_at: datetime | None
    periods: tuple[_Period, ...]
    stopped_at: datetime | None
    state: ClockState
    extension: timedelta


@dataclass(frozen=True)
class _Due:
    """The moment when the target is used up, whether the ceiling determined it, and the deadline with
    extensions.
    """

    unextended: datetime | None
    cut_by_ceiling: bool
    extended: datetime | None


def read_clock(events: Sequence[ClockEvent], moment: datetime | None = None) -> ClockReading:
    """Return the state of the clock when it stopped, else at the given moment; by default when it was paused, else
    at its start. Events may be given in any order: their sequence numbers order them. Raises `ValueError` if no
    event started the clock.
    """
    history = _history([_in_utc(event) for event in events])
    moment = moment.astimezone(UTC) if moment is not None else None
    paused_at = history.periods[-1].begins if history.state == "paused" else None
    moment = history.stopped_at or moment or paused_at or history.starts_at
    if history.target is None:
        return _read_promise(history, moment)
    due = _due(history, history.target)
    due_at, unextended = due.extended, due.unextended if history.extension else None
    ends = max(moment, due_at or unextended or moment, history.starts_at)
    cuts = sorted({moment, *(found for found in (due_at, unextended) if found)})
    segments = tuple(_spans(history.periods, history.target.unit, ends=ends, cuts=cuts))
    used = sum((part.counted for part in segments if part.ends <= moment), timedelta())
    left = sum(
        (part.counted for part in segments if part.begins >= moment and due_at and part.ends <= due_at),
        timedelta(),
    )
    if due_at is None:
        whole = history.target.amount
        if unextended is not None:
            whole = sum((part.counted for part in segments if part.ends <= unextended), timedelta())
        left = max(whole + history.extension - used, timedelta())
    return ClockReading(
        history.state, moment, history.starts_at, due_at, history.target, segments, used, left,
        due.cut_by_ceiling, history.extension, unextended,
    )  # fmt: skip


def compute_deadline(events: Sequence[ClockEvent], warn_at: Sequence[float] = ()) -> ClockDeadline:
    """Return the deadline without its explanation, as `read_clock` does, and the first moment to warn of one of
    these shares. Raises `ValueError` if no event started the clock.
    """
    history = _history([_in_utc(event) for event in events])
    if history.target is None:
        return ClockDeadline(history.state, history.starts_at, history.due_at, None)
    due = _due(history, history.target)
    warnings = (_warning_moment(history, share, due.extended) for share in warn_at)
    next_warning_at = next((moment for moment in warnings if moment is not None), None)
    unextended = due.unextended if history.extension else None
    return ClockDeadline(
        history.state, history.starts_at, due.extended, history.target, next_warning_at, unextended
    )


def warning_moment(events: Sequence[ClockEvent], share: float) -> datetime | None:
    """Return the moment to warn that this share of the target with its extensions is used: in the organisation's
    working hours and before the deadline. None if there is no such moment, the clock was paused before its
    deadline, or it has ended.
    """
    return compute_deadline(events, [share]).next_warning_at


def _warning_moment(history: _History, share: float, due_at: datetime | None) -> datetime | None:
    if history.target is None or history.stopped_at is not None or due_at is None:
        return None
    whole = history.target.amount + history.extension
    used = _used_up(history.periods, whole * share, history.target.unit)
    moment = next_working_moment(history.periods[-1].calendar, used) if used is not None else None
    return moment if moment is not None and moment < due_at else None


def next_working_moment(calendar: NamedCalendar, moment: datetime) -> datetime | None:
    """Return the moment if it is in working time, else the start of the next working time; None if there is none
    within `_WARNING_DAYS`. For an organisation without working time the default calendar is used.
    """
    working = counting_calendar(calendar, "working").working
    first = moment.astimezone(working.zone).date()
    for day in range(_WARNING_DAYS):
        for opens, closes in working.working_intervals_utc(first + timedelta(days=day)):
            if moment < closes:
                return max(opens, moment)
    return None


def due_if_resumed(events: Sequence[ClockEvent], moment: datetime) -> datetime | None:
    """Return the deadline that a paused clock would have if resumed at the moment; for other clocks their
    deadline.
    """
    last = max(event.sequence for event in events)
    return compute_deadline([*events, ClockEvent(last + 1, "resumed", moment)]).due_at


def _read_promise(history: _History, moment: datetime) -> ClockReading:
    """Return the reading of a promise, whose date is not moved by pauses, calendars or transfers."""
    return ClockReading(
        history.state,
        moment,
        history.starts_at,
        history.due_at,
        None,
        (),
        max(moment - history.starts_at, timedelta()),
        max((history.due_at or moment) - moment, timedelta()),
    )


def _history(events: Sequence[ClockEvent]) -> _History:
    ordered = sorted(events, key=lambda event: event.sequence)
    begins = [index for index, event in enumerate(ordered) if event.kind in {"started", "restarted"}]
    if not begins:
        raise ValueError("no event started the clock")
    first, *later = _with_reopenings_as_pauses(_without_withdrawn_answers(ordered[begins[-1] :]))
    starts_at, target, merged = _required(first.starts_at), first.target, None
    stopped_at: datetime | None = None
    state: ClockState = "running"
    extension = timedelta()
    marks: list[ClockEvent] = []
    for event in later:
        if stopped_at is not None:
            continue
        if event.kind == "policy_changed":
            target, starts_at = event.target, event.starts_at or starts_at
        elif event.kind == "merged":
            merged = min(_required(event.starts_at), merged or _required(event.starts_at))
        elif event.kind == "extended":
            extension += event.extension or timedelta()
        elif event.kind in {"stopped", "cancelled"}:
            stopped_at, state = event.at, "stopped" if event.kind == "stopped" else "cancelled"
        else:
            marks.append(event)
    starts_at = min(starts_at, merged) if merged is not None else starts_at
    periods = _periods(starts_at, first.calendar, marks)
    if target is None:
        periods = periods[:1]
    elif stopped_at is not None:
        periods = _stopped(periods, max(stopped_at, starts_at))
    elif periods[-1].paused:
        state = "paused"
    return _History(
        starts_at, target, first.due_at, periods, max(stopped_at, starts_at) if stopped_at else None, state,
        extension,
    )  # fmt: skip


def traces_of_withdrawn_answers(events: Sequence[tuple[str, datetime]]) -> set[int]:
    """Return the indexes of the events, given by kind and time, that do not count because an answer was withdrawn.

    These events are the stops at the moment of the answer, the reopenings after them, and the withdrawal itself.
    """
    traces: set[int] = set()
    for index, (kind, _) in enumerate(events):
        if kind != "answer_withdrawn":
            continue
        stops = [number for number in range(index) if number not in traces and events[number][0] == "stopped"]
        # A clock stopped by the answer, reopened by mistake and stopped again has two stops at the moment of the
        # answer: neither counts.
        stops = [number for number in stops if events[number][1] == events[stops[-1]][1]]
        reopenings = {number + 1 for number in stops if events[number + 1][0] == "reopened"}
        traces |= {index, *stops} | reopenings
    return traces


def _without_withdrawn_answers(events: Sequence[ClockEvent]) -> list[ClockEvent]:
    traces = traces_of_withdrawn_answers([(event.kind, event.at) for event in events])
    return [event for index, event in enumerate(events) if index not in traces]


def _with_reopenings_as_pauses(events: Sequence[ClockEvent]) -> list[ClockEvent]:
    """Return the events with a pause for each answer after which the clock was reopened."""
    found: list[ClockEvent] = []
    for event in events:
        if event.kind == "reopened" and found[-1].kind == "stopped":
            found[-1] = replace(found[-1], kind="paused", reason=event.reason)
            found.append(replace(event, kind="resumed"))
        else:
            found.append(event)
    return found


def _periods(starts_at: datetime, calendar: NamedCalendar, marks: Sequence[ClockEvent]) -> tuple[_Period, ...]:
    """Return the periods between pauses, resumptions and moves.

    An event counts from its time, but never from before the previously recorded event: the clocks of two machines
    may differ.
    """
    present = _Period(starts_at, None, calendar, paused=False, reason=None)
    periods: list[_Period] = []
    at = starts_at
    for mark in marks:
        at = max(mark.at, at)
        if mark.kind == "moved":
            following = replace(present, begins=at, calendar=mark.calendar)
        elif mark.kind == "paused" and not present.paused:
            following = replace(present, begins=at, paused=True, reason=mark.reason)
        elif mark.kind == "resumed" and present.paused:
            following = replace(present, begins=at, paused=False, reason=None)
        else:
            continue
        if at > present.begins:
            periods.append(replace(present, ends=at))
        present = following
    return (*periods, present)


def _stopped(periods: Sequence[_Period], stopped_at: datetime) -> tuple[_Period, ...]:
    """Return the periods of a stopped clock: its end also ends a pause, and later periods are dropped."""
    kept = [period for period in periods if period.begins < stopped_at] or [periods[0]]
    last = kept.pop()
    if not last.paused:
        return (*kept, replace(last, ends=None))
    return (
        *kept,
        replace(last, ends=stopped_at),
        _Period(stopped_at, None, last.calendar, paused=False, reason=None),
    )


def _due(history: _History, target: Target) -> _Due:
    """Return the deadline. An extension is added to the unextended deadline, so that the ceiling does not limit
    it.
    """
    due_at, cut = _used_up(history.periods, target.amount, target.unit), False
    if target.ceiling is not None:
        ceiling = _used_up(history.periods, target.ceiling, "calendar")
        if ceiling is not None and (due_at is None or ceiling < due_at):
            due_at, cut = ceiling, True
    if due_at is None or not history.extension:
        return _Due(due_at, cut, due_at)
    following = [
        replace(period, begins=max(period.begins, due_at))
        for period in history.periods
        if period.ends is None or period.ends > due_at
    ]
    return _Due(due_at, cut, _used_up(following, history.extension, target.unit))


def _used_up(periods: Sequence[_Period], amount: timedelta, unit: TimeUnit) -> datetime | None:
    """Return the first moment at which `amount` of time has counted; None if the clock is paused before that
    moment.
    """
    remaining = amount
    for period in periods:
        if period.paused:
            continue
        for begins, ends in _counting_times(period, unit):
            if ends is None or ends - begins >= remaining:
                return begins + remaining
            remaining -= ends - begins
    return None


def _counting_times(period: _Period, unit: TimeUnit) -> Iterator[tuple[datetime, datetime | None]]:
    """Yield the counting spans of the period, in order. For a period without end they are endless, or the last has
    no end.
    """
    if unit == "calendar":
        yield period.begins, period.ends
        return
    calendar = counting_calendar(period.calendar, unit).working
    day = period.begins.astimezone(calendar.zone).date()
    last = period.ends.astimezone(calendar.zone).date() if period.ends is not None else None
    while last is None or day <= last:
        for opens, closes in calendar.working_intervals_utc(day):
            begins = max(opens, period.begins)
            ends = closes if period.ends is None else min(closes, period.ends)
            if begins < ends:
                yield begins, ends
        day += _ONE_DAY


def counting_calendar(calendar: NamedCalendar, unit: TimeUnit) -> NamedCalendar:
    """Return the calendar; for working time the default calendar if this one has none, which validation cannot
    rule out: otherwise the appeal would have no deadline.
    """
    return calendar if unit == "calendar" or any(calendar.working.weekly.values()) else DEFAULT_CALENDAR


def _spans(
    periods: Sequence[_Period], unit: TimeUnit, *, ends: datetime, cuts: Sequence[datetime]
) -> Iterator[Segment]:
    """Yield the segments of the periods in order until `ends`, divided by day and at `cuts`; a pause is divided
    only at `cuts`.
    """
    for period in periods:
        calendar = counting_calendar(period.calendar, unit)
        stop = min(period.ends, ends) if period.ends is not None else ends
        if period.paused:
            bounds = [period.begins, *(cut for cut in cuts if period.begins < cut < stop), stop]
            for begins, closes in pairwise(bounds):
                if begins < closes:
                    yield Segment(begins, closes, timedelta(), calendar, "paused", period.reason)
            continue
        begins = period.begins
        while begins < stop:
            ahead = (_next_midnight(calendar, begins), stop, *cuts)
            closes = min(found for found in ahead if found > begins)
            yield _segment(calendar, begins, closes, unit)
            begins = closes


def _segment(calendar: NamedCalendar, begins: datetime, ends: datetime, unit: TimeUnit) -> Segment:
    if unit == "calendar":
        return Segment(begins, ends, ends - begins, calendar)
    day = begins.astimezone(calendar.working.zone).date()
    counted = sum(
        (
            max(min(closes, ends) - max(opens, begins), timedelta())
            for opens, closes in calendar.working.working_intervals_utc(day)
        ),
        timedelta(),
    )
    exception = calendar.working.exception(day)
    why_not: NotCounted | None = None
    if not counted:
        day_off: NotCounted = "holiday" if exception else "day_off"
        why_not = "outside_hours" if calendar.working.intervals(day) else day_off
    return Segment(begins, ends, counted, calendar, why_not, exception.title if exception else None)


def _next_midnight(calendar: NamedCalendar, moment: datetime) -> datetime:
    zone = calendar.working.zone
    tomorrow = moment.astimezone(zone).date() + timedelta(days=1)
    return datetime.combine(tomorrow, time.min, zone).astimezone(UTC)


def _in_utc(event: ClockEvent) -> ClockEvent:
    """Return the event with times in UTC, because Python's arithmetic within a time zone ignores changes of its
    offset.
    """
    if all(moment is None or moment.tzinfo is UTC for moment in (event.at, event.starts_at, event.due_at)):
        return event
    return replace(
        event,
        at=event.at.astimezone(UTC),
        starts_at=event.starts_at.astimezone(UTC) if event.starts_at else None,
        due_at=event.due_at.astimezone(UTC) if event.due_at else None,
    )


def _required(moment: datetime | None) -> datetime:
    if moment is None:
        raise ValueError("an event that sets the start of a clock must give `starts_at`")
    return moment
