"""Reminders of promises whose date is near, in the organisation's working time."""

from datetime import datetime, timedelta

from sqlalchemy import select

from services.appeals.lifecycle.timeline import AppealRecorder, event_snapshot
from services.appeals.sla.calendar_lookup import CalendarLookup
from shared import clock
from shared.api.pagination import inline_literal
from shared.contracts.appeal_events import PromiseReminded
from shared.database.sessions import WriteSession
from shared.tables.appeals import Appeal
from shared.tables.appeals_replies import Promise
from shared.working_time import WorkingCalendar, is_working_moment, working_time_between

# A reminder is sent when this much working time of the organisation is left.
REMINDER_WORKING_TIME = timedelta(hours=8)
# Longer than any sequence of days off in the region, so that no reminder of a later promise is due yet. If an
# organisation is closed for longer, the reminder is sent when it opens again.
_REMINDER_HORIZON = timedelta(days=21)
BATCH = 500


async def remind_of_promises(session: WriteSession) -> int:
    """Send reminders of the next open promises that are due within a working day; return how many. Reminders are
    sent only in the organisation's working time: at night they would be read too late or disturb people.
    """
    now = clock.now()
    # Calendars determine which promises are due. Only the appeals of these are locked, so that other appeals'
    # messages and replies need not wait.
    waiting = (
        await session.execute(
            select(Promise.id, Promise.organisation_id, Promise.promised_at)
            .where(
                Promise.status == inline_literal("open"),
                Promise.reminded_at.is_(None),
                Promise.promised_at > now,
                Promise.promised_at < now + _REMINDER_HORIZON,
            )
            .order_by(Promise.promised_at, Promise.id)
        )
    ).all()
    calendars = await CalendarLookup.load(
        session, {row.organisation_id for row in waiting if row.organisation_id is not None}
    )
    due = [
        row.id
        for row in waiting
        if _is_reminder_due(calendars.for_organisation(row.organisation_id).working, now, row.promised_at)
    ]
    rows = await session.execute(
        select(Promise, Appeal)
        .join(Appeal, Appeal.id == Promise.appeal_id)
        .where(
            Promise.id.in_(due[:BATCH]),
            Promise.status == inline_literal("open"),
            Promise.reminded_at.is_(None),
        )
        .with_for_update(skip_locked=True)
    )
    recorder = AppealRecorder()
    found = rows.all()
    for promise, appeal in found:
        promise.reminded_at = now
        recorder.add_timeline_entry(
            appeal, "promise_reminded", promise_id=str(promise.id), promised_at=promise.promised_at.isoformat()
        )
        recorder.add_event(
            PromiseReminded(**event_snapshot(appeal), promise_id=promise.id, promised_at=promise.promised_at)
        )
    await recorder.write(session)
    return len(found)


def _is_reminder_due(calendar: WorkingCalendar, now: datetime, promised_at: datetime) -> bool:
    return (
        is_working_moment(calendar, now)
        and working_time_between(calendar, now, promised_at) <= REMINDER_WORKING_TIME
    )
