"""Jobs survive errors, outages and stopped workers; a job of a rolled-back transaction never runs."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.domain.models import Schedule
from prometheus_client import REGISTRY
from sqlalchemy import text

from shared.database.outages import DependencyUnavailable
from shared.database.sessions import Database, WriteSession
from shared.jobs import Jobs, RetryLater, StuckJobs, _OutcomeWriter
from shared.supervision import Backoff
from tests.conftest import TestDatabase
from tests.integration.platform.simulated_outages import no_connections, read_only
from tests.support.eventually import HANG_SECONDS


@asynccontextmanager
async def running_worker(jobs: Jobs, url: str, pool: Database) -> AsyncIterator[None]:
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


async def test_job_enqueued_by_the_first_statement_is_rolled_back(
    appeals_database: Database, database: TestDatabase
) -> None:
    jobs = Jobs("appeals")
    with pytest.raises(RuntimeError):
        async with appeals_database.write() as session:
            await jobs.enqueue(session, "greet", {})
            raise RuntimeError
    assert await waiting_jobs(database) == []


async def test_job_runs_with_its_payload(appeals_database: Database, database: TestDatabase) -> None:
    jobs = Jobs("appeals")
    done: list[dict[str, Any]] = []

    @jobs.handler("greet")
    async def greet(payload: dict[str, Any]) -> None:
        done.append(payload)

    await enqueue(appeals_database, jobs, "greet", who="Баир")
    async with running_worker(jobs, database.url("appeals"), appeals_database), asyncio.timeout(HANG_SECONDS):
        while not done:
            await asyncio.sleep(0.02)
    assert done == [{"who": "Баир"}]


async def test_new_job_is_announced_to_a_waiting_worker(
    appeals_database: Database, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other tests would pass without notifications: their workers read the queue often."""
    monkeypatch.setattr("shared.jobs.POLL_INTERVAL", timedelta(hours=1))
    jobs = Jobs("appeals")
    done: list[int] = []

    @jobs.handler("greet")
    async def greet(payload: dict[str, Any]) -> None:
        done.append(payload["number"])

    await enqueue(appeals_database, jobs, "greet", number=1)
    async with running_worker(jobs, database.url("appeals"), appeals_database), asyncio.timeout(HANG_SECONDS):
        for number in (2, 3):
            while len(done) < number - 1:
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.3)  # the worker has found the queue empty and waits
            await enqueue(appeals_database, jobs, "greet", number=number)
        while len(done) < 3:
            await asyncio.sleep(0.02)
    assert done == [1, 2, 3]


async def test_concurrency_limit_of_a_job_holds_across_all_workers(
    appeals_database: Database, database: TestDatabase
) -> None:
    running, most, done = 0, 0, 0
    other, over = asyncio.Event(), asyncio.Event()

    def worker() -> Jobs:
        jobs = Jobs("appeals")

        @jobs.handler("long", concurrency=2)
        async def long(_payload: dict[str, Any]) -> None:
            nonlocal running, most, done
            running += 1
            most = max(most, running)
            await over.wait()
            running -= 1
            done += 1

        @jobs.handler("short")
        async def short(_payload: dict[str, Any]) -> None:
            other.set()

        return jobs

    jobs, url = worker(), database.url("appeals")
    for _ in range(6):
        await enqueue(appeals_database, jobs, "long")
    async with (
        running_worker(jobs, url, appeals_database),
        running_worker(worker(), url, appeals_database),
        asyncio.timeout(HANG_SECONDS),
    ):
        while running < 2:
            await asyncio.sleep(0.02)
        # A job of another kind, enqueued last, runs while the others wait.
        await enqueue(appeals_database, jobs, "short")
        await other.wait()
        counts = running, done
        over.set()
        while done < 6 or await waiting_jobs(database):
            await asyncio.sleep(0.02)
    assert counts == (2, 0)
    assert most == 2


