"""Rows of clocks and their events: reading them for the computation, adding events, storing the results. The row
of a clock describes its start. The start gets its own event row only when a later event changes the clock's row.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Literal, cast
from uuid import UUID

from typing_extensions import TypeAliasType

from services.appeals.sla.calendar_lookup import CalendarLookup
from services.appeals.sla.deadlines import (
    ClockEvent,
    ClockEventKind,
    ClockReading,
    Target,
    TimeUnit,
    compute_deadline,
    read_clock,
    traces_of_withdrawn_answers,
)
from services.appeals.sla.explanation import explain_deadline, explained_spans
from services.appeals.sla.opened_clocks import clocks_of
from services.appeals.sla.sla_context import SlaContext
from shared import clock as time_source
from shared.ids import new_id
from shared.tables.appeals import Appeal
from shared.tables.appeals_sla import UNFINISHED_CLOCK_STATES, SlaClock, SlaClockEvent, SlaPolicy

ClockKind = TypeAliasType("ClockKind", Literal["first_response", "next_response", "final_answer"])
STARTED_STATES = ("running", "paused")
ENDED_STATES = ("stopped", "cancelled")
# Events after which the row of the clock no longer describes its start.
_CHANGES_START = frozenset({"restarted", "moved", "policy_changed", "merged"})
_BEGINS = frozenset({"started", "restarted"})
_START = 1


def unfinished(appeal: Appeal, kind: ClockKind) -> SlaClock | None:
    """Return the appeal's clock of this kind that is neither stopped nor cancelled, or None."""
    return next(
        (found for found in clocks_of(appeal) if found.kind == kind and found.state in UNFINISHED_CLOCK_STATES),
        None,
    )


def last_of_kind(appeal: Appeal, kind: ClockKind) -> SlaClock | None:
    """Return the appeal's latest clock of this kind; a cancelled one only if there is no other."""
    rows = [found for found in reversed(clocks_of(appeal)) if found.kind == kind]
    return next((found for found in rows if found.state != "cancelled"), rows[0] if rows else None)


def clock_of_message(
    appeal: Appeal, kind: ClockKind, *, message_id: UUID | None, written_at: datetime, received_at: datetime
) -> SlaClock:
    """Return the unfinished clock of this kind, or a new clock in the state `waiting`, set to this message."""
    row = unfinished(appeal, kind)
    if row is None:
        now = time_source.now()
        row = SlaClock(
            id=new_id(), appeal_id=appeal.id, kind=kind, state="waiting", created_at=now, updated_at=now, events=[]
        )
        clocks_of(appeal).append(row)
    row.message_id, row.written_at, row.received_at = message_id, written_at, received_at
    return row


def start(
    row: SlaClock,
    actor: str,
    *,
    policy: SlaPolicy,
    target: Target,
    starts_at: datetime,
    organisation_id: UUID | None,
    calendar_id: UUID | None,
    reason: str | None = None,
) -> None:
    """Start or restart a clock of a locked appeal; `reason` is stored with a restart that no message explains."""
    row.warned_share = row.overdue_recorded_at = None
    if row.start_recorded_at is not None:
        add_event(
            row,
            "restarted",
            actor,
            time_source.now(),
            reason=reason,
            policy=policy,
            target=target,
            starts_at=starts_at,
            organisation_id=organisation_id,
            calendar_id=calendar_id,
        )
        return
    row.started_by, row.start_recorded_at, row.started_at = actor, time_source.now(), starts_at
    row.policy_id = policy.id
    _set_target(row, target)
    row.organisation_id, row.calendar_id = organisation_id, calendar_id


def add_event(
    row: SlaClock,
    kind: ClockEventKind,
    actor: str,
    at: datetime,
    *,
    reason: str | None = None,
    policy: SlaPolicy | None = None,
    target: Target | None = None,
    **fields: Any,
) -> None:
    """Add an event to a clock of a locked appeal; its sequence number follows the last event's."""
    if kind in _CHANGES_START and not _is_start_written(row):
        row.events.insert(0, start_event(row))
    if policy is not None:
        row.policy_id = policy.id
    if kind in {"restarted", "moved"}:
        row.organisation_id, row.calendar_id = fields["organisation_id"], fields["calendar_id"]
    row.events.append(
        SlaClockEvent(
            clock_id=row.id,
            sequence=max((event.sequence for event in row.events), default=_START) + 1,
            kind=kind,
            actor=actor,
            at=at,
            reason=reason,
            policy_id=policy.id if policy is not None else None,
            recorded_at=time_source.now(),
            **target_columns(target),
            **fields,
        )
    )


