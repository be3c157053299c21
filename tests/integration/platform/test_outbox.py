"""Events are numbered after commit: whoever reads by position misses nothing."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any
from unittest import mock
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, text

from shared import clock
from shared.database.sessions import Database, WriteSession
from shared.events.consumer import Consumer, Handler, read_after
from shared.events.listen_notify import WakeUps
from shared.events.outbox import NewEvent, emit
from shared.events.relay import number_committed, relay
from shared.jobs import Jobs
from shared.tables.appeals import AppealsCursor
from shared.tables.common import Event
from tests.conftest import TestDatabase
from tests.integration.platform.simulated_outages import full, read_only
from tests.support.eventually import eventually
from tests.support.sample_events import sample_data

WRITERS = 8
EVENTS_EACH = 250


def event(kind: str = "appeal.opened", subject: UUID | None = None) -> NewEvent:
    return NewEvent(data=sample_data(kind), subject_id=subject or uuid4(), organisation_id=None, actor="test")


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
    async with asyncio.timeout(60):
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
    async with asyncio.timeout(60):
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
    async with asyncio.timeout(60):
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


async def test_a_machine_whose_clock_is_ahead_cannot_put_edited_before_received(
    appeals_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject, now = uuid4(), clock.now()
    monkeypatch.setattr("shared.clock.now", lambda: now + timedelta(minutes=5))
    async with appeals_database.write() as session:
        await emit(session, event("message.received", subject))
    monkeypatch.setattr("shared.clock.now", lambda: now)
    async with appeals_database.write() as session:
        await emit(session, event("message.edited", subject))
    await number_committed(appeals_database)
    async with appeals_database.read() as reader:
        found = await read_after(reader, 0)
    assert [one.type for one in found] == ["message.received", "message.edited"]


async def test_an_event_is_numbered_after_the_lock_that_its_pending_change_takes(
    appeals_database: Database,
) -> None:
    """Two writers of one row, the second begun first: its event comes after that of the first to hold the row."""
    async with appeals_database.write() as session:
        session.add(AppealsCursor(consumer="subject", position=0))
    begun, written = asyncio.Event(), asyncio.Event()

    async def second() -> None:
        async with appeals_database.write() as session:
            row = await session.get_one(AppealsCursor, "subject")
            begun.set()
            await written.wait()
            row.position += 1  # not yet in the database when the event is emitted
            await emit(session, event("appeal.closed"))

    async def waits_for_lock() -> bool:
        query = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        async with appeals_database.read() as session:
            return bool(await session.scalar(text(query)))

    async def first() -> None:
        async with appeals_database.write() as session:
            await begun.wait()
            row = await session.get_one(AppealsCursor, "subject", with_for_update=True)
            row.position += 1
            written.set()
            await eventually(waits_for_lock, "the second writer at the row")
            await emit(session, event("appeal.opened"))

    await asyncio.gather(second(), first())
    await number_committed(appeals_database)
    async with appeals_database.read() as reader:
        assert [one.type for one in await read_after(reader, 0)] == ["appeal.opened", "appeal.closed"]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two failures instead of five are too many; tracebacks, slow to write in colour, are left out."""
    monkeypatch.setattr("shared.events.consumer.PATIENCE", 2)
    monkeypatch.setattr("shared.events.consumer.PATIENCE_WITH_TIMEOUTS", 2)
    monkeypatch.setattr("shared.events.consumer.AFTER_OUTAGE_SECONDS", 0.05)
    monkeypatch.setattr("shared.events.consumer.log", mock.Mock())


@asynccontextmanager
async def reading(
    pool: Database, handle: Handler, report: Callable[[str, str | None], None] = lambda *_: None
) -> AsyncIterator[None]:
    consumer = Consumer("reader", AppealsCursor, ("appeal.opened",), handle, Jobs("appeals"))
    task = asyncio.create_task(consumer.run(pool, WakeUps(), report))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("away", [full, read_only])
