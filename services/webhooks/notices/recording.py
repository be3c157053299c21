"""Notices of events: a row for each person whom an event concerns, in the transaction of the consumer's offset."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from services.webhooks.notices.messages.accounts import linked_networks
from services.webhooks.notices.preferences import (
    channels_of,
    choices_of,
    may_wake,
    settings_of,
    suppression_reason,
)
from services.webhooks.notices.recipients import Addressee, NewNotice, find_recipients
from services.webhooks.notices.reports.published_reports import is_late
from services.webhooks.notices.reports.report_readers import find_report_readers
from services.webhooks.notices.schedule import WorkingHours, next_digest, next_working_moment
from services.webhooks.schemas.notices import (
    NoticeChannel,
    NoticeDelivery,
    NoticeKind,
    NoticeReason,
    NoticeStatus,
)
from services.webhooks.settings import webhooks_settings
from shared import clock
from shared.contracts.metrics_events import ReportReady
from shared.database.bulk_insert import insert_rows
from shared.database.sessions import WriteSession
from shared.ids import new_id
from shared.tables.common import Event
from shared.tables.notices import Notice, NoticeSettings

# Missed weeks are published one after another. Only the newest is sent, so late reports wait for newer ones.
LATE_REPORT_DELAY = timedelta(hours=1)


async def record_notices(session: WriteSession, events: Sequence[Event]) -> None:
    """Write the notices of these events. Idempotent."""
    reports = [event for event in events if event.type == ReportReady.event_type]
    of_appeals = [event for event in events if event.type != ReportReady.event_type]
    found = [*await find_recipients(session, of_appeals), *await find_report_readers(session, reports)]
    if not found:
        return
    people = {person.id: person for new in found for person in new.people}
    chosen = await settings_of(session, set(people))
    hours = await WorkingHours.load(session, {person.organisation_id for person in people.values()})
    linked = await linked_networks(session, set(people))
    now = clock.now()
    rows = [
        _row(new, person, chosen.get(person.id), hours, now, linked=linked.get(person.id, ()))
        for new in found
        for person in new.people
    ]
    await insert_rows(session, Notice, rows, skip_conflicts=True)


def _row(
    new: NewNotice,
    person: Addressee,
    settings: NoticeSettings | None,
    hours: WorkingHours,
    now: datetime,
    *,
    linked: Collection[str],
) -> dict[str, Any]:
    config = webhooks_settings()
    details = dict(new.details)
    channel = channels_of(settings)[new.kind]
    if channel not in linked:
        channel = NoticeChannel.EMAIL
    is_off = channel is NoticeChannel.EMAIL and not config.sends_email
    reason = NoticeReason.EMAIL_OFF if is_off else _reason(new, settings, channel)
    calendar = hours.of(person.organisation_id)
    # Notices that come together, as after a bulk assignment, share a letter.
    gathered = timedelta(seconds=config.notices_gather_seconds)
    if isinstance(new.data, ReportReady) and is_late(new.data, now):
        gathered = LATE_REPORT_DELAY
    send_at = next_working_moment(calendar, now + gathered)
    digest = False
    if may_wake(settings, new.kind, details):
        send_at = now
    elif choices_of(settings)[new.kind] is NoticeDelivery.DIGEST:
        digest_at = next_digest(calendar, now, config.notices_digest_time)
        due_at = datetime.fromisoformat(details["due_at"]) if "due_at" in details else None
        # A notice does not wait for the digest if its deadline passes before.
        if due_at is None or not now < due_at <= digest_at:
            digest, send_at = True, digest_at
    return {
        "id": new_id(),
        "event_id": new.event.id,
        "event_type": new.event.type,
        "kind": new.kind.value,
        "channel": channel.value,
        "person_id": person.id,
        "organisation_id": person.organisation_id,
        **_subject(new),
        "details": details,
        "status": (NoticeStatus.WAITING if reason is None else NoticeStatus.SUPPRESSED).value,
        "reason": None if reason is None else reason.value,
        "digest": digest,
        "send_at": send_at,
        "occurred_at": new.event.occurred_at,
        "created_at": now,
    }


def _reason(new: NewNotice, settings: NoticeSettings | None, channel: NoticeChannel) -> NoticeReason | None:
    """Return why the notice is suppressed; None if the settings at the time it is due decide.

    A report is published hours before its letter is due, so a person may still confirm an address meanwhile.
    """
    if new.kind is NoticeKind.REPORT and settings is not None:
        return None
    return suppression_reason(settings, new.kind, channel)


def _subject(new: NewNotice) -> dict[str, Any]:
    """Return the columns that say what the notice is about."""
    appeal_id, appeal_number, report_week = None, None, None
    if isinstance(new.data, ReportReady):
        report_week = new.data.week
    else:
        appeal_id, appeal_number = new.data.id, new.data.number
    return {
        "appeal_id": appeal_id,
        "appeal_number": appeal_number,
        "appeal_organisation_id": new.event.organisation_id,
        "report_week": report_week,
    }
