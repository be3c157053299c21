"""Jobs cannot vanish: neither by raising, nor by a rollback, nor with their worker."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from shared.database.sessions import Database, WriteSession
from shared.jobs import Jobs, TryLater
from tests.conftest import TestDatabase
from tests.integration.platform.simulated_outages import full, read_only


@asynccontextmanager
async def working(jobs: Jobs, url: str, pool: Database) -> AsyncIterator[None]:
    task = asyncio.create_task(jobs.run(url, pool))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def waiting_jobs(database: TestDatabase) -> list[tuple[str, str]]:
    connection = await database.connect()
    try:
        rows = await connection.fetch("SELECT entrypoint, status::text FROM appeals_jobs.pgqueuer ORDER BY id")
        return [(row["entrypoint"], row["status"]) for row in rows]
    finally:
        await connection.close()


async def enqueue(pool: Database, jobs: Jobs, name: str, **payload: Any) -> None:
    async with pool.write() as session:
        await jobs.enqueue(session, name, payload)


async def test_an_enqueue_as_first_statement_goes_with_the_rollback(
    appeals_database: Database, database: TestDatabase
) -> None:
    jobs = Jobs("appeals")
    with pytest.raises(RuntimeError):
        async with appeals_database.write() as session:
            await jobs.enqueue(session, "greet", {})
            raise RuntimeError
    assert await waiting_jobs(database) == []


async def test_a_job_runs_with_its_payload(appeals_database: Database, database: TestDatabase) -> None:
    jobs = Jobs("appeals")
    done: list[dict[str, Any]] = []

    @jobs.job("greet")
    async def greet(payload: dict[str, Any]) -> None:
        done.append(payload)

    await enqueue(appeals_database, jobs, "greet", who="Баир")
    async with working(jobs, database.url("appeals"), appeals_database), asyncio.timeout(60):
        while not done:
            await asyncio.sleep(0.02)
    assert done == [{"who": "Баир"}]


async def test_a_job_that_raises_is_still_there_and_can_be_put_back(
    appeals_database: Database, database: TestDatabase
) -> None:
    jobs = Jobs("appeals", max_attempts=1, initial_delay=timedelta(milliseconds=50))
    broken = True
    done = asyncio.Event()

    @jobs.job("fragile")
    async def fragile(_payload: dict[str, Any]) -> None:
        if broken:
            raise RuntimeError("the other side is down")
        done.set()

    await enqueue(appeals_database, jobs, "fragile")
    async with working(jobs, database.url("appeals"), appeals_database), asyncio.timeout(60):
        while await waiting_jobs(database) != [("fragile", "failed")]:
            await asyncio.sleep(0.05)
        broken = False
        connection = await database.connect("appeals")
        try:
            held = await jobs.held(connection)
            assert [job.entrypoint for job in held] == ["fragile"]
            await jobs.put_back(connection, [int(job.id) for job in held])
        finally:
            await connection.close()
        await done.wait()


async def test_a_job_that_asks_for_later_is_not_a_failure(
    appeals_database: Database, database: TestDatabase
) -> None:
    jobs = Jobs("appeals", max_attempts=1)
    tries = 0
    done = asyncio.Event()

    @jobs.job("patient")
    async def patient(_payload: dict[str, Any]) -> None:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise TryLater(timedelta(milliseconds=20), "not yet")
        done.set()

    await enqueue(appeals_database, jobs, "patient")
    async with working(jobs, database.url("appeals"), appeals_database), asyncio.timeout(60):
        await done.wait()
    assert tries == 4


async def test_a_job_that_waited_often_is_not_held_for_one_error(
    appeals_database: Database, database: TestDatabase
) -> None:
    jobs = Jobs("appeals", max_attempts=1, initial_delay=timedelta(milliseconds=50))
    tries = 0
    done = asyncio.Event()

    @jobs.job("patient")
    async def patient(_payload: dict[str, Any]) -> None:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise TryLater(timedelta(milliseconds=20), "not yet")
        if tries == 4:
            raise ValueError("a passing error")
        done.set()

    await enqueue(appeals_database, jobs, "patient")
    async with working(jobs, database.url("appeals"), appeals_database), asyncio.timeout(60):
        await done.wait()


async def test_who_waits_for_a_job_learns_in_one_transaction_that_it_is_held(
    appeals_database: Database, database: TestDatabase
) -> None:
    jobs = Jobs("appeals", max_attempts=0)
    told = 0

    async def held(session: WriteSession, payload: dict[str, Any], reason: str) -> None:
        nonlocal told
        told += 1
        note = text("INSERT INTO appeals_cursors (consumer, position) VALUES (:consumer, 7)")
        await session.execute(note, {"consumer": f"{payload['who']}: {reason}"})
        if told == 1:
            # The database goes away before the commit: the job is not held, and tells again.
            raise ConnectionResetError

    @jobs.job("fragile", on_held=held)
    async def fragile(_payload: dict[str, Any]) -> None:
        raise ValueError("no such page")

    await enqueue(appeals_database, jobs, "fragile", who="reply 1")
    eye = await database.connect()
    async with working(jobs, database.url("appeals"), appeals_database), asyncio.timeout(60):
        while not (noted := await eye.fetch("SELECT consumer FROM appeals_cursors")):
            await asyncio.sleep(0.02)
        assert await waiting_jobs(database) == [("fragile", "failed")]
    assert [row["consumer"] for row in noted] == ["reply 1: no such page"]
    assert told == 2
    await eye.close()


@pytest.mark.parametrize("away", [full, read_only])
async def test_no_job_is_held_for_an_outage(
    appeals_database: Database, database: TestDatabase, away: Callable[[TestDatabase], Any]
) -> None:
    jobs = Jobs("appeals", max_attempts=1)
    begun, over, done = asyncio.Event(), asyncio.Event(), asyncio.Event()
    failed = 0

    @jobs.job("writes")
    async def writes(_payload: dict[str, Any]) -> None:
        nonlocal failed
        begun.set()
        await over.wait()
        try:
            async with appeals_database.write() as session:
                await session.execute(text("INSERT INTO appeals_cursors (consumer, position) VALUES ('done', 1)"))
        except Exception:
            failed += 1
            raise
        done.set()

    await enqueue(appeals_database, jobs, "writes")
    async with working(jobs, database.url("appeals"), appeals_database), asyncio.timeout(60):
        await begun.wait()
        async with away(database):
            over.set()
            while not failed:
                await asyncio.sleep(0.02)
            # PgQueuer writes down that the job failed at once; longer than that the database stays away.
            await asyncio.sleep(1)
        await done.wait()
        while await waiting_jobs(database):
            assert await waiting_jobs(database) != [("writes", "failed")]
            await asyncio.sleep(0.05)


async def test_a_worker_stops_while_the_database_is_away_and_its_job_is_done_by_the_next(
    appeals_database: Database, database: TestDatabase
) -> None:
    jobs = Jobs("appeals")
    begun, over, failed, done = (asyncio.Event() for _ in range(4))

    @jobs.job("writes")
    async def writes(_payload: dict[str, Any]) -> None:
        begun.set()
        await over.wait()
        try:
            async with appeals_database.write() as session:
                await session.execute(text("INSERT INTO appeals_cursors (consumer, position) VALUES ('done', 1)"))
        except Exception:
            failed.set()
            raise
        done.set()

    await enqueue(appeals_database, jobs, "writes")
    async with asyncio.timeout(60):
        async with full(database), working(jobs, database.url("appeals"), appeals_database):
            pass
        async with working(jobs, database.url("appeals"), appeals_database):
            await begun.wait()
            async with full(database):
                over.set()
                await failed.wait()
        async with working(jobs, database.url("appeals"), appeals_database):
            await done.wait()


async def test_a_worker_that_stops_finishes_the_job_in_flight(
    appeals_database: Database, database: TestDatabase
) -> None:
    jobs = Jobs("appeals")
    begun, stopping, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @jobs.job("long")
    async def long(_payload: dict[str, Any]) -> None:
        begun.set()
        await stopping.wait()
        await asyncio.sleep(0.1)  # the worker is told to stop meanwhile
        done.set()

    await enqueue(appeals_database, jobs, "long")
    async with working(jobs, database.url("appeals"), appeals_database), asyncio.timeout(60):
        await begun.wait()
        stopping.set()
    assert done.is_set()
    assert await waiting_jobs(database) == []


async def test_a_service_cannot_enqueue_into_anothers_queue(database: TestDatabase) -> None:
    connection = await database.connect("ingest")
    try:
        with pytest.raises(Exception, match="permission denied"):
            await connection.execute(
                "INSERT INTO appeals_jobs.pgqueuer (priority, entrypoint, status) VALUES (0, 'x', 'queued')"
            )
    finally:
        await connection.close()