async def test_no_event_is_dead_lettered_for_an_outage_and_none_overtakes(
    appeals_database: Database,
    database: TestDatabase,
    away: Callable[[TestDatabase], Any],
    impatient: None,
) -> None:
    async with appeals_database.write() as session:
        await emit(session, *(event() for _ in range(5)))
    await number_committed(appeals_database)
    seen: list[int | None] = []

    async def handle(_session: WriteSession, events: Sequence[Event]) -> None:
        seen.extend(found.position for found in events)

    failures = 0

    def report(_name: str, error: str | None) -> None:
        nonlocal failures
        failures += error is not None

    async with asyncio.timeout(60), AsyncExitStack() as stack:
        async with away(database):
            await stack.enter_async_context(reading(appeals_database, handle, report))
            while failures < 8:
                await asyncio.sleep(0.02)
        while len(seen) < 5:
            await asyncio.sleep(0.02)
    assert seen == [1, 2, 3, 4, 5]
    eye = await database.connect()
    assert await eye.fetchval("SELECT count(*) FROM appeals_jobs.pgqueuer") == 0
    await eye.close()


async def test_failures_before_an_outage_do_not_add_up_with_those_after_it(
    appeals_database: Database, database: TestDatabase, impatient: None
) -> None:
    async with appeals_database.write() as session:
        await emit(session, event())
    await number_committed(appeals_database)
    # The batch, then alone: two faults, an outage, two faults, well.
    fates = [ValueError(), ValueError(), ValueError(), ConnectionResetError(), ValueError(), ValueError()]
    done = asyncio.Event()

    async def handle(_session: WriteSession, _events: Sequence[Event]) -> None:
        if fates:
            raise fates.pop(0)
        done.set()

    async with asyncio.timeout(60), reading(appeals_database, handle):
        await done.wait()
    eye = await database.connect()
    assert await eye.fetchval("SELECT count(*) FROM appeals_jobs.pgqueuer") == 0
    await eye.close()


async def test_an_event_that_always_times_out_alone_is_dead_lettered_and_the_others_go_on(
    appeals_database: Database, impatient: None
) -> None:
    slow, good = uuid4(), uuid4()
    async with appeals_database.write() as session:
        await emit(session, event(subject=slow), event(subject=good))
    await number_committed(appeals_database)
    done = asyncio.Event()

    async def handle(session: WriteSession, events: Sequence[Event]) -> None:
        if any(found.subject_id == slow for found in events):
            await session.execute(text("SET LOCAL statement_timeout = 20"))
            await session.execute(text("SELECT pg_sleep(5)"))
        done.set()

    async with asyncio.timeout(60), reading(appeals_database, handle):
        await done.wait()


async def test_positions_that_a_lost_server_gave_are_not_given_again(
    appeals_database: Database, database: TestDatabase
) -> None:
    """The standby had not yet what the lost server numbered last; consumers outside had read it."""
    async with appeals_database.write() as session:
        await emit(session, *(event() for _ in range(3)))
    await number_committed(appeals_database)
    lost = 3
    eye = await database.connect()
    await eye.execute("DELETE FROM events WHERE position = $1", lost)
    # As a promotion leaves it: the same system, another timeline than the one that numbered so far.
    await eye.execute("UPDATE feed_epochs SET server = regexp_replace(server, '/.*', '/0')")
    async with appeals_database.write() as session:
        await emit(session, event("appeal.closed"))
    await number_committed(appeals_database)
    async with appeals_database.write() as session:
        await emit(session, event("appeal.reopened"))
    await number_committed(appeals_database)
    async with appeals_database.read() as reader:
        found = [(one.type, one.position) for one in await read_after(reader, lost)]
    assert found == [("appeal.closed", (1 << 32) + 1), ("appeal.reopened", (1 << 32) + 2)]
    await eye.close()
