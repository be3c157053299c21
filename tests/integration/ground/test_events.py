"""Events are numbered after commit: whoever reads by position misses nothing."""

import asyncio
import json
import random
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select

from shared.database import Database, WriteSession
from shared.events import Consumer, NewEvent, emit, number_committed, read_after, relay
from shared.jobs import Jobs
from shared.tables.events import AppealsCursor, Event
from shared.wakeups import WakeUps
from tests.conftest import TestDatabase

WRITERS = 8
EVENTS_EACH = 250


def event(kind: str = "appeal.opened", subject: UUID | None = None) -> NewEvent:
    return NewEvent(type=kind, subject_id=subject or uuid4(), organisation_id=None, actor="test")


async def test_eight_writers_and_a_reader_lose_nothing(appeals_database: Database) -> None:
    written: list[UUID] = []
    seen: list[UUID] = []
    chance = random.Random(7)

    async def writer() -> None:
        left = EVENTS_EACH
        while left:
            batch = [uuid4() for _ in range(min(left, chance.randint(1, 5)))]
            left -= len(batch)
            async with appeals_database.write() as session:
                await emit(session, *(event(subject=subject) for subject in batch))
                # Transactions that stay open for different times commit out of order.
                await asyncio.sleep(chance.random() / 50)
            written.extend(batch)

    async def take(_session: WriteSession, events: list[Event]) -> None:
        seen.extend(found.subject_id for found in events)

    consumer = Consumer("reader", AppealsCursor, ("appeal.opened",), take)  # type: ignore[arg-type]
    wakeups = WakeUps()
    running = [
        asyncio.create_task(relay(appeals_database, wakeups)),
        asyncio.create_task(relay(appeals_database, wakeups)),
    ]
    reading = asyncio.create_task(consumer.run(appeals_database, wakeups, lambda *_: None))

    async def ring() -> None:
        while True:
            wakeups.ring_all()
            await asyncio.sleep(0.005)

    running.append(asyncio.create_task(ring()))
    await asyncio.gather(*(writer() for _ in range(WRITERS)))
    async with asyncio.timeout(20):
        while len(seen) < WRITERS * EVENTS_EACH:
            await asyncio.sleep(0.02)
    for task in (*running, reading):
        task.cancel()
    assert sorted(seen) == sorted(written)
    async with appeals_database.read() as reader:
        positions = list(await reader.scalars(select(Event.position).order_by(Event.position)))
    assert positions == list(range(1, WRITERS * EVENTS_EACH + 1))


async def test_an_event_of_a_transaction_rolled_back_never_was(appeals_database: Database) -> None:
    with pytest.raises(RuntimeError):
        async with appeals_database.write() as session:
            await emit(session, event())
            raise RuntimeError
    assert await number_committed(appeals_database) == 0


async def test_a_failing_handler_keeps_its_cursor_and_its_work_undone(appeals_database: Database) -> None:
    async with appeals_database.write() as session:
        await emit(session, event(), event())
    await number_committed(appeals_database)

    async def fail(session: WriteSession, events: list[Event]) -> None:
        await emit(session, event("appeal.closed"))
        raise RuntimeError("not today")

    consumer = Consumer("failing", AppealsCursor, ("appeal.opened",), fail)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError):
        await consumer.step(appeals_database)
    async with appeals_database.read() as reader:
        assert await reader.scalar(select(func.count()).select_from(Event)) == 2
        assert await reader.scalar(select(func.count()).select_from(AppealsCursor)) == 0


async def test_one_bad_event_holds_only_itself_and_shows(appeals_database: Database) -> None:
    good_before, bad, good_after = uuid4(), uuid4(), uuid4()
    async with appeals_database.write() as session:
        await emit(session, *(event(subject=subject) for subject in (good_before, bad, good_after)))
    await number_committed(appeals_database)
    done: list[UUID] = []
    reported: list[str | None] = []
    broken = True

    async def handle(_session: WriteSession, events: list[Event]) -> None:
        if broken and any(found.subject_id == bad for found in events):
            raise RuntimeError("cannot read it")
        done.extend(found.subject_id for found in events)

    consumer = Consumer("steady", AppealsCursor, ("appeal.opened",), handle)  # type: ignore[arg-type]
    task = asyncio.create_task(consumer.run(appeals_database, WakeUps(), lambda _, error: reported.append(error)))
    async with asyncio.timeout(10):
        while good_before not in done or not any(reported):
            await asyncio.sleep(0.02)
        assert bad not in done
        broken = False
        while len(done) < 3:
            await asyncio.sleep(0.02)
    task.cancel()
    assert done == [good_before, bad, good_after]


async def test_an_event_that_keeps_failing_is_handed_to_the_jobs_and_the_others_go_on(
    appeals_database: Database, database: TestDatabase
) -> None:
    bad, good = uuid4(), uuid4()
    async with appeals_database.write() as session:
        await emit(session, event(subject=bad), event(subject=good))
    await number_committed(appeals_database)
    done: list[UUID] = []

    async def handle(_session: WriteSession, events: list[Event]) -> None:
        if any(found.subject_id == bad for found in events):
            raise ValueError("cannot read it")
        done.extend(found.subject_id for found in events)

    jobs = Jobs("appeals")
    consumer = Consumer("hurried", AppealsCursor, ("appeal.opened",), handle, jobs)  # type: ignore[arg-type]
    task = asyncio.create_task(consumer.run(appeals_database, WakeUps(), lambda *_: None))
    async with asyncio.timeout(30):
        while not done:
            await asyncio.sleep(0.05)
    task.cancel()
    assert done == [good]
    connection = await database.connect()
    try:
        rows = await connection.fetch("SELECT entrypoint, payload FROM appeals_jobs.pgqueuer")
        wanted = await connection.fetchval("SELECT id FROM events WHERE subject_id = $1", bad)
    finally:
        await connection.close()
    assert [(row["entrypoint"], json.loads(row["payload"])) for row in rows] == [
        (consumer.job, {"event_id": str(wanted)})
    ]


async def test_a_consumer_steps_over_what_is_not_its_own(appeals_database: Database) -> None:
    async with appeals_database.write() as session:
        await emit(session, *(event("appeal.closed") for _ in range(5)))
    await number_committed(appeals_database)

    async def never(_session: WriteSession, _events: list[Event]) -> None:
        raise AssertionError("no event of this kind was written")

    consumer = Consumer("picky", AppealsCursor, ("appeal.opened",), never)  # type: ignore[arg-type]
    assert await consumer.step(appeals_database) == 0
    async with appeals_database.read() as reader:
        assert await reader.scalar(select(AppealsCursor.position)) == 5
        assert [found.position for found in await read_after(reader, 2)] == [3, 4, 5]


async def test_reader_session_cannot_write(appeals_database: Database, database: TestDatabase) -> None:
    async with appeals_database.read() as reader:
        with pytest.raises(Exception, match="read-only transaction"):
            await emit(reader, event())  # type: ignore[arg-type]
