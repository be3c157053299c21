"""What webhooks keeps for a term only: deliveries, and the feed of events, which it serves."""

from collections.abc import Sequence
from datetime import timedelta
from itertools import takewhile
from uuid import UUID

from sqlalchemy import Select, func, select, union_all

from shared import clock
from shared.api.pagination import inline_literal
from shared.database.purge import Rule, Terms, expired
from shared.database.sessions import WriteSession
from shared.logs import logger
from shared.tables.appeals import AppealsCursor
from shared.tables.common import Event
from shared.tables.ingest import IngestCursor
from shared.tables.webhooks import WebhookDelivery, WebhooksCursor

log = logger(__name__)


def purge_rules(terms: Terms) -> Sequence[Rule]:
    """Return the rules of webhooks' tables. What waits for its next attempt stays, however old."""
    delivered, failed, events_age = (
        timedelta(days=count) for count in (terms.deliveries_days, terms.failed_deliveries_days, terms.events_days)
    )

    async def some_events(session: WriteSession, limit: int) -> int:
        return await _purge_events(session, events_age, limit)

    return (
        expired(
            WebhookDelivery,
            WebhookDelivery.created_at,
            lambda: [
                WebhookDelivery.status == inline_literal("delivered"),
                WebhookDelivery.created_at < clock.now() - delivered,
            ],
        ),
        expired(
            WebhookDelivery,
            WebhookDelivery.created_at,
            lambda: [
                WebhookDelivery.status == inline_literal("failed"),
                WebhookDelivery.created_at < clock.now() - failed,
                func.coalesce(WebhookDelivery.last_attempt_at, WebhookDelivery.created_at) < clock.now() - failed,
            ],
        ),
        Rule(Event.__tablename__, some_events),
    )


async def _purge_events(session: WriteSession, term: timedelta, limit: int) -> int:
    """Delete the oldest events, as far as all before a position may go; returns how many.

    The feed stays without gaps: where one event is needed, by a consumer, a delivery or a job, those after it stay
    too. The newest event always stays, since the next position is counted from it.
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
        return 0
    ids = [row.id for row in old]
    cut = old[-1].position + 1
    for holder, query in (("a consumer", _unread()), ("a delivery", _delivered(ids)), ("a job", _of_jobs(ids))):
        needed = await session.scalar(query)
        if needed is not None and needed < cut:
            log.warning("events are kept past their term", needed_by=holder, position=needed)
            cut = needed
    return await session.scalar(select(func.purge_events(cut))) or 0


def _unread() -> Select[int | None]:
    """The first position that some consumer has not read."""
    cursors = union_all(*(select(table.position) for table in (AppealsCursor, IngestCursor, WebhooksCursor)))
    return select(func.min(cursors.subquery().c.position) + 1)


def _delivered(ids: Sequence[UUID]) -> Select[int | None]:
    """The first position among these events of which a delivery is kept."""
    return (
        select(func.min(Event.position))
        .join(WebhookDelivery, WebhookDelivery.event_id == Event.id)
        .where(Event.id.in_(ids))
    )


def _of_jobs(ids: Sequence[UUID]) -> Select[int | None]:
    """The first position among these events that a job of any service still has to handle."""
    needed = select(func.events_of_jobs().column_valued("id"))
    return select(func.min(Event.position)).where(Event.id.in_(ids), Event.id.in_(needed))
