"""Prefetch of classifications: while one batch is written, the texts of the next batches are classified.

Nothing is written to the database. A prefetched result whose context has changed meanwhile is recomputed.
"""

import asyncio
from typing import cast

from sqlalchemy import bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.classification.classifier_pool import classifier_pool
from services.appeals.classification.classifier_process import ClassifierInput
from services.appeals.inbound import event_consumer, thread_context
from shared.database.id_conditions import is_one_of
from shared.database.sessions import Database
from shared.events.consumer import BATCH
from shared.events.listen_notify import EVENTS_NUMBERED, wait_for_notification
from shared.service import Service
from shared.tables.appeals import AppealsConsumerOffset
from shared.tables.common import Event
from shared.tables.ingest import Message

_PORTION = 500
# Number of batches to prefetch. The classifier pool keeps `MAX_PREFETCHED` results, which is more.
_BATCHES = 4
# The columns that classification needs. Plain rows cost a third of mapped objects.
_MESSAGE_COLUMNS = (
    Message.id, Message.text, Message.kind, Message.network, Message.thread_key, Message.reply_to, Message.page_id,
    Message.attachments, Message.author_key,
)  # fmt: skip

BACKLOG_SECONDS = 2.0
_POSITION = select(AppealsConsumerOffset.position).where(AppealsConsumerOffset.consumer == "appeals")
_QUEUE = (
    select(Event.position, Event.subject_id)
    .where(
        Event.position > func.coalesce(_POSITION.scalar_subquery(), 0),
        Event.type.in_(event_consumer.MESSAGE_EVENT_TYPES),
    )
    .order_by(Event.position)
    .offset(BATCH)
    .limit(_BATCHES * BATCH)
    .subquery()
)
# Built once: it is executed again after each portion, and building it takes longer than executing it.
_AFTER_BATCH = (
    select(_QUEUE.c.position, _QUEUE.c.subject_id)
    .where(_QUEUE.c.position > bindparam("reached"))
    .order_by(_QUEUE.c.position)
    .limit(_PORTION)
)
_HAS_BACKLOG = select(select(_QUEUE.c.position).exists())


async def next_inputs(database: Database, after_position: int) -> tuple[list[ClassifierInput], int]:
    """Return the classifier inputs of messages that wait beyond the current batch and `after_position`, and the
    position of the last event that was read; `after_position` if no event waits.
    """
    async with database.read() as session:
        waiting = await _events_after_batch(session, after_position)
        if not waiting:
            return [], after_position
        rows = await session.execute(
            select(*_MESSAGE_COLUMNS).where(
                is_one_of(Message.id, {subject_id for _, subject_id in waiting}),
                Message.history.is_(False),
                Message.from_community.is_(False),
            )
        )
        messages = cast("list[Message]", rows.all())
        context = await thread_context.ThreadContext.load(session, messages)
        return [context.classifier_input(message) for message in messages], waiting[-1][0]


async def prefetch_backlog(database: Database, reached: int) -> int:
    """Classify all messages that wait beyond the current batch and the position `reached`; the next portion is
    read while the current one is classified. Return the position of the last event that was read; `reached` if
    none waited.
    """
    reading: asyncio.Task[None] | None = None
    try:
        while True:
            items, last = await next_inputs(database, reached)
            if reading is not None:
                await reading
                reading = None
            if last == reached:
                return reached
            reading, reached = asyncio.create_task(classifier_pool().prefetch(items)), last
    finally:
        if reading is not None:
            await reading


async def _events_after_batch(session: AsyncSession, reached: int) -> list[tuple[int, object]]:
    rows = await session.execute(_AFTER_BATCH, {"reached": reached})
    return [(position, subject_id) for position, subject_id in rows]


async def run_prefetch(service: Service) -> None:
    """Prefetch while there is a backlog, until cancelled."""
    await classifier_pool().start()
    reached, has_backlog = 0, False
    async with service.wakeups.subscribe(EVENTS_NUMBERED, event_consumer.MESSAGE_EVENT_TYPES) as woken:
        classifier_pool().used = woken
        while True:
            seconds = service.wakeups.longest_wait
            # A backlog becomes shorter without a notification if its messages need no classification.
            await wait_for_notification(woken, min(seconds, BACKLOG_SECONDS) if has_backlog else seconds)
            (has_backlog,) = await service.database.execute_alone(_HAS_BACKLOG)
            if has_backlog:
                reached = await prefetch_backlog(service.database, reached)
