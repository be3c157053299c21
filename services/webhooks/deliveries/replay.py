"""Replay of events to one endpoint: of failed deliveries, of a period, or of one event.

Each replayed delivery is due a little after the previous one, so that new events, which are due at once, do not
wait for the whole replay.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.webhooks.deliveries.delivery_rows import Subscriber, delivery_rows
from services.webhooks.deliveries.event_range import DISORDER, first_position
from services.webhooks.deliveries.event_subjects import load_subjects
from services.webhooks.deliveries.fanout import CONSUMER
from services.webhooks.endpoints import endpoints, entitlements, health
from services.webhooks.event_catalogue.catalogue import VERIFICATION_EVENT_TYPE, subscribed_types
from services.webhooks.feed.positions import format_position, parse_position
from services.webhooks.schemas.replays import WebhookReplay, WebhookReplayKind, WebhookReplayRequest
from services.webhooks.settings import WebhooksSettings
from shared import clock
from shared.api.pagination import inline_literal
from shared.audit import recorder
from shared.auth.callers import Caller
from shared.database.bulk_insert import insert_rows
from shared.database.id_conditions import is_one_of
from shared.database.purge import RetentionSettings
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict, Invalid, NotFound
from shared.tables.appeals import Appeal
from shared.tables.common import Event
from shared.tables.registry import Organisation
from shared.tables.webhooks import WebhookDelivery, WebhookEndpoint, WebhooksConsumerOffset

# How many deliveries one request queues, and how many events it reads to find them.
REPLAYED_AT_ONCE = 1_000
LOOKED_THROUGH_AT_ONCE = 20_000

# Starts a new round of attempts, also for a delivered event. `last_attempt_at` is cleared, so that the result of
# an attempt that is under way is not recorded for the new round.
REQUEUED = {
    "status": "pending",
    "attempts": 0,
    "uncounted_attempts": 0,
    "delivered_at": None,
    "last_attempt_at": None,
}


@dataclass(frozen=True)
class _Found:
    """What to replay, in order: existing deliveries, or events with or without a delivery; and where to continue.

    `next_range`: the positions after the first, up to the last, that are still to be read; None: there are none.
    """

    deliveries: Sequence[UUID] = ()
    events: Sequence[Event] = ()
    has_more: bool = False
    next_range: tuple[int, int] | None = None


async def replay(
    session: WriteSession,
    caller: Caller,
    settings: WebhooksSettings,
    endpoint_id: UUID,
    request: WebhookReplayRequest,
) -> WebhookReplay:
    """Queue the requested events for the endpoint, with their ids; deliveries already pending stay as they are.

    Raise `Invalid` for missing or inapplicable fields, `NotFound` for an unknown endpoint or event,
    `Conflict` for an endpoint that may not receive.
    """
    _check(request)
    if request.what is WebhookReplayKind.ALL and request.since is not None:
        request = request.model_copy(update={"since": max(request.since, _oldest_replayed())})
    # Read before the locks are taken, which other transactions wait for.
    bounds = await _bounds(session, request) if request.what is WebhookReplayKind.ALL else None
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"replay {endpoint_id}", 0))))
    # Lock order: the offset of the fan-out before endpoints, as in the fan-out itself, to avoid deadlocks. This
    # lock also blocks a concurrent erasure, which would miss deliveries that are being written with the texts it
    # erases.
    fanned_out = await session.scalar(
        select(WebhooksConsumerOffset.position)
        .where(WebhooksConsumerOffset.consumer == CONSUMER)
        .with_for_update()
    )
    endpoint = await endpoints.get(session, caller, endpoint_id, lock="share")
    endpoints.require_receiving(endpoint)
    if await health.count_deliveries(session, endpoint.id, "pending") >= health.MAX_COUNTED:
        raise Conflict(f"{health.MAX_COUNTED:,} deliveries or more are waiting for this endpoint: try again later")
    entitled = await entitlements.load_entitlements(session, settings.webhooks_personal_data_hosts, {endpoint.id})
    if (reason := entitled[endpoint.id].suspension_reason) is not None:
        raise Conflict(f"The endpoint may not receive events, because {reason}: take it over first")
    now: datetime = (await session.execute(select(func.clock_timestamp()))).scalar_one()
    match request.what:
        case WebhookReplayKind.FAILED:
            found = await _failed(session, endpoint, request)
        case WebhookReplayKind.ALL:
            assert bounds is not None
            after, end = bounds
            # The fan-out itself delivers the events that it has not read yet.
            last = min(fanned_out or 0, end) if end is not None else fanned_out or 0
            found = await _of_time(session, endpoint, request, (after, last), entitled[endpoint.id])
        case WebhookReplayKind.EVENT:
            found = await _one(session, endpoint, request, entitled[endpoint.id])
    spread = timedelta(seconds=1 / settings.webhooks_replays_per_second)
    first_due = now if request.what is WebhookReplayKind.EVENT else await _end_of_queue(session, endpoint, now)
    # Lock existing deliveries before looking for missing ones: a delivery purged in between would be in neither.
    existing = await _lock_finished(session, endpoint, found)
    missing = await _missing(session, endpoint, found.events, entitled, now)
    in_order = found.deliveries or [event.id for event in found.events]
    due = {
        key: first_due + spread * number
        for number, key in enumerate((key for key in in_order if key in existing or key in missing), 1)
    }
    await insert_rows(
        session,
        WebhookDelivery,
        [row | {"next_attempt_at": due[key]} for key, row in missing.items()],
    )
    if existing:
        await session.execute(
            update(WebhookDelivery),
            [{"id": of, "next_attempt_at": due[key]} | REQUEUED for key, of in existing.items()],
        )
    # No audit rows of deliveries: an audit row of the endpoint records the replay.
    await recorder.record(session, WebhookDelivery)
    await recorder.record_action(session, WebhookEndpoint.__tablename__, str(endpoint.id))
    return WebhookReplay(
        queued=len(due),
        last_due_at=max(due.values(), default=None),
        has_more=found.has_more,
        next_after=None if found.next_range is None else "-".join(map(format_position, found.next_range)),
    )


def _check(request: WebhookReplayRequest) -> None:
    """Raise `Invalid` naming a missing field, or a field that this kind of replay does not take."""
    of_event = request.what is WebhookReplayKind.EVENT
    fields = {"since", "until", "after", "event_id"}
    allowed = {"event_id"} if of_event else {"since", "until"}
    if request.what is WebhookReplayKind.ALL:
        allowed |= {"after"}
    for name in sorted(fields - allowed):
        if getattr(request, name) is not None:
            raise Invalid.field(f"/{name}", f"This field does not apply to `what: {request.what}`: leave it out")
    needed = "event_id" if of_event else "since"
    if getattr(request, needed) is None:
        raise Invalid.field(f"/{needed}", f"This field is required with `what: {request.what}`")
    if request.since is not None and request.until is not None and request.until <= request.since:
        raise Invalid.field("/until", "`until` must be later than `since`")


def _oldest_replayed() -> datetime:
    """Return the moment before which events are not replayed.

    An event is not purged while it has a delivery, and failed deliveries are kept for long: without this limit a
    replay of old events would delay their purge.
    """
    terms = RetentionSettings()
    return clock.now() - timedelta(days=terms.events_days - terms.failed_deliveries_days)


async def _failed(session: AsyncSession, endpoint: WebhookEndpoint, request: WebhookReplayRequest) -> _Found:
    query = select(WebhookDelivery.id).where(
        WebhookDelivery.endpoint_id == endpoint.id,
        WebhookDelivery.status == inline_literal("failed"),
        WebhookDelivery.event_type != VERIFICATION_EVENT_TYPE,
        WebhookDelivery.created_at >= request.since,
    )
    if request.until is not None:
        query = query.where(WebhookDelivery.created_at < request.until)
    oldest_first = query.order_by(WebhookDelivery.created_at, WebhookDelivery.id).limit(REPLAYED_AT_ONCE + 1)
    ids = (await session.scalars(oldest_first)).all()
    return _Found(deliveries=ids[:REPLAYED_AT_ONCE], has_more=len(ids) > REPLAYED_AT_ONCE)


async def _bounds(session: AsyncSession, request: WebhookReplayRequest) -> tuple[int, int | None]:
    """Return the position before the period's events, and their last position.

    Without `until`, the first request has no last position (None): the replay ends with the newest event. A
    continued replay ends where the first request would have ended it: later events are delivered anyway.
    """
    assert request.since is not None
    if request.after is not None:
        # A cursor of a former version has no end.
        first, dash, last = request.after.partition("-")
        after, *end = [
            parse_position(part, "/after", "Expected `next_after` of the previous response")
            for part in ([first, last] if dash else [first])
        ]
        if end:
            return after, end[0]
    else:
        after = await first_position(session, request.since - DISORDER) - 1
    if request.until is None:
        return after, None
    return after, await first_position(session, request.until + DISORDER) - 1


async def _of_time(
    session: AsyncSession,
    endpoint: WebhookEndpoint,
    request: WebhookReplayRequest,
    positions: tuple[int, int],
    entitled: entitlements.Entitlement,
) -> _Found:
    """Return the next events of the period that the endpoint receives, by its filters as they are now.

    `positions`: after the first, up to the last.
    """
    after, last = positions
    window = (
        select(Event.position)
        .where(Event.position > after, Event.position <= last)
        .order_by(Event.position)
        .limit(LOOKED_THROUGH_AT_ONCE)
        .subquery()
    )
    end = await session.scalar(select(func.max(window.c.position)))
    if end is None:
        return _Found()
    query = select(Event).where(
        Event.position <= end,
        Event.created_at >= request.since,
        Event.type.in_(subscribed_types(endpoint.event_types)),
    )
    if request.until is not None:
        query = query.where(Event.created_at < request.until)
    if endpoint.organisation_subtree:
        below = select(Organisation.id).where(Organisation.lineage.overlap(endpoint.organisation_subtree))
        query = query.where(Event.organisation_id.in_(below))
    elif endpoint.organisation_id is not None:
        query = query.where(Event.organisation_id == endpoint.organisation_id)
    oldest_first = query.order_by(Event.position).limit(REPLAYED_AT_ONCE)
    events: list[Event] = []
    reached = after
    while reached < end and len(events) < REPLAYED_AT_ONCE:
        batch = (await session.scalars(oldest_first.where(Event.position > reached))).all()
        reached = end if len(batch) < REPLAYED_AT_ONCE else _position(batch[-1])
        events += await _matching(session, endpoint, batch, entitled)
    if len(events) > REPLAYED_AT_ONCE:
        events = events[:REPLAYED_AT_ONCE]
        reached = _position(events[-1])
    has_more = reached < last
    return _Found(events=events, has_more=has_more, next_range=(reached, last) if has_more else None)


def _position(event: Event) -> int:
    assert event.position is not None, "only numbered events are replayed"
    return event.position


async def _matching(
    session: AsyncSession,
    endpoint: WebhookEndpoint,
    events: Sequence[Event],
    entitled: entitlements.Entitlement,
) -> list[Event]:
    """Return the events that the endpoint receives."""
    subscriber = Subscriber.of(endpoint)
    subjects = await load_subjects(session, events, [subscriber])
    return [event for event in events if subscriber.receives(event, subjects[event.id], entitled)]


async def _one(
    session: AsyncSession,
    endpoint: WebhookEndpoint,
    request: WebhookReplayRequest,
    entitled: entitlements.Entitlement,
) -> _Found:
    existing = await session.scalar(
        select(WebhookDelivery.id).where(
            WebhookDelivery.endpoint_id == endpoint.id,
            WebhookDelivery.event_id == request.event_id,
            WebhookDelivery.event_type != VERIFICATION_EVENT_TYPE,
        )
    )
    if existing is not None:
        return _Found(deliveries=[existing])
    kept = (Event.position.is_not(None), Event.created_at >= _oldest_replayed())
    event = await session.scalar(select(Event).where(Event.id == request.event_id, *kept))
    if event is None or not await _matching(session, endpoint, [event], entitled):
        raise NotFound("No such event among those that the endpoint subscribes to")
    return _Found(events=[event])


async def _end_of_queue(session: AsyncSession, endpoint: WebhookEndpoint, now: datetime) -> datetime:
    """Return when the last queued delivery of an earlier replay is due; at the earliest, `now`."""
    last = await session.scalar(
        select(func.max(WebhookDelivery.next_attempt_at)).where(
            WebhookDelivery.endpoint_id == endpoint.id,
            WebhookDelivery.status == inline_literal("pending"),
            # A delivery with attempts is due for a retry, not for a replay; the time of one under way is the end
            # of its lease.
            WebhookDelivery.attempts == 0,
            WebhookDelivery.last_attempt_at.is_(None),
            # Deliveries that wait for an earlier one have no due time.
            WebhookDelivery.next_attempt_at < text("'infinity'"),
        )
    )
    return max(now, last or now)


async def _missing(
    session: WriteSession,
    endpoint: WebhookEndpoint,
    events: Sequence[Event],
    entitled: Mapping[UUID, entitlements.Entitlement],
    now: datetime,
) -> dict[UUID, dict[str, Any]]:
    """Return new delivery rows for the events that have none, by event id."""
    if not events:
        return {}
    known = set(
        await session.scalars(
            select(WebhookDelivery.event_id).where(
                WebhookDelivery.endpoint_id == endpoint.id,
                is_one_of(WebhookDelivery.event_id, [event.id for event in events]),
            )
        )
    )
    fresh = [event for event in events if event.id not in known]
    lost = await _of_appeals_of_another_organisation(session, endpoint, fresh)
    rows = await delivery_rows(session, fresh, [Subscriber.of(endpoint)], entitled, now, without_text=lost)
    return {row["event_id"]: row for row in rows}


async def _of_appeals_of_another_organisation(
    session: AsyncSession, endpoint: WebhookEndpoint, events: Sequence[Event]
) -> set[UUID]:
    """Return ids of the events about appeals that have left the organisation of the event since.

    Their deliveries get the current text, which the endpoint's organisation may no longer read.
    """
    if endpoint.organisation_id is None:
        return set()
    query = select(Appeal.id, Appeal.organisation_id).where(
        is_one_of(Appeal.id, [event.subject_id for event in events])
    )
    current = {row.id: row.organisation_id for row in await session.execute(query)}
    return {
        event.id
        for event in events
        if current.get(event.subject_id, event.organisation_id) != event.organisation_id
    }


async def _lock_finished(session: AsyncSession, endpoint: WebhookEndpoint, found: _Found) -> dict[UUID, UUID]:
    """Lock the found deliveries that are not pending; return their ids, by event id if events were found, else by
    delivery id.
    """
    key = WebhookDelivery.event_id if found.events else WebhookDelivery.id
    rows = await session.execute(
        select(key, WebhookDelivery.id)
        .where(
            WebhookDelivery.endpoint_id == endpoint.id,
            is_one_of(key, [event.id for event in found.events] or found.deliveries),
            WebhookDelivery.status != "pending",
        )
        .order_by(WebhookDelivery.id)
        .with_for_update()
    )
    return {row[0]: row[1] for row in rows}
