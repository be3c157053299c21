"""Presenters of the clocks of an appeal."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.api.presenters.extensions import requests_out
from services.appeals.assignees.directory import ActorNames
from services.appeals.deadline_watch import escalations
from services.appeals.extensions import extension_requests
from services.appeals.promises import promise_queries
from services.appeals.promises.promise_reading import ended_by_reply, read_promise
from services.appeals.schemas.sla import deadlines
from services.appeals.sla.clock_rows import (
    STARTED_STATES,
    all_events,
    events_of,
    explanation_of,
    extensions_of,
    last_of_kind,
    segment_figures,
    unfinished,
)
from services.appeals.sla.deadlines import ClockReading, due_if_resumed, read_clock
from services.appeals.sla.explanation import explain_deadline, explain_state
from services.appeals.sla.limits import latest_promise, return_until
from services.appeals.sla.opened_clocks import clocks_of
from services.appeals.sla.sla_context import SlaContext
from shared import clock
from shared.auth.callers import Caller
from shared.personal_data_reads import note_read
from shared.tables.appeals import Appeal
from shared.tables.appeals_replies import Promise
from shared.tables.appeals_sla import SlaClock


def deadline_out(appeal: Appeal, sla: SlaContext) -> dict[str, Any] | None:
    """Return the field `deadline` of an appeal: how its response deadlines were computed; None if it has none."""
    first = last_of_kind(appeal, "first_response")
    found: dict[str, Any] = _explained(first, sla) if first is not None else {}
    following = unfinished(appeal, "next_response")
    if following is not None:
        found["next_response"] = _message(following) | _explained(following, sla)
    answered = [row for row in clocks_of(appeal) if row.kind == "next_response" and row.state == "stopped"]
    if answered:
        found["previous_responses"] = [
            _message(row)
            | _explained(row, sla)
            | {
                "answered_at": row.stopped_at.isoformat() if row.stopped_at else None,
                "on_time": row.on_time,
                "working_seconds": row.used_seconds,
            }
            for row in answered
        ]
    return found or None


def _message(row: SlaClock) -> dict[str, Any]:
    return {
        "message_id": str(row.message_id) if row.message_id else None,
        "written_at": row.written_at.isoformat(),
        "received_at": row.received_at.isoformat(),
    }


def _explained(row: SlaClock, sla: SlaContext) -> dict[str, Any]:
    shown = (explanation_of(row, sla) if row.state != "waiting" else None) or {}
    return {name: value for name, value in shown.items() if name != "segments"}


async def deadlines_of(
    session: AsyncSession, appeal: Appeal, sla: SlaContext, caller: Caller
) -> deadlines.DeadlinesOut:
    """Return the clocks and promises of an appeal as of now, their escalations, and the extension requests that
    the caller may see, each oldest first. If people wrote grounds or reasons, the read is recorded.
    """
    promises = await promise_queries.promises_of(session, appeal.id)
    steps = await escalations.escalations_of(session, appeal.id)
    events = [event for row in clocks_of(appeal) for event in all_events(row)]
    requested = await extension_requests.requests_of(session, caller, appeal.id)
    actors = [event.actor for event in events]
    names = await ActorNames.load(session, [*actors, *(person_id for row in steps for person_id in row.told)])
    now = clock.now()
    clocks = [_clock_out(row, sla, names) for row in clocks_of(appeal)]
    notes = [part.note for one in clocks for part in one.segments if part.why_not == "paused"]
    if requested or any(event.reason for event in events) or any(notes):
        note_read(session, caller, "appeal", [appeal.id])
    return deadlines.DeadlinesOut(
        appeal_id=appeal.id,
        version=appeal.version,
        at=now,
        return_until=return_until(appeal, sla),
        latest_promise_at=latest_promise(appeal, sla, now),
        clocks=[
            *clocks,
            *(_promise_out(promise, appeal, sla, now) for promise in promises),
        ],
        next_escalation_at=appeal.next_escalation_at if appeal.status != "triage" else None,
        escalations=[
            deadlines.EscalationOut(
                step=row.step,
                clock=row.clock,
                organisation_id=row.organisation_id,
                due_at=row.due_at,
                at=row.created_at,
                notified=[names.ref(person_id) for person_id in row.told],
                skipped=not row.told,
            )
            for row in steps
        ],
        extension_requests=await requests_out(session, requested),
    )


def _clock_out(row: SlaClock, sla: SlaContext, names: ActorNames) -> deadlines.ClockOut:
    policy = sla.policy(row.policy_id)
    shown: dict[str, Any] = {
        name: getattr(row, name)
        for name in (
            "id", "kind", "state", "message_id", "written_at", "received_at", "started_at", "due_at", "stopped_at",
            "on_time", "target_seconds", "unit", "ceiling_seconds", "next_warning_at", "unextended_due_at",
        )
    }  # fmt: skip
    shown["policy"] = (
        deadlines.ClockPolicy(id=policy.id, policy_key=policy.policy_key, name=policy.name, version=policy.version)
        if policy is not None
        else None
    )
    same = [name for name in deadlines.ClockEventOut.model_fields if name != "actor"]
    shown["events"] = [
        deadlines.ClockEventOut(**{name: getattr(event, name) for name in same}, actor=names.ref(event.actor))
        for event in all_events(row)
    ]
    if not shown["events"]:
        return deadlines.ClockOut(
            **shown,
            text="Отсчёт начнётся, если модератор решит, что ответ нужен" if row.state == "waiting" else None,
        )
    events = events_of(row, sla.calendars)
    reading = read_clock(events, clock.now())
    shown["extension_seconds"] = sum(event.extension_seconds or 0 for event in extensions_of(row))
    shown["calendar"], shown["time_zone"] = reading.calendar.name, reading.calendar.working.zone.key
    if row.state == "paused":
        shown["due_if_resumed_now"] = due_if_resumed(events, reading.moment)
    return deadlines.ClockOut(**(shown | _figures(row, reading)))


def _promise_out(promise: Promise, appeal: Appeal, sla: SlaContext, now: datetime) -> deadlines.ClockOut:
    reading = read_promise(promise, now, calendar=sla.calendars.for_organisation(appeal.organisation_id))
    stopped_at = ended_by_reply(promise)
    return deadlines.ClockOut(
        id=promise.id,
        kind="promise",
        state=reading.state,
        message_id=None,
        written_at=appeal.written_at,
        received_at=appeal.opened_at,
        policy=None,
        target_seconds=None,
        unit=None,
        ceiling_seconds=None,
        time_zone=reading.calendar.working.zone.key,
        started_at=promise.made_at,
        due_at=promise.promised_at,
        stopped_at=stopped_at,
        on_time=stopped_at <= promise.promised_at if stopped_at is not None else None,
        next_warning_at=None,
        used_seconds=int(reading.used.total_seconds()),
        left_seconds=int(reading.left.total_seconds()),
        events=[],
        text=explain_deadline(reading),
    )


def _figures(row: SlaClock, reading: ClockReading) -> dict[str, Any]:
    """Return the segments of a clock, their sums and the explanation; a finished clock has its segments stored."""
    stored = row.explanation or {}
    segments = stored.get("segments") if row.state not in STARTED_STATES else None
    if segments is None:
        segments = segment_figures(reading)
        words = (explain_deadline(reading), explain_state(reading, on_time=row.on_time))
        text = ". ".join(part for part in words if part)
    else:
        used = timedelta(seconds=sum(part["seconds"] for part in segments if not part["planned"]))
        summary = replace(reading, due_at=row.due_at, used=used)
        text = f"{stored['text']}. {explain_state(summary, on_time=row.on_time)}"
    return {
        "used_seconds": sum(part["seconds"] for part in segments if not part["planned"]),
        "left_seconds": sum(part["seconds"] for part in segments if part["planned"]) + _unplanned(row, reading),
        "segments": [deadlines.ClockSegment(**part) for part in segments],
        "text": text,
    }


def _unplanned(row: SlaClock, reading: ClockReading) -> int:
    """Return the remaining seconds that no segment covers: those of a paused clock, which has no deadline."""
    if row.state != "paused":
        return 0
    # Rounding each down separately could lose a second of the sum.
    return int((reading.used + reading.left).total_seconds()) - int(reading.used.total_seconds())
