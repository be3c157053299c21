"""An independent computation of a clock: a loop over minutes that shares no code with the product."""

from datetime import UTC, datetime, timedelta

from tests.unit.appeals.sla.case_table import Case, RawCalendar, RawEvent, RawTarget

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LIMIT = 200 * 24 * 60


def policy_of(case: Case, received: datetime) -> RawTarget | None:
    """Return the target in effect when the message was received: the first policy of the case that has one."""
    for policy in case.policies:
        target = None
        for start, version in policy.versions:
            if start is None or start <= received:
                target = version
        if target is not None:
            return target
    return None


def count(case: Case, calendars: dict[str, RawCalendar]) -> tuple[datetime | None, int | None]:
    """Return the deadline and the minutes used at the answer, or at a pause that has not ended."""
    events = list(case.events)
    begin = max(number for number, event in enumerate(events) if event.kind in {"start", "restart"})
    first, rest = events[begin], _as_if_not_answered(events[begin + 1 :])
    # An answer does not end the clock if the clock was reopened later.
    reopened = max((number for number, event in enumerate(rest) if event.kind == "reopen"), default=-1)
    answers = [number for number, event in enumerate(rest) if event.kind == "stop" and number > reopened]
    answer = answers[0] if answers else None
    stop = rest[answer] if answer is not None else None
    rest = rest[:answer]
    target = policy_of(case, first.at)
    for event in rest:
        target = event.target if event.kind == "policy" else target
    if target is None:
        return first.other, None
    start = min([first.at, *(event.other for event in rest if event.kind == "merge" and event.other)])
    more = sum(event.minutes or 0 for event in rest if event.kind == "extend")
    changes = [event for event in rest if event.kind in _CHANGES]
    return _loop(case, calendars, target, more, start=start, changes=changes, stop=stop)


def _as_if_not_answered(events: list[RawEvent]) -> list[RawEvent]:
    """Return the events without withdrawals and without the stops and reopenings of withdrawn answers."""
    kept: list[RawEvent] = []
    for event in events:
        if event.kind != "withdraw":
            kept.append(event)
            continue
        answered = next(found.at for found in reversed(kept) if found.kind == "stop")
        before, kept, dropped = kept, [], False
        for found in before:
            dropped = found.at == answered if found.kind == "stop" else dropped and found.kind == "reopen"
            if not dropped:
                kept.append(found)
    return kept


_CHANGES = ("pause", "resume", "move", "stop", "reopen")


def _loop(
    case: Case,
    calendars: dict[str, RawCalendar],
    target: RawTarget,
    more: int,
    *,
    start: datetime,
    changes: list[RawEvent],
    stop: RawEvent | None,
) -> tuple[datetime | None, int | None]:
    stopped = _minute(stop.at) if stop is not None else None
    calendar, paused, waiting = calendars[case.calendar], False, list(changes)
    counted = unpaused = 0
    used: int | None = None
    due: int | None = None
    # Minutes of the extension that are still to count; None until the target or its ceiling is reached.
    extra: int | None = None

    def apply_changes_until(minute: int) -> None:
        nonlocal calendar, paused
        while waiting and _minute(waiting[0].at) <= minute:
            change = waiting.pop(0)
            if change.kind == "move":
                calendar = calendars[change.calendar or ""]
            else:
                paused = change.kind in {"pause", "stop"}

    # Apply changes at the start first, also for a clock that is answered at its start.
    apply_changes_until(_minute(start))
    for minute in range(_minute(start), _minute(start) + _LIMIT):
        if stopped is not None and used is None and minute >= stopped:
            used, paused, waiting = counted, False, []
        apply_changes_until(minute)
        if paused and not waiting and stopped is None:
            return _moment(due), counted if due is None else None
        if due is not None and (stopped is None or used is not None):
            return _moment(due), used
        if paused:
            continue
        unpaused += 1
        counts = target.unit == "c" or _is_working(minute, calendar)
        counted += counts
        if due is None and extra is not None:
            extra -= counts
        elif due is None and (counted == target.minutes or unpaused == target.ceiling):
            extra = more
        if due is None and extra == 0:
            due = minute + 1
    raise AssertionError(f"no deadline within {_LIMIT} minutes: {case.name}")


def _is_working(minute: int, calendar: RawCalendar) -> bool:
    local = (_EPOCH + timedelta(minutes=minute)).astimezone(calendar.zone)
    hours = calendar.week.get(local.isoweekday(), [])
    if local.date() in calendar.days:
        hours = calendar.days[local.date()][0]
    of_day = local.hour * 60 + local.minute
    return any(opens <= of_day < closes for opens, closes in hours)


def _minute(moment: datetime) -> int:
    return int((moment - _EPOCH).total_seconds()) // 60


def _moment(minute: int | None) -> datetime | None:
    return None if minute is None else _EPOCH + timedelta(minutes=minute)
