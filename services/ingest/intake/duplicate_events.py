"""Skip duplicate pushed events: networks deliver an event again until it is accepted, and sometimes later.

An event is identified by its page and `IncomingItem.push_event_id`; the table `processed_push_events` keeps both
for a limited time. Items without such an id, such as results of a poll, are kept: intake compares them with the
stored message.
"""

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from services.ingest.intake.batches import BatchItem, IntakeBatch
from services.ingest.networks.sanitize import without_nul
from shared import clock

_RECORD_NEW = """
INSERT INTO processed_push_events (page_id, event_id, created_at)
SELECT u.page_id, u.event_id, $1::timestamptz FROM unnest($2::uuid[], $3::text[]) AS u(page_id, event_id)
ON CONFLICT DO NOTHING
RETURNING page_id, event_id
"""


async def without_duplicate_events(
    connection: asyncpg.Connection, batches: Sequence[IntakeBatch]
) -> list[BatchItem]:
    """Return the items except those of events that were processed before or occur earlier in the batches.

    Records the new events in the same transaction, so an event is recorded only if its items are stored.
    """
    items = [BatchItem(number, item) for number, batch in enumerate(batches) for item in batch.items]
    named = {_event(batches, one) for one in items if one.item.push_event_id is not None}
    if not named:
        return items
    ordered = sorted(named)
    rows = await connection.fetch(
        _RECORD_NEW, clock.now(), [page for page, _ in ordered], [name for _, name in ordered]
    )
    fresh = {(UUID(bytes=row["page_id"].bytes), row["event_id"]) for row in rows}
    kept, repeated = [], set()
    for one in items:
        if one.item.push_event_id is not None:
            event = _event(batches, one)
            what = (event, one.item.kind, one.item.external_id, one.item.change)
            if event not in fresh or what in repeated:
                continue
            repeated.add(what)
        kept.append(one)
    return kept


def _event(batches: Sequence[IntakeBatch], one: BatchItem) -> tuple[UUID, str]:
    return batches[one.batch].page.id, without_nul(one.item.push_event_id or "")