async def test_failed_job_is_kept_and_can_be_requeued(appeals_database: Database, database: TestDatabase) -> None:
    jobs = Jobs("appeals", max_attempts=1, initial_delay=timedelta(milliseconds=50))
    broken = True
    done = asyncio.Event()

    @jobs.handler("fragile")
    async def fragile(_payload: dict[str, Any]) -> None:
        if broken:
            raise RuntimeError("the other side is down")
        done.set()

    await enqueue(appeals_database, jobs, "fragile")
    async with running_worker(jobs, database.url("appeals"), appeals_database), asyncio.timeout(HANG_SECONDS):
        while await waiting_jobs(database) != [("fragile", "failed")]:
            await asyncio.sleep(0.05)
        broken = False
        connection = await database.connect("appeals")
        try:
            dead_letters = await jobs.list_dead_letters(connection)
            assert [job.entrypoint for job in dead_letters] == ["fragile"]
            await jobs.requeue(connection, [int(job.id) for job in dead_letters])
        finally:
            await connection.close()
        await done.wait()


async def test_characters_that_postgres_cannot_store_are_replaced_in_the_error_of_a_job(
    appeals_database: Database, database: TestDatabase
) -> None:
    """JSONB cannot store NUL or a lone surrogate, which an error message may contain."""
    jobs = Jobs("appeals", max_attempts=1, initial_delay=timedelta(milliseconds=50))
    reasons: list[str] = []

    async def on_dead_letter(session: WriteSession, _payload: dict[str, Any], reason: str) -> None:
        await session.execute(text("SELECT length(:reason)"), {"reason": reason})
        reasons.append(reason)

    @jobs.handler("hostile", on_dead_letter=on_dead_letter)
    async def hostile(payload: dict[str, Any]) -> None:
        raise ValueError(f"cannot read {payload['text']}!")

    @jobs.handler("good")
    async def good(_payload: dict[str, Any]) -> None:
        pass

    for hostile_text in ("\x00", "\ud800"):
        await enqueue(appeals_database, jobs, "hostile", text=hostile_text)
    await enqueue(appeals_database, jobs, "good")
    async with running_worker(jobs, database.url("appeals"), appeals_database), asyncio.timeout(HANG_SECONDS):
        while await waiting_jobs(database) != [("hostile", "failed")] * 2:
            await asyncio.sleep(0.05)
    messages = ["cannot read ?!", "cannot read \N{REPLACEMENT CHARACTER}!"]
    assert sorted(reasons) == messages
    connection = await database.connect()
    query = "SELECT traceback->>'exception_message' FROM appeals_jobs.pgqueuer_log WHERE traceback IS NOT NULL"
    # One for the retry and one for the dead letter; the worker wrote both before it stopped.
    assert sorted(row[0] for row in await connection.fetch(query)) == sorted(messages * 2)
    await connection.close()


async def test_stored_error_of_a_job_has_no_values_that_the_database_refused(
    appeals_database: Database, database: TestDatabase
) -> None:
    """No erasure finds a citizen's words in the log of jobs."""
    jobs = Jobs("appeals", max_attempts=1, initial_delay=timedelta(milliseconds=50))
    reasons: list[str] = []

    async def on_dead_letter(_session: WriteSession, _payload: dict[str, Any], reason: str) -> None:
        reasons.append(reason)

    @jobs.handler("refused", on_dead_letter=on_dead_letter)
    async def refused(payload: dict[str, Any]) -> None:
        async with appeals_database.write() as session:
            await session.execute(text("SELECT CAST(CAST(:given AS text) AS integer)"), {"given": payload["text"]})

    await enqueue(appeals_database, jobs, "refused", text="фырбаджик")
    async with running_worker(jobs, database.url("appeals"), appeals_database), asyncio.timeout(HANG_SECONDS):
        while await waiting_jobs(database) != [("refused", "failed")]:
            await asyncio.sleep(0.05)
    connection = await database.connect()
    log = [
        row[0]
        for row in await connection.fetch(
            "SELECT traceback::text FROM appeals_jobs.pgqueuer_log WHERE traceback IS NOT NULL"
        )
    ]
    await connection.close()
    for stored in (*reasons, *log):
        assert "invalid input syntax for type integer" in stored
        assert "фырбаджик" not in stored
        assert json.dumps("фырбаджик")[1:-1] not in stored
    assert (len(reasons), len(log)) == (1, 2)


