"""Converts the calendars, policies and events of the table to objects of the product."""

from datetime import UTC, datetime, time, timedelta
from functools import cache
from uuid import UUID, uuid4

from services.appeals.sla.deadlines import ClockEvent, ClockEventKind, Target
from services.appeals.sla.named_calendar import NamedCalendar
from services.appeals.sla.policy_selection import PolicyFacts, first_response_target, policy_in_effect
from shared.tables.appeals_sla import SlaPolicy
from shared.working_time import DayException, Intervals, WorkingCalendar
from tests.unit.appeals.sla.case_table import Case, RawEvent, RawPolicy, RawTarget, Span, read_calendars

_ALWAYS = datetime(2000, 1, 1, tzinfo=UTC)
_KINDS: dict[str, ClockEventKind] = {
    "start": "started", "restart": "restarted", "move": "moved", "pause": "paused", "resume": "resumed",
    "policy": "policy_changed", "merge": "merged", "stop": "stopped", "reopen": "reopened", "extend": "extended",
    "withdraw": "answer_withdrawn",
}  # fmt: skip


@cache
def calendars() -> dict[str, NamedCalendar]:
    """Return the product's calendars by key."""
    return {
        key: NamedCalendar(
            UUID(int=number),
            key,
            WorkingCalendar(
                raw.zone,
                {weekday: _intervals(spans) for weekday, spans in raw.week.items()},
                {day: DayException(_intervals(spans), title) for day, (spans, title) in raw.days.items()},
            ),
        )
        for number, (key, raw) in enumerate(read_calendars().items(), start=1)
    }


def events_of(case: Case) -> list[ClockEvent]:
    """Return the events of a case; the policy of a start is the one in effect at that moment."""
    return [_event(case, number, event) for number, event in enumerate(case.events, start=1)]


def _event(case: Case, number: int, event: RawEvent) -> ClockEvent:
    starts = event.kind in {"start", "restart"}
    target = _in_effect(case, event.at) if starts else _target(event.target) if event.target else None
    return ClockEvent(
        sequence=number,
        kind=_KINDS[event.kind],
        at=event.at,
        starts_at=event.at if starts else event.other,
        calendar=calendars()[event.calendar or case.calendar],
        target=target,
        due_at=event.other if starts else None,
        extension=timedelta(minutes=event.minutes) if event.minutes is not None else None,
        reason="Ждём ответа" if event.kind == "pause" else None,
    )


def _in_effect(case: Case, received: datetime) -> Target | None:
    """Return the target of the policy in effect: the first policy of a case is the more specific one."""
    rows = [row for special, raw in enumerate(reversed(case.policies)) for row in _versions(raw, special)]
    return first_response_target(policy_in_effect(rows, PolicyFacts("normal"), received)) if rows else None


def _versions(raw: RawPolicy, special: int) -> list[SlaPolicy]:
    ends = [start for start, _ in raw.versions[1:]] + [None]
    return [
        SlaPolicy(
            id=uuid4(),
            urgency="normal" if special else None,
            first_response_hours=target.minutes / 60,
            first_response_unit="calendar" if target.unit == "c" else "working",
            ceiling_hours=target.ceiling / 60 if target.ceiling else None,
            valid_from=start or _ALWAYS,
            valid_until=end,
            created_at=_ALWAYS,
        )
        for (start, target), end in zip(raw.versions, ends, strict=True)
        if target is not None
    ]


def _target(raw: RawTarget) -> Target:
    return Target(
        timedelta(minutes=raw.minutes),
        "calendar" if raw.unit == "c" else "working",
        timedelta(minutes=raw.ceiling) if raw.ceiling else None,
    )


def _intervals(spans: list[Span]) -> Intervals:
    return tuple((_time(start), _time(end)) for start, end in spans)


def _time(minutes: int) -> time:
    return time(minutes // 60 % 24, minutes % 60)
