"""Judges messages before their batch's turn: while one batch is written down, the texts of the next are read.

It changes no row. What it judged in vain, because the surroundings changed meanwhile, is judged anew at its turn.
"""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals import intake
from services.appeals.judging import judging
from shared.database import Database
from shared.events import BATCH
from shared.service import Service
from shared.tables.events import AppealsCursor, Event
from shared.tables.ingest import Message
from shared.wakeups import EVENTS, wait

_PORTION = 250
# So far ahead of the batch under way; the judge keeps no more.
_BATCHES = 4


async def judge_next(database: Database, reached: int) -> int:
    """Judge the next messages that stand behind the batch under way and after position `reached`.

    Returns the position of the last one, or `reached` when there is nothing to judge ahead.
    """
    async with database.read() as session:
        waiting = await _behind_the_batch(session, reached)
        if not waiting:
            return reached
        ids = {subject_id for _, subject_id in waiting}
        messages = [
            message
            for message in await session.scalars(intake.messages_query().where(Message.id.in_(ids)))
            if not message.history and not message.from_community
        ]
        around = await intake.Around.load(session, messages)
        items = [around.item(message) for message in messages]
    await judging().judge_ahead(items)
    return waiting[-1][0]


async def _behind_the_batch(session: AsyncSession, reached: int) -> list[tuple[int, object]]:
    at = await session.scalar(select(AppealsCursor.position).where(AppealsCursor.consumer == "appeals")) or 0
    queue = (
        select(Event.position, Event.subject_id)
        .where(Event.position > at, Event.type.in_(intake.TYPES))
        .order_by(Event.position)
        .offset(BATCH)
        .limit(_BATCHES * BATCH)
        .subquery()
    )
    rows = await session.execute(
        select(queue.c.position, queue.c.subject_id)
        .where(queue.c.position > reached)
        .order_by(queue.c.position)
        .limit(_PORTION)
    )
    return [(position, subject_id) for position, subject_id in rows]


async def run(service: Service) -> None:
    """Judge ahead for ever, while there is a backlog."""
    await judging().make_ready()
    reached = 0
    async with service.wakeups.subscribed(EVENTS) as woken:
        while True:
            await wait(woken, seconds=2)
            while (last := await judge_next(service.database, reached)) > reached:
                reached = last