def start_event(row: SlaClock) -> SlaClockEvent:
    """Return the event that started the clock: the stored event, or one built from the clock's own row."""
    if _is_start_written(row):
        return row.events[0]
    recorded_at = row.start_recorded_at or row.created_at
    return SlaClockEvent(
        clock_id=row.id, sequence=_START, kind="started", at=recorded_at, actor=row.started_by, reason=None,
        organisation_id=row.organisation_id, calendar_id=row.calendar_id, policy_id=row.policy_id,
        starts_at=row.started_at, target_seconds=row.target_seconds, unit=row.unit,
        ceiling_seconds=row.ceiling_seconds, recorded_at=recorded_at,
    )  # fmt: skip


def all_events(row: SlaClock) -> list[SlaClockEvent]:
    """Return the events of a clock in order, including its start; empty if it has not started."""
    if row.start_recorded_at is None:
        return []
    return list(row.events) if _is_start_written(row) else [start_event(row), *row.events]


def _is_start_written(row: SlaClock) -> bool:
    return bool(row.events) and row.events[0].sequence == _START


def events_of(row: SlaClock, calendars: CalendarLookup) -> list[ClockEvent]:
    """Return the events of a started clock for the computation. Raises `KeyError` if a calendar is not loaded."""
    return [
        ClockEvent(
            sequence=event.sequence,
            kind=cast("ClockEventKind", event.kind),
            at=event.at,
            starts_at=event.starts_at,
            calendar=calendars.by_id(event.calendar_id),
            target=_target(event),
            extension=timedelta(seconds=event.extension_seconds) if event.extension_seconds else None,
            reason=event.reason,
        )
        for event in all_events(row)
    ]


def owner_event(row: SlaClock) -> SlaClockEvent:
    """Return the event with which the current organisation got a started clock."""
    return next(event for event in reversed(all_events(row)) if event.kind in {"started", "restarted", "moved"})


def owned_since(row: SlaClock) -> datetime:
    """Return when the current organisation got a started clock. Another calendar of the organisation, and another
    start of the clock, do not count.
    """
    owners = [event for event in all_events(row) if event.kind in {"started", "restarted", "moved"}]
    others = [number for number, event in enumerate(owners) if event.organisation_id != owners[-1].organisation_id]
    return owners[max(others, default=-1) + 1].at


def continued_at(row: SlaClock) -> datetime | None:
    """Return when the clock last continued after a pause or an answer, also a withdrawn answer; None if it was
    never interrupted.
    """
    goes_on = {"resumed", "reopened", "answer_withdrawn"}
    return max((event.at for event in row.events if event.kind in goes_on), default=None)


def reopened_after(row: SlaClock) -> datetime | None:
    """Return the time of the answer after which the clock was reopened; None if the clock was not reopened, was
    restarted since, or the answer was withdrawn.
    """
    traces = traces_of_withdrawn_answers([(event.kind, event.at) for event in row.events])
    events = [event for index, event in enumerate(row.events) if index not in traces]
    kinds = [event.kind for event in events]
    if "reopened" not in kinds:
        return None
    index = len(kinds) - 1 - kinds[::-1].index("reopened")
    return None if "restarted" in kinds[index:] else events[index - 1].at


def extensions_of(row: SlaClock) -> list[SlaClockEvent]:
    """Return the extensions of a clock since it was last started, oldest first."""
    events = all_events(row)
    begins = max((number for number, event in enumerate(events) if event.kind in _BEGINS), default=0)
    return [event for event in events[begins:] if event.kind == "extended"]


def store_results(row: SlaClock, sla: SlaContext) -> None:
    """Compute the deadline of a started clock from its events and store it.

    The explanation of the deadline is stored when the clock ends; until then it is computed on demand.
    """
    events, policy = events_of(row, sla.calendars), sla.policy(row.policy_id)
    found = compute_deadline(events, shares_to_warn_of(policy, after=row.warned_share))
    row.state, row.started_at, row.due_at = found.state, found.started_at, found.due_at
    row.next_warning_at, row.explanation = found.next_warning_at, None
    row.unextended_due_at = found.unextended_due_at
    if row.due_at is not None and row.due_at > time_source.now():
        # A new policy or calendar moved the deadline into the future: it can be missed again, and this must be
        # recorded again.
        row.overdue_recorded_at = None
    if found.target is not None:
        _set_target(row, found.target)
    if found.state in ENDED_STATES:
        reading = read_clock(events)
        row.stopped_at, row.used_seconds = row.events[-1].at, _seconds(reading.used)
        row.explanation = _explanation(row, reading, policy)
        if found.state == "stopped":
            row.on_time = row.due_at is None or row.stopped_at <= row.due_at


