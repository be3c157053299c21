"""Loops wait for notifications; one query a second finds rows whose notification was missed."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event as engine_event
from sqlalchemy import func, select, text

from shared.audit import recorder
from shared.contracts.catalogue import EVENT_MODELS
from shared.database.sessions import Database, WriteSession
from shared.events import consumer as consumer_module
from shared.events import listen_notify
from shared.events.consumer import Consumer
from shared.events.listen_notify import EVENTS_NUMBERED, OUTBOX_WAITS, NotificationListener
from shared.events.outbox import NewEvent, emit
from shared.events.relay import RELAY_ADVISORY_LOCK, number_committed_events, relay
from shared.tables.appeals import AppealsConsumerOffset
from shared.tables.common import AuditEntry, Event
from tests.conftest import TestDatabase
from tests.support.eventually import eventually, eventually_true
from tests.support.sample_events import sample_data


def event(kind: str = "appeal.opened", subject: UUID | None = None) -> NewEvent:
    return NewEvent(data=sample_data(kind), subject_id=subject or uuid4(), organisation_id=None, actor="test")


async def write(database: Database, *events: NewEvent) -> None:
    async with database.write() as session:
        await emit(session, *events)


@asynccontextmanager
async def running(*work: asyncio.Task[None]) -> AsyncIterator[None]:
    try:
        yield
    finally:
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)


async def test_audit_rows_are_chained_without_a_notification(
    appeals_database: Database, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listen_notify, "LONGEST_WAIT_SECONDS", 1_000.0)
    monkeypatch.setattr(listen_notify, "LONGEST_WAIT_UNCONNECTED_SECONDS", 1_000.0)
    wakeups = NotificationListener(polls_outbox=True)
    listen = asyncio.create_task(wakeups.run(database.url("appeals")))
    async with running(listen, asyncio.create_task(relay(appeals_database, wakeups))):
        # The relay runs once when LISTEN connects and may find the first row then, so a second row is needed.
        for nth in (1, 2):
            async with appeals_database.write() as session:
                recorder.set_context(session, recorder.operator_context("appeals", "test"))
                await recorder.record_action(session, "job", "1")

            async def chained(nth: int = nth) -> bool:
                async with appeals_database.read() as reader:
                    return await reader.scalar(select(func.max(AuditEntry.position))) == nth

            await eventually(chained, "the audit row is chained")


async def test_standby_relay_numbers_rows_after_the_other_relay_is_gone(
    appeals_database: Database, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listen_notify, "LONGEST_WAIT_SECONDS", 1_000.0)
    monkeypatch.setattr(listen_notify, "LONGEST_WAIT_UNCONNECTED_SECONDS", 1_000.0)
    wakeups = NotificationListener()
    holder = await database.connect("appeals")
    await holder.execute("BEGIN")
    await holder.execute("SELECT pg_advisory_xact_lock($1)", RELAY_ADVISORY_LOCK)
    tried = asyncio.Event()

    def seen(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "pg_try_advisory_xact_lock" in statement:
            tried.set()

    engine_event.listen(appeals_database.engine.sync_engine, "before_cursor_execute", seen)
    async with running(asyncio.create_task(relay(appeals_database, wakeups))):
        await tried.wait()
        await write(appeals_database, event())
        tried.clear()
        wakeups.notify_local("gospablik_outbox")
        await asyncio.sleep(0)
        await holder.close()  # the other relay is gone without having numbered anything

        async def numbered() -> int | None:
            wakeups.notify_local(OUTBOX_WAITS)
            async with appeals_database.read() as reader:
                return await reader.scalar(select(Event.position))

        assert await eventually(numbered, "the event is numbered") == 1


async def test_notification_wakes_only_those_who_wait_for_its_types(
    appeals_database: Database, database: TestDatabase
) -> None:
    wakeups = NotificationListener()
    async with (
        wakeups.subscribe(EVENTS_NUMBERED, ["appeal.opened"]) as opened,
        wakeups.subscribe(EVENTS_NUMBERED, ["appeal.closed", "appeal.moved"]) as closed,
        wakeups.subscribe(EVENTS_NUMBERED) as everything,
        running(asyncio.create_task(wakeups.run(database.url("appeals")))),
    ):

        async def woken_by(*kinds: str) -> list[bool]:
            for waiter in (opened, closed, everything):
                waiter.clear()
            await write(appeals_database, *map(event, kinds))
            await number_committed_events(appeals_database)
            await eventually_true(everything.is_set, "the notification has come")
            return [opened.is_set(), closed.is_set()]

        await eventually_true(
            lambda: wakeups.longest_wait == listen_notify.LONGEST_WAIT_SECONDS, "LISTEN connects"
        )
        # The first one is compared with nothing.
        assert await woken_by("appeal.closed") == [True, True]
        assert await woken_by("appeal.closed") == [False, True]
        assert await woken_by("appeal.opened", "appeal.opened") == [True, False]
        assert await woken_by("appeal.opened", "appeal.closed") == [True, True]
        await write(appeals_database, event("appeal.opened"))
        await appeals_database.execute_alone(
            text("UPDATE events SET position = 7 WHERE position IS NULL RETURNING position")
        )
        # The notification of position 7 was lost, so nobody knows the type of that event.
        assert await woken_by("appeal.closed") == [True, True]
        assert await woken_by("appeal.closed") == [False, True]


def test_all_types_of_events_fit_into_a_notification() -> None:
    assert len(",".join(EVENT_MODELS)) < 7_000  # Postgres refuses a payload of 8,000 bytes


@pytest.mark.parametrize("kind", ["appeal.closed", "appeal.opened"])
async def test_consumer_begins_a_transaction_only_for_events_of_its_types(
    appeals_database: Database, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(consumer_module, "STORE_SECONDS", 1_000.0)
    handled: list[UUID] = []

    async def take(_session: WriteSession, events: Sequence[Event]) -> None:
        handled.extend(found.subject_id for found in events)

    consumer = Consumer("picky", AppealsConsumerOffset, ("appeal.opened",), take)
    statements: list[str] = []

    def seen(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    wakeups = NotificationListener()
    healthy: list[str | None] = []
    reading = consumer.run(appeals_database, wakeups, lambda _, error: healthy.append(error))
    async with running(asyncio.create_task(reading)):
        await eventually_true(lambda: bool(healthy), "the first round is done")
        await write(appeals_database, event(kind))
        await number_committed_events(appeals_database)
        engine_event.listen(appeals_database.engine.sync_engine, "before_cursor_execute", seen)
        wakeups.notify_all_local()
        if kind == "appeal.opened":
            await eventually_true(lambda: bool(handled), "the event is handled")
        else:
            await eventually_true(lambda: bool(statements), "the consumer has queried")
            wakeups.notify_all_local()
            await eventually_true(lambda: len(statements) > 1, "it has queried again")
            assert all("AS wanted" in statement for statement in statements)
            assert handled == []


async def test_offset_advances_past_skipped_events(
    appeals_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer_module, "STORE_SECONDS", 0.01)

    async def never(_session: WriteSession, _events: Sequence[Event]) -> None:
        raise AssertionError("no event of this type was written")

    consumer = Consumer("picky", AppealsConsumerOffset, ("appeal.opened",), never)
    wakeups = NotificationListener()
    healthy: list[str | None] = []
    reading = consumer.run(appeals_database, wakeups, lambda _, error: healthy.append(error))
    async with running(asyncio.create_task(reading)):
        await eventually_true(lambda: bool(healthy), "the first round is done")
        await write(appeals_database, *(event("appeal.closed") for _ in range(3)))
        await number_committed_events(appeals_database)
        wakeups.notify_all_local()

        async def stored() -> bool:
            async with appeals_database.read() as reader:
                return await reader.scalar(select(AppealsConsumerOffset.position)) == 3

        await eventually(stored, "the offset is stored")
    assert set(healthy) == {None}


async def test_single_statement_is_committed_at_once(appeals_database: Database) -> None:
    insert = text("INSERT INTO appeals_consumer_offsets VALUES ('alone', 7) RETURNING position")
    assert (await appeals_database.execute_alone(insert)).position == 7
    async with appeals_database.read() as reader:
        assert await reader.scalar(select(AppealsConsumerOffset.position)) == 7
    # The connection returns to the pool without autocommit: this transaction is rolled back.
    with pytest.raises(RuntimeError):
        async with appeals_database.write() as session:
            await session.execute(text("DELETE FROM appeals_consumer_offsets"))
            raise RuntimeError
    found = await appeals_database.execute_alone(text("SELECT count(*) AS total FROM appeals_consumer_offsets"))
    assert found.total == 1


async def test_events_are_handled_again_after_the_stored_offset_goes_back(
    appeals_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer_module, "STORE_SECONDS", 1_000.0)
    handled: list[UUID] = []

    async def take(_session: WriteSession, events: Sequence[Event]) -> None:
        handled.extend(found.subject_id for found in events)

    consumer = Consumer("reader", AppealsConsumerOffset, ("appeal.opened",), take)
    wakeups = NotificationListener()
    opened = event()
    async with running(asyncio.create_task(consumer.run(appeals_database, wakeups, lambda *_: None))):
        await write(appeals_database, opened)
        await number_committed_events(appeals_database)
        wakeups.notify_all_local()

        async def stored() -> bool:
            async with appeals_database.read() as reader:
                return await reader.scalar(select(AppealsConsumerOffset.position)) == 1

        await eventually(stored, "the event is handled")
        # As after a failover to a standby that lacks the last batch.
        await appeals_database.execute_alone(
            text("UPDATE appeals_consumer_offsets SET position = 0 RETURNING position")
        )

        async def handled_again() -> bool:
            wakeups.notify_all_local()
            return len(handled) > 1

        await eventually(handled_again, "the event is handled again")
    assert set(handled) == {opened.subject_id}
