"""A promise in the form of a clock. Pauses, calendars and transfers do not move its date."""

from datetime import datetime

from services.appeals.sla.deadlines import ClockEvent, ClockReading, read_clock
from services.appeals.sla.named_calendar import DEFAULT_CALENDAR, NamedCalendar
from shared.tables.appeals_replies import Promise


def read_promise(
    promise: Promise, moment: datetime | None = None, *, calendar: NamedCalendar = DEFAULT_CALENDAR
) -> ClockReading:
    """Return the reading of the promise at the moment, or at its end if a reply ended it. Only the time zone of
    the calendar is used.
    """
    started = ClockEvent(
        1, "started", promise.made_at, starts_at=promise.made_at, calendar=calendar, due_at=promise.promised_at
    )
    ended_at = ended_by_reply(promise)
    if ended_at is None:
        return read_clock([started], moment)
    return read_clock([started, ClockEvent(2, "stopped", ended_at, calendar=calendar)])


def ended_by_reply(promise: Promise) -> datetime | None:
    """Return when a published reply ended the promise, or None. A broken promise lasts until the final reply."""
    return promise.ended_at if promise.status in {"kept", "moved"} else promise.final_reply_at