def shares_to_warn_of(policy: SlaPolicy | None, *, after: float | None = None) -> list[float]:
    """Return the shares of the time to warn of, in ascending order: those above `after`, the last one recorded."""
    return [share for share in policy.warn_at if share > (after or 0)] if policy is not None else []


def explanation_of(row: SlaClock, sla: SlaContext) -> dict[str, Any] | None:
    """Return the explanation of a clock's deadline; None if the clock has not started."""
    if row.state in ENDED_STATES or row.start_recorded_at is None:
        return row.explanation
    return _explanation(row, read_clock(events_of(row, sla.calendars)), sla.policy(row.policy_id))


def deadline_text(row: SlaClock | None, sla: SlaContext) -> str | None:
    """Return the deadline of a clock in Russian words; None if there is no clock or it has not started."""
    if row is None or row.start_recorded_at is None:
        return None
    if row.explanation is not None and row.state in ENDED_STATES:
        return str(row.explanation["text"])
    return explain_deadline(read_clock(events_of(row, sla.calendars)))


def working_seconds_used(row: SlaClock, sla: SlaContext) -> int:
    """Return the working time in seconds that a stopped clock used, even if its target counts calendar time."""
    events = [
        replace(event, target=replace(event.target, unit="working", ceiling=None)) if event.target else event
        for event in events_of(row, sla.calendars)
    ]
    return _seconds(read_clock(events).used)


def segment_figures(reading: ClockReading) -> list[dict[str, Any]]:
    """Return the segments of a reading as JSON. Their whole seconds add up to `used` and `left` exactly."""
    total, shown, figures = timedelta(), 0, []
    for part in reading.segments:
        total += part.counted
        seconds = _seconds(total) - shown
        shown += seconds
        figures.append(
            {
                "from": part.begins.isoformat(),
                "to": part.ends.isoformat(),
                "seconds": seconds,
                "planned": part.begins >= reading.moment,
                "why_not": part.why_not,
                "note": part.note,
                "calendar": part.calendar.name,
            }
        )
    return figures


def _explanation(row: SlaClock, reading: ClockReading, policy: SlaPolicy | None) -> dict[str, Any]:
    text = explain_deadline(reading)
    if reading.target is None or policy is None:
        return {"text": text}
    until = reading.due_at or reading.moment
    calendar = reading.calendar
    spans = explained_spans([part for part in reading.segments if part.ends <= until])
    return {
        "policy_id": str(policy.id),
        "policy": policy.name,
        "hours": reading.target.amount / timedelta(hours=1),
        **({"extension_hours": reading.extension / timedelta(hours=1)} if reading.extension else {}),
        "unit": reading.target.unit,
        "starts_from": policy.starts_from,
        "starts_at": reading.started_at.isoformat(),
        "due_at": reading.due_at.isoformat() if reading.due_at else None,
        "calendar_id": str(calendar.id) if calendar.id else None,
        "calendar": calendar.name,
        "time_zone": calendar.working.zone.key,
        "days": [
            {
                "day": span.begins.astimezone(span.calendar.working.zone).date().isoformat(),
                "minutes": span.minutes,
                "note": span.note,
            }
            for span in spans
            if span.why_not != "paused"
        ],
        "text": text,
        # A calendar may change after the clock has ended; the time that was counted stays.
        **({"segments": segment_figures(reading)} if row.state in ENDED_STATES else {}),
    }


def _target(event: SlaClockEvent) -> Target | None:
    if event.target_seconds is None:
        return None
    return Target(
        timedelta(seconds=event.target_seconds),
        cast("TimeUnit", event.unit),
        timedelta(seconds=event.ceiling_seconds) if event.ceiling_seconds is not None else None,
    )


def target_columns(target: Target | None) -> dict[str, Any]:
    """Return a target as column values of a clock or an event."""
    return {
        "target_seconds": _seconds(target.amount) if target is not None else None,
        "unit": target.unit if target is not None else None,
        "ceiling_seconds": _seconds(target.ceiling) if target is not None and target.ceiling else None,
    }


def _set_target(row: SlaClock, target: Target) -> None:
    for name, value in target_columns(target).items():
        setattr(row, name, value)


def _seconds(duration: timedelta) -> int:
    return int(duration.total_seconds())
