"""Retention of webhooks tables: deliveries, notices, and events, because webhooks serves the event feed."""

from collections.abc import Sequence
from datetime import timedelta
from itertools import takewhile
from uuid import UUID

from prometheus_client import Gauge
from sqlalchemy import Select, exists, func, select, union_all

from shared import clock
from shared.api.pagination import inline_literal
from shared.database.purge import PurgeRule, RetentionSettings, purge_rule
from shared.database.sessions import WriteSession
from shared.logs import get_logger
from shared.tables.appeals import AppealsConsumerOffset
from shared.tables.common import Event
from shared.tables.ingest import IngestConsumerOffset
from shared.tables.notices import Notice, NoticeAccount, NoticeLetter, NoticeSettings
from shared.tables.registry import Person
from shared.tables.webhooks import StreamTicket, WebhookAttempt, WebhookDelivery, WebhooksConsumerOffset

log = get_logger(__name__)

PURGE_HELD_BACK = Gauge(
    "gospablik_event_purge_held_back",
    "1 while expired events are kept, because a consumer, a delivery or a job needs one",
    ["blocked_by"],
)
_HOLDERS = ("consumer", "delivery", "job")


def purge_rules(terms: RetentionSettings) -> Sequence[PurgeRule]:
    """Return the purge rules of webhooks tables. A delivery that awaits an attempt is kept, whatever its age."""
    delivered, failed, attempted, events_age, notices_age = (
        timedelta(days=count)
        for count in (
            terms.deliveries_days,
            terms.failed_deliveries_days,
            terms.delivery_attempts_days,
            terms.events_days,
            terms.notices_days,
        )
    )

    async def some_events(session: WriteSession, limit: int) -> int:
        return await _purge_events(session, events_age, limit)

    return (
        purge_rule(
            WebhookDelivery,
            WebhookDelivery.created_at,
            lambda: [
                WebhookDelivery.status == inline_literal("delivered"),
                WebhookDelivery.created_at < clock.now() - delivered,
            ],
        ),
        purge_rule(
            WebhookDelivery,
            WebhookDelivery.created_at,
            lambda: [
                WebhookDelivery.status == inline_literal("failed"),
                WebhookDelivery.created_at < clock.now() - failed,
                func.coalesce(WebhookDelivery.last_attempt_at, WebhookDelivery.created_at) < clock.now() - failed,
            ],
        ),
        purge_rule(
            WebhookAttempt,
            WebhookAttempt.started_at,
            lambda: [WebhookAttempt.started_at < clock.now() - attempted],
        ),
        purge_rule(
            StreamTicket, StreamTicket.expires_at, lambda: [StreamTicket.expires_at < func.clock_timestamp()]
        ),
        purge_rule(
            Notice,
            Notice.created_at,
            lambda: [Notice.status.not_in(["waiting", "sending"]), Notice.created_at < clock.now() - notices_age],
        ),
        purge_rule(
            NoticeLetter,
            NoticeLetter.created_at,
            lambda: [
                NoticeLetter.status.not_in(["waiting", "sending"]),
                NoticeLetter.created_at < clock.now() - notices_age,
                ~exists().where(Notice.letter_id == NoticeLetter.id),
            ],
        ),
        _of_people_who_left(NoticeSettings, notices_age),
        _of_people_who_left(NoticeAccount, notices_age),
        PurgeRule(Event.__tablename__, some_events),
    )


def _of_people_who_left(table: type[NoticeSettings | NoticeAccount], term: timedelta) -> PurgeRule:
    """Return the purge rule for the table's rows of deactivated people, unchanged for longer than `term`."""
    return purge_rule(
        table,
        table.created_at,
        lambda: [
            exists(
                select(Person.id).where(
                    Person.id == table.person_id, ~Person.active, Person.updated_at < clock.now() - term
                )
            )
        ],
    )


async def _purge_events(session: WriteSession, term: timedelta, limit: int) -> int:
    """Delete the oldest expired events; return how many were deleted.

    The feed must have no gaps: when a consumer, a delivery or a job still needs an event, all later events stay
    too. The newest event always stays, because the next position is computed from it.
    """
    oldest = (
        await session.execute(
            select(Event.id, Event.position, Event.created_at)
            .where(Event.position.is_not(None))
            .order_by(Event.position)
            .limit(limit + 1)
        )
    ).all()
    before = clock.now() - term
    old = list(takewhile(lambda row: row.created_at < before, oldest[:-1]))
    if not old:
        for holder in _HOLDERS:
            PURGE_HELD_BACK.labels(holder).set(0)
        return 0
    ids = [row.id for row in old]
    cut = old[-1].position + 1
    for holder, query in zip(_HOLDERS, (_unread(), _delivered(ids), _of_jobs(ids)), strict=True):
        needed = await session.scalar(query)
        if needed is None or needed >= cut:
            PURGE_HELD_BACK.labels(holder).set(0)
            continue
        PURGE_HELD_BACK.labels(holder).set(1)
        log.warning("event purge held back", blocked_by=holder, position=needed)
        cut = needed
    return await session.scalar(select(func.purge_events(cut))) or 0


def _unread() -> Select[int | None]:
    """Return the query for the first position that some consumer has not read."""
    offsets = union_all(
        *(
            select(table.position)
            for table in (AppealsConsumerOffset, IngestConsumerOffset, WebhooksConsumerOffset)
        )
    )
    return select(func.min(offsets.subquery().c.position) + 1)


def _delivered(ids: Sequence[UUID]) -> Select[int | None]:
    """Return the query for the lowest position among these events that a delivery refers to."""
    return (
        select(func.min(Event.position))
        .join(WebhookDelivery, WebhookDelivery.event_id == Event.id)
        .where(Event.id.in_(ids))
    )


def _of_jobs(ids: Sequence[UUID]) -> Select[int | None]:
    """Return the query for the lowest position among these events that a job of any service still needs."""
    needed = select(func.events_needed_by_jobs().column_valued("id"))
    return select(func.min(Event.position)).where(Event.id.in_(ids), Event.id.in_(needed))