async def test_outcome_that_cannot_be_written_does_not_block_other_outcomes(
    appeals_database: Database, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = Jobs("appeals")
    log_jobs = Queries.log_jobs
    ran: set[str] = set()
    both = asyncio.Event()

    async def log_or_raise(queries: Queries, outcomes: list[Any]) -> None:
        if any(job.entrypoint == "bad" for job, _, _ in outcomes):
            raise ValueError("cannot be written")
        await log_jobs(queries, outcomes)

    async def run(name: str) -> None:
        # Both outcomes are in the buffer at the same time.
        ran.add(name)
        if len(ran) == 2:
            both.set()
        await both.wait()

    jobs.handler("bad")(lambda _payload: run("bad"))
    jobs.handler("good")(lambda _payload: run("good"))
    monkeypatch.setattr(Queries, "log_jobs", log_or_raise)
    await enqueue(appeals_database, jobs, "bad")
    await enqueue(appeals_database, jobs, "good")
    async with running_worker(jobs, database.url("appeals"), appeals_database), asyncio.timeout(HANG_SECONDS):
        while [name for name, _ in await waiting_jobs(database)] != ["bad"]:
            await asyncio.sleep(0.05)


async def test_retry_later_is_not_counted_as_a_failure(appeals_database: Database, database: TestDatabase) -> None:
    jobs = Jobs("appeals", max_attempts=1)
    tries = 0
    done = asyncio.Event()

    @jobs.handler("patient")
    async def patient(_payload: dict[str, Any]) -> None:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise RetryLater(timedelta(milliseconds=20), "not yet")
        done.set()

    await enqueue(appeals_database, jobs, "patient")
    async with running_worker(jobs, database.url("appeals"), appeals_database), asyncio.timeout(HANG_SECONDS):
        await done.wait()
    assert tries == 4


async def test_error_after_many_requested_retries_does_not_dead_letter_the_job(
    appeals_database: Database, database: TestDatabase
) -> None:
    jobs = Jobs("appeals", max_attempts=1, initial_delay=timedelta(milliseconds=50))
    tries = 0
    done = asyncio.Event()

    @jobs.handler("patient")
    async def patient(_payload: dict[str, Any]) -> None:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise RetryLater(timedelta(milliseconds=20), "not yet")
        if tries == 4:
            raise ValueError("a transient error")
        done.set()

    await enqueue(appeals_database, jobs, "patient")
    async with running_worker(jobs, database.url("appeals"), appeals_database), asyncio.timeout(HANG_SECONDS):
        await done.wait()


async def test_dead_letter_handler_runs_in_the_transaction_of_the_dead_letter(
    appeals_database: Database, database: TestDatabase
) -> None:
    jobs = Jobs("appeals", max_attempts=0)
    calls = 0

    async def on_dead_letter(session: WriteSession, payload: dict[str, Any], reason: str) -> None:
        nonlocal calls
        calls += 1
        note = text("INSERT INTO appeals_consumer_offsets (consumer, position) VALUES (:consumer, 7)")
        await session.execute(note, {"consumer": f"{payload['who']}: {reason}"})
        if calls == 1:
            # The connection is lost before the commit: the job is not dead-lettered and the handler runs again.
            raise ConnectionResetError

    @jobs.handler("fragile", on_dead_letter=on_dead_letter)
    async def fragile(_payload: dict[str, Any]) -> None:
        raise ValueError("no such page")

    await enqueue(appeals_database, jobs, "fragile", who="reply 1")
    raw_connection = await database.connect()
    async with running_worker(jobs, database.url("appeals"), appeals_database), asyncio.timeout(HANG_SECONDS):
        while not (rows := await raw_connection.fetch("SELECT consumer FROM appeals_consumer_offsets")):
            await asyncio.sleep(0.02)
        assert await waiting_jobs(database) == [("fragile", "failed")]
    assert [row["consumer"] for row in rows] == ["reply 1: no such page"]
    assert calls == 2
    await raw_connection.close()


@pytest.mark.parametrize("outage", [no_connections, read_only])
async def test_job_is_not_dead_lettered_for_an_outage(
    appeals_database: Database, database: TestDatabase, outage: Callable[[TestDatabase], Any]
) -> None:
    # With `max_attempts=0` the first counted failure dead-letters the job.
    jobs = Jobs("appeals", max_attempts=0)
    started, over, done = asyncio.Event(), asyncio.Event(), asyncio.Event()
    failed = 0

    @jobs.handler("writes")
    async def writes(_payload: dict[str, Any]) -> None:
        nonlocal failed
        started.set()
        await over.wait()
        try:
            async with appeals_database.write() as session:
                await session.execute(
                    text("INSERT INTO appeals_consumer_offsets (consumer, position) VALUES ('done', 1)")
                )
        except Exception:
            failed += 1
            raise
        done.set()

    await enqueue(appeals_database, jobs, "writes")
    async with running_worker(jobs, database.url("appeals"), appeals_database), asyncio.timeout(HANG_SECONDS):
        await started.wait()
        async with outage(database):
            over.set()
            while not failed:
                await asyncio.sleep(0.02)
            # The outage must last until the worker checks the database: if it responds, the failure is counted.
            await asyncio.sleep(1)
        await done.wait()
        while await waiting_jobs(database):
            assert await waiting_jobs(database) != [("writes", "failed")]
            await asyncio.sleep(0.05)


async def test_job_is_not_dead_lettered_when_its_outcome_cannot_be_written(
    appeals_database: Database, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is lost while the outcome of the job is written, and works again for the next statement."""
    jobs = Jobs("appeals")
    runs, lost = 0, 0
    done = asyncio.Event()
    execute = asyncpg.Pool.execute

    @jobs.handler("waits")
    async def waits(_payload: dict[str, Any]) -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise RetryLater(timedelta(0), "not yet")
        done.set()

    async def lose_first(pool: asyncpg.Pool, query: str, *values: Any, **options: Any) -> Any:
        nonlocal lost
        if query.startswith("UPDATE") and not lost:
            lost += 1
            raise ConnectionResetError("connection lost")
        return await execute(pool, query, *values, **options)

    monkeypatch.setattr(asyncpg.Pool, "execute", lose_first)
    await enqueue(appeals_database, jobs, "waits")
    async with running_worker(jobs, database.url("appeals"), appeals_database), asyncio.timeout(HANG_SECONDS):
        while not done.is_set():
            assert await waiting_jobs(database) != [("waits", "failed")]
            await asyncio.sleep(0.02)
    assert (runs, lost) == (2, 1)


async def test_job_that_ends_while_the_server_is_read_only_is_not_run_again(
    appeals_database: Database, database: TestDatabase
) -> None:
    jobs = Jobs("appeals")
    runs = 0
    started, over = asyncio.Event(), asyncio.Event()

    @jobs.handler("once")
    async def once(_payload: dict[str, Any]) -> None:
        nonlocal runs
        runs += 1
        started.set()
        await over.wait()

    await enqueue(appeals_database, jobs, "once")
    async with running_worker(jobs, database.url("appeals"), appeals_database), asyncio.timeout(HANG_SECONDS):
        await started.wait()
        async with read_only(database):
            over.set()
            await asyncio.sleep(1)  # the worker connects again, to the server that is still read-only
        while await waiting_jobs(database):
            await asyncio.sleep(0.05)
    assert runs == 1


async def test_after_a_lost_connection_new_jobs_run_and_the_running_one_is_not_run_twice(
    appeals_database: Database, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = Jobs("appeals")
    runs, losses = 0, 0
    started, quick_ran, over = (asyncio.Event() for _ in range(3))
    fetch = asyncpg.Pool.fetch

    @jobs.handler("slow")
    async def slow(_payload: dict[str, Any]) -> None:
        nonlocal runs
        runs += 1
        started.set()
        await over.wait()

    @jobs.handler("quick")
    async def quick(_payload: dict[str, Any]) -> None:
        quick_ran.set()

    async def lose_first(pool: asyncpg.Pool, query: str, *values: Any, **options: Any) -> Any:
        nonlocal losses
        if started.is_set() and not losses:
            losses += 1
            raise ConnectionResetError("connection lost")
        return await fetch(pool, query, *values, **options)

    monkeypatch.setattr(asyncpg.Pool, "fetch", lose_first)
    await enqueue(appeals_database, jobs, "slow")
    async with running_worker(jobs, database.url("appeals"), appeals_database), asyncio.timeout(HANG_SECONDS):
        await started.wait()
        while not losses:
            await asyncio.sleep(0.02)
        await enqueue(appeals_database, jobs, "quick")
        await quick_ran.wait()
        connection = await database.connect()
        # The heartbeat of the slow job expires, as in an outage: the job is picked again, but not run twice.
        expire = "UPDATE appeals_jobs.pgqueuer SET heartbeat = now() - interval '1 hour' WHERE status = 'picked'"
        while await waiting_jobs(database) != [("slow", "queued")]:
            await connection.execute(expire)
            await asyncio.sleep(0.1)
        await connection.close()
        over.set()
        while await waiting_jobs(database):
            await asyncio.sleep(0.05)
    assert (runs, losses) == (1, 1)


async def test_schedule_that_runs_during_a_lost_connection_is_not_run_twice(
    appeals_database: Database, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = Jobs("appeals")
    runs, losses = 0, 0
    started, picked_again, over = (asyncio.Event() for _ in range(3))
    fetch, interrupt = asyncpg.Pool.fetch, _OutcomeWriter.interrupt

    @jobs.schedule("slow", "* * * * * *")
    async def slow() -> None:
        nonlocal runs
        runs += 1
        started.set()
        await over.wait()

    async def lose_first(pool: asyncpg.Pool, query: str, *values: Any, **options: Any) -> Any:
        nonlocal losses
        if started.is_set() and not losses:
            losses += 1
            raise ConnectionResetError("connection lost")
        return await fetch(pool, query, *values, **options)

    def interrupt_second(outcomes: _OutcomeWriter, schedule: Schedule) -> None:
        interrupt(outcomes, schedule)
        picked_again.set()

    monkeypatch.setattr(asyncpg.Pool, "fetch", lose_first)
    monkeypatch.setattr(_OutcomeWriter, "interrupt", interrupt_second)
    connection = await database.connect()
    async with running_worker(jobs, database.url("appeals"), appeals_database), asyncio.timeout(HANG_SECONDS):
        try:
            while not (losses and picked_again.is_set()):
                await connection.execute(
                    "UPDATE appeals_jobs.pgqueuer_schedules SET heartbeat = now() - interval '1 hour'"
                )
                await asyncio.sleep(0.05)
            assert runs == 1
        finally:
            over.set()  # a stopping worker waits for it
        while runs < 2:  # the schedule continues with its next ticks
            await asyncio.sleep(0.05)
    await connection.close()


async def test_stopping_worker_finishes_a_job_that_runs_during_a_lost_connection(
    appeals_database: Database, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = Jobs("appeals")
    lost, over, done, started = False, asyncio.Event(), asyncio.Event(), asyncio.Event()
    reported: list[str | None] = []
    fetch = asyncpg.Pool.fetch

    @jobs.handler("slow")
    async def slow(_payload: dict[str, Any]) -> None:
        started.set()
        await over.wait()
        done.set()

    async def lose(pool: asyncpg.Pool, query: str, *values: Any, **options: Any) -> Any:
        nonlocal lost
        if started.is_set():
            lost = True
            raise ConnectionResetError("connection lost")
        return await fetch(pool, query, *values, **options)

    monkeypatch.setattr(asyncpg.Pool, "fetch", lose)
    await enqueue(appeals_database, jobs, "slow")
    async with asyncio.timeout(HANG_SECONDS):
        task = asyncio.create_task(jobs.run(database.url("appeals"), appeals_database, reported.append))
        while reported.count(None) < 2:
            await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.sleep(0.1)
        assert not task.done()
        over.set()
        await asyncio.gather(task, return_exceptions=True)
    assert done.is_set()
    assert await waiting_jobs(database) == []


async def test_worker_stops_during_an_outage_and_the_next_worker_runs_its_job(
    appeals_database: Database, database: TestDatabase
) -> None:
    jobs = Jobs("appeals")
    started, over, failed, done = (asyncio.Event() for _ in range(4))

    @jobs.handler("writes")
    async def writes(_payload: dict[str, Any]) -> None:
        started.set()
        await over.wait()
        try:
            async with appeals_database.write() as session:
                await session.execute(
                    text("INSERT INTO appeals_consumer_offsets (consumer, position) VALUES ('done', 1)")
                )
        except Exception:
            failed.set()
            raise
        done.set()

    await enqueue(appeals_database, jobs, "writes")
    async with asyncio.timeout(HANG_SECONDS):
        async with no_connections(database), running_worker(jobs, database.url("appeals"), appeals_database):
            pass
        async with running_worker(jobs, database.url("appeals"), appeals_database):
            await started.wait()
            async with no_connections(database):
                over.set()
                await failed.wait()
        async with running_worker(jobs, database.url("appeals"), appeals_database):
            await done.wait()


async def test_worker_reports_that_it_cannot_connect_until_it_can(
    appeals_database: Database, database: TestDatabase
) -> None:
    jobs = Jobs("appeals")
    reported: list[str | None] = []
    async with asyncio.timeout(HANG_SECONDS):
        async with no_connections(database):
            task = asyncio.create_task(jobs.run(database.url("appeals"), appeals_database, reported.append))
            while not reported:
                await asyncio.sleep(0.02)
        while reported[-1] is not None:
            await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert reported[0] is not None


ADD_SCHEDULE = """
INSERT INTO appeals_jobs.pgqueuer_schedules (expression, entrypoint, next_run, status, heartbeat)
VALUES ($1, $2, now() - interval '1 minute', $3, now() - interval '1 hour')
"""


@pytest.mark.parametrize("status", ["queued", "picked"])
async def test_schedule_that_became_due_or_was_interrupted_runs_at_the_next_start(
    appeals_database: Database, database: TestDatabase, status: str
) -> None:
    jobs = Jobs("appeals")
    done = asyncio.Event()

    @jobs.schedule("yearly", "0 0 1 1 *")
    async def yearly() -> None:
        done.set()

    connection = await database.connect()
    # A worker that was killed while it ran a schedule leaves it `picked`.
    await connection.execute(ADD_SCHEDULE, "0 0 1 1 *", "yearly", status)
    async with running_worker(jobs, database.url("appeals"), appeals_database), asyncio.timeout(HANG_SECONDS):
        await done.wait()
    await connection.close()


async def test_schedules_that_the_code_no_longer_has_are_removed(
    appeals_database: Database, database: TestDatabase
) -> None:
    jobs = Jobs("appeals")

    @jobs.schedule("yearly", "0 0 1 1 *")
    async def yearly() -> None:
        pass

    connection = await database.connect()
    await connection.execute(ADD_SCHEDULE, "0 0 1 2 *", "yearly", "queued")
    await connection.execute(ADD_SCHEDULE, "0 0 1 1 *", "removed", "queued")
    query = "SELECT entrypoint, expression FROM appeals_jobs.pgqueuer_schedules"
    async with running_worker(jobs, database.url("appeals"), appeals_database), asyncio.timeout(HANG_SECONDS):
        while [tuple(row) for row in await connection.fetch(query)] != [("yearly", "0 0 1 1 *")]:
            await asyncio.sleep(0.02)
    await connection.close()


async def test_dead_lettered_overdue_and_long_running_jobs_are_counted(
    appeals_database: Database, database: TestDatabase
) -> None:
    jobs = Jobs("appeals")
    connection = await database.connect()
    rows = [
        ("renamed", "queued", "1 hour", "1 hour"),
        ("renamed", "queued", "11 minutes", "1 day"),
        ("recent", "queued", "9 minutes", "9 minutes"),
        ("delayed", "queued", "-1 hour", "1 day"),
        ("hangs", "picked", "1 day", "61 minutes"),
        ("runs", "picked", "1 day", "59 minutes"),
        ("failed", "failed", "1 day", "1 day"),
    ]
    await connection.executemany(
        "INSERT INTO appeals_jobs.pgqueuer (priority, entrypoint, status, execute_after, updated, heartbeat)"
        " VALUES (0, $1, $2, now() - $3::text::interval, now() - $4::text::interval, now())",
        rows,
    )
    async with appeals_database.read() as reader:
        assert await jobs.count_stuck(reader) == StuckJobs(dead_letters=1, overdue=2, long_running=1)
    await connection.close()


def schedule_metric(name: str, schedule: str) -> float | None:
    return REGISTRY.get_sample_value(name, {"service": "appeals", "schedule": schedule})


async def test_failing_schedule_is_reported_until_it_succeeds(
    appeals_database: Database, database: TestDatabase
) -> None:
    jobs = Jobs("appeals")
    runs = 0
    mended = asyncio.Event()

    @jobs.schedule("fragile", "* * * * * *")
    async def fragile() -> None:
        nonlocal runs
        runs += 1
        if not mended.is_set():
            raise ValueError("no such week")

    async with running_worker(jobs, database.url("appeals"), appeals_database), asyncio.timeout(HANG_SECONDS):
        while runs < 2:
            await asyncio.sleep(0.02)
        assert jobs.failing_schedules == {"fragile": "ValueError('no such week')"}
        assert schedule_metric("gospablik_schedule_failing", "fragile") == 1
        assert (schedule_metric("gospablik_schedule_failures_total", "fragile") or 0) >= 1
        mended.set()
        while jobs.failing_schedules:
            await asyncio.sleep(0.02)
    assert schedule_metric("gospablik_schedule_failing", "fragile") == 0


async def test_schedule_that_failed_in_an_outage_runs_again_before_its_next_tick(
    appeals_database: Database, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.jobs.SCHEDULE_BACKOFF", Backoff(0.05, 0.05))
    jobs = Jobs("appeals")
    errors: list[Exception] = [ConnectionRefusedError(), DependencyUnavailable("registry")]
    done = asyncio.Event()

    @jobs.schedule("yearly", "0 0 1 1 *")
    async def yearly() -> None:
        if errors:
            raise errors.pop()
        done.set()

    connection = await database.connect()
    await connection.execute(ADD_SCHEDULE, "0 0 1 1 *", "yearly", "queued")
    async with running_worker(jobs, database.url("appeals"), appeals_database), asyncio.timeout(HANG_SECONDS):
        await done.wait()
    assert jobs.failing_schedules == {}
    assert schedule_metric("gospablik_schedule_failures_total", "yearly") == 0
    await connection.close()


async def test_schedule_that_waits_for_the_end_of_an_outage_is_left_to_the_next_worker(
    appeals_database: Database, database: TestDatabase
) -> None:
    jobs = Jobs("appeals")
    failed, is_over, done = asyncio.Event(), False, asyncio.Event()

    @jobs.schedule("yearly", "0 0 1 1 *")
    async def yearly() -> None:
        if not is_over:
            failed.set()
            raise ConnectionRefusedError
        done.set()

    connection = await database.connect()
    await connection.execute(ADD_SCHEDULE, "0 0 1 1 *", "yearly", "queued")
    async with asyncio.timeout(HANG_SECONDS):
        async with running_worker(jobs, database.url("appeals"), appeals_database):
            await failed.wait()
        is_over = True
        await connection.execute(
            "UPDATE appeals_jobs.pgqueuer_schedules SET heartbeat = now() - interval '1 hour'"
        )
        async with running_worker(jobs, database.url("appeals"), appeals_database):
            await done.wait()
    await connection.close()


async def test_stopping_worker_finishes_the_running_job(
    appeals_database: Database, database: TestDatabase
) -> None:
    jobs = Jobs("appeals")
    started, stopping, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @jobs.handler("long")
    async def long(_payload: dict[str, Any]) -> None:
        started.set()
        await stopping.wait()
        await asyncio.sleep(0.1)  # meanwhile the worker receives the signal to stop
        done.set()

    await enqueue(appeals_database, jobs, "long")
    async with running_worker(jobs, database.url("appeals"), appeals_database), asyncio.timeout(HANG_SECONDS):
        await started.wait()
        stopping.set()
    assert done.is_set()
    assert await waiting_jobs(database) == []


async def test_job_that_is_cancelled_while_it_runs_is_run_again(
    appeals_database: Database, database: TestDatabase
) -> None:
    jobs = Jobs("appeals")
    runs = 0
    done = asyncio.Event()

    @jobs.handler("cancelled")
    async def cancelled(_payload: dict[str, Any]) -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise asyncio.CancelledError  # as in a worker that is stopped at once
        done.set()

    await enqueue(appeals_database, jobs, "cancelled")
    async with running_worker(jobs, database.url("appeals"), appeals_database), asyncio.timeout(HANG_SECONDS):
        await done.wait()
    assert runs == 2


async def test_service_cannot_enqueue_into_the_queue_of_another_service(database: TestDatabase) -> None:
    connection = await database.connect("ingest")
    try:
        with pytest.raises(Exception, match="permission denied"):
            await connection.execute(
                "INSERT INTO appeals_jobs.pgqueuer (priority, entrypoint, status) VALUES (0, 'x', 'queued')"
            )
    finally:
        await connection.close()
