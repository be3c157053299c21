"""Single jobs and schedules on PgQueuer; the only door to it.

Each service has its own queue schema (`<service>_jobs`) and enqueues into no other's. A job is enqueued in the
transaction of the change that wants it. A job that raises is tried again with back-off, then held as failed: the
dead letter, which an operator can look at and put back. Nothing is deleted for having failed. Waiting counts as no
failure, whether a job asks for it (`TryLater`) or an outage does.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import asyncpg
from pgqueuer import PgQueuer
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver, AsyncpgPoolDriver
from pgqueuer.adapters.persistence.qb import (
    QueryBuilderEnvironment,
    QueryQueueBuilder,
    QuerySchedulerBuilder,
)
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.domain.models import Job, Schedule, TracebackRecord
from pgqueuer.domain.settings import DBSettings
from pgqueuer.domain.types import JOB_STATUS, Channel, JobId
from pgqueuer.errors import PgqException, RetryRequested
from pgqueuer.ports.driver import Driver
from sqlalchemy import CursorResult, text
from sqlalchemy.ext.asyncio import AsyncSession

from shared import clock
from shared.database.outages import is_fault, is_outage
from shared.database.purge import Rule, Terms
from shared.database.sessions import JOB_CONNECTIONS, Database, WriteSession, connect, driver_connection
from shared.logs import logger
from shared.supervision import Backoff, run_forever

log = logger(__name__)

JobHandler = Callable[[dict[str, Any]], Awaitable[None]]
ScheduleHandler = Callable[[], Awaitable[None]]
HeldHandler = Callable[[WriteSession, dict[str, Any], str], Awaitable[None]]

MAX_DELAY = timedelta(minutes=5)
RECONNECT_BACKOFF = Backoff(0.5, 5.0)
OUTCOME_BACKOFF = Backoff(0.5, 2.0)
AFTER_OUTAGE = timedelta(seconds=2)


def queue_settings(service: str) -> DBSettings:
    """Names of a service's queue objects."""
    return DBSettings(db_schema=f"{service}_jobs", channel=Channel(f"{service}_jobs"))


def _builders(service: str) -> dict[str, Any]:
    settings = queue_settings(service)
    return {
        "qbe": QueryBuilderEnvironment(settings=settings),
        "qbq": QueryQueueBuilder(settings=settings),
        "qbs": QuerySchedulerBuilder(settings=settings),
    }


def _queries(driver: Driver, service: str) -> Queries:
    return Queries(driver, **_builders(service))


class _Outcomes(Queries):
    """Writes how jobs ended, and waits while the database is away.

    PgQueuer itself holds a job whose retry it cannot write.
    """

    def __init__(self, pool: asyncpg.Pool, service: str, stopping: asyncio.Event) -> None:
        super().__init__(AsyncpgPoolDriver(pool), **_builders(service))
        self._pool = pool
        self._table = f"{service}_jobs.pgqueuer"
        self._stopping = stopping
        self._waiting: set[JobId] = set()

    def wait(self, job: Job, delay: timedelta, reason: str) -> RetryRequested:
        """What a job raises to be run again after `delay` with its attempts left as they are."""
        self._waiting.add(job.id)
        return RetryRequested(delay=delay, reason=reason)

    async def ping(self) -> None:
        """Raise when the database does not answer."""
        await self._pool.fetchval("SELECT 1")

    async def retry_job(self, job: Job, delay: timedelta, traceback_record: TracebackRecord | None) -> None:
        """Queue a job again; a failure is counted and logged, a wait is neither."""
        if job.id not in self._waiting:
            await self._when_back(lambda: super(_Outcomes, self).retry_job(job, delay, traceback_record))
            return
        self._waiting.discard(job.id)
        query = (
            f"UPDATE {self._table} SET status = 'queued', execute_after = now() + $2, updated = now(),"  # noqa: S608
            " queue_manager_id = NULL WHERE id = $1"
        )
        await self._when_back(lambda: self._pool.execute(query, job.id, delay))

    async def log_jobs(self, job_status: list[tuple[Job, JOB_STATUS, TracebackRecord | None]]) -> None:
        """Delete jobs that ended well and hold those that failed for good."""
        await self._when_back(lambda: super(_Outcomes, self).log_jobs(job_status))

    async def _when_back(self, write: Callable[[], Awaitable[object]]) -> None:
        failures = 0
        while True:
            try:
                await write()
            except Exception as error:
                if not is_outage(error):
                    raise
                failures += 1
                pause = OUTCOME_BACKOFF.delay(failures)
                log.warning("jobs: an outcome waits for the database", error=repr(error)[:300], retry_in=pause)
                # A server that only reads goes on answering on the connections it has.
                await self._pool.expire_connections()
            else:
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
                # The job stays with this worker in the database and is run again once its heartbeat is too old.
                return


def install_sql(service: str) -> str:
    """DDL of a service's queue schema, for the migrations."""
    return QueryBuilderEnvironment(settings=queue_settings(service)).build_install_query()


def _of_queuer(error: BaseException) -> bool:
    """Whether PgQueuer lost its listener: it says so, or fails at giving the lost connection back."""
    if isinstance(error, BaseExceptionGroup):
        return any(_of_queuer(one) for one in error.exceptions)
    return isinstance(error, (PgqException, asyncpg.InterfaceError))


async def _alone(work: Coroutine[Any, Any, None], stopping: asyncio.Event) -> None:
    # In a task of its own: errors while it is being torn down must not replace the cancellation of the caller.
    task = asyncio.create_task(work)
    try:
        await asyncio.wait({task})
    except asyncio.CancelledError:
        stopping.set()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise
    task.result()


class TryLater(Exception):  # noqa: N818 — a request, not an error
    """Raised by a job to be run again after `delay` without counting as a failure."""

    def __init__(self, delay: timedelta, reason: str) -> None:
        super().__init__(reason)
        self.delay = delay
        self.reason = reason


@dataclass
class JobQueue:
    """The queue of a service: what domain code needs to enqueue a job."""

    service: str

    async def enqueue(
        self,
        session: WriteSession,
        name: str,
        payload: dict[str, Any],
        *,
        delay: timedelta | None = None,
        dedupe_key: str | None = None,
    ) -> None:
        """Put a job into the queue in the session's transaction.

        With `dedupe_key`, nothing is enqueued while a job of that key waits or runs: not for work that must follow
        a run under way.
        """
        connection = await driver_connection(session)
        await _queries(AsyncpgDriver(connection), self.service).enqueue(
            name,
            json.dumps(payload).encode(),
            execute_after=delay,
            dedupe_key=dedupe_key,
            on_conflict="skip",
        )


@dataclass
class Jobs(JobQueue):
    """A service's jobs and schedules. Handlers are idempotent: a job may run twice, never zero times."""

    max_attempts: int = 8
    initial_delay: timedelta = timedelta(seconds=1)
    handlers: dict[str, JobHandler] = field(default_factory=dict)
    on_held: dict[str, HeldHandler] = field(default_factory=dict)
    schedules: dict[str, tuple[str, ScheduleHandler]] = field(default_factory=dict)

    def job(self, name: str, *, on_held: HeldHandler | None = None) -> Callable[[JobHandler], JobHandler]:
        """Decorator: the handler of jobs of this name; it gets the payload that was enqueued.

        `on_held(session, payload, reason)` is called in the transaction that holds a job which failed for good, so
        that what waits for the job does not wait for ever.
        """

        def register(handler: JobHandler) -> JobHandler:
            self.handlers[name] = handler
            if on_held is not None:
                self.on_held[name] = on_held
            return handler

        return register

    def every(self, name: str, cron: str) -> Callable[[ScheduleHandler], ScheduleHandler]:
        """Decorator: run at each tick of a cron expression, once among all workers."""

        def register(handler: ScheduleHandler) -> ScheduleHandler:
            self.schedules[name] = (cron, handler)
            return handler

        return register

    async def run(self, url: str, database: Database) -> None:
        """Work until cancelled; a lost database is waited for with a bounded pause.

        `url` is of a connection that can listen; in `database` the transactions of `on_held` run.
        """
        stopping = asyncio.Event()

        def failed(error: Exception, delay: float) -> None:
            log.warning("jobs: the database went away", error=repr(error), retry_in=delay)

        await run_forever(
            lambda: _alone(self._run_once(url, database, stopping), stopping),
            RECONNECT_BACKOFF,
            on_failure=failed,
            reset_after=30.0,
            is_retried=lambda error: is_outage(error) or _of_queuer(error),
        )

    async def _run_once(self, url: str, database: Database, stopping: asyncio.Event) -> None:
        async with asyncpg.create_pool(
            url,
            connect=connect,
            min_size=1,
            max_size=JOB_CONNECTIONS,
            command_timeout=30,
            server_settings={"application_name": f"gospablik-{self.service}-jobs"},
        ) as pool:
            queries = _Outcomes(pool, self.service, stopping)
            queuer = PgQueuer(connection=queries.driver, channel=queries.qbe.settings.channel, queries=queries)
            for name, handler in self.handlers.items():
                self._register(queuer, queries, database, name, handler)
            for name, (cron, scheduled) in self.schedules.items():
                self._schedule(queuer, name, cron, scheduled)
            # A job whose worker was killed is picked up again after the heartbeat timeout. The queue is looked at
            # every few seconds in any case: a listener that missed its first probe is no reason to stop.
            work = queuer.qm.run(
                dequeue_timeout=timedelta(seconds=5),
                heartbeat_timeout=timedelta(seconds=10),
                shutdown_on_listener_failure=False,
            )
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(work)
                if self.schedules:
                    tasks.create_task(queuer.sm.run())

    def _register(
        self, queuer: PgQueuer, outcomes: _Outcomes, database: Database, name: str, handler: JobHandler
    ) -> None:
        async def run(job: Job) -> None:
            payload = json.loads(job.payload or b"{}")
            try:
                await handler(payload)
            except TryLater as later:
                raise outcomes.wait(job, later.delay, later.reason) from later
            except asyncio.CancelledError as stopped:
                # PgQueuer deletes a job whose task is cancelled; a worker that stops gives it back instead.
                raise outcomes.wait(job, timedelta(0), "the worker stopped") from stopped
            except Exception as error:
                if not await is_fault(error, outcomes.ping):
                    raise outcomes.wait(job, AFTER_OUTAGE, repr(error)) from error
                if job.attempts < self.max_attempts:
                    backoff = Backoff(self.initial_delay.total_seconds(), MAX_DELAY.total_seconds())
                    delay = timedelta(seconds=backoff.delay(job.attempts + 1))
                    raise RetryRequested(delay=delay, reason=str(error)) from error
                await self._hold(database, outcomes, job, payload, error)
                raise

        queuer.entrypoint(name, on_failure="hold", accepts_context=False)(run)

    async def _hold(
        self, database: Database, outcomes: _Outcomes, job: Job, payload: dict[str, Any], error: Exception
    ) -> None:
        """Hold a job in one transaction with what `on_held` does; PgQueuer holds it again and writes its log."""
        if (on_held := self.on_held.get(job.entrypoint)) is None:
            return
        hold = (
            f"UPDATE {self.service}_jobs.pgqueuer SET status = 'failed', updated = now(),"  # noqa: S608 — our own name
            " queue_manager_id = NULL WHERE id = :id"
        )
        try:
            async with database.write() as session:
                await session.execute(text(hold), {"id": job.id})
                await on_held(session, payload, str(error))
        except Exception as failure:
            if is_outage(failure):
                raise outcomes.wait(job, AFTER_OUTAGE, repr(failure)) from failure
            log.exception("a held job could not be reported", job=job.entrypoint, id=job.id)

    def _schedule(self, queuer: PgQueuer, name: str, cron: str, handler: ScheduleHandler) -> None:
        async def run(_schedule: Schedule) -> None:
            try:
                await handler()
            except Exception:  # the next tick comes; the failure is logged
                log.exception("schedule failed", schedule=name)

        queuer.schedule(name, cron, clean_old=True, accepts_context=False)(run)

    def log_rules(self, terms: Terms) -> Sequence[Rule]:
        """Return the rules by which PgQueuer's log and statistics are purged; its own command empties them whole.

        The log of a job that waits, runs or is held stays.
        """
        term = timedelta(days=terms.job_log_days)
        settings = queue_settings(self.service)
        names = settings.qualified
        log_of_ended = f"""
            DELETE FROM {names.queue_table_log} WHERE id IN (
                SELECT old.id FROM {names.queue_table_log} old
                WHERE old.created < :before
                  AND NOT EXISTS (SELECT FROM {names.queue_table} job WHERE job.id = old.job_id)
                ORDER BY old.created LIMIT :limit FOR UPDATE OF old SKIP LOCKED)
        """  # noqa: S608 — our own names
        figures = f"""
            DELETE FROM {names.statistics_table} WHERE id IN (
                SELECT id FROM {names.statistics_table}
                WHERE created < :before ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED)
        """  # noqa: S608 — our own names

        def rule(table: str, statement: str) -> Rule:
            async def some(session: WriteSession, limit: int) -> int:
                result = await session.execute(text(statement), {"before": clock.now() - term, "limit": limit})
                assert isinstance(result, CursorResult)
                return result.rowcount

            return Rule(table, some)

        return rule(names.queue_table_log, log_of_ended), rule(names.statistics_table, figures)

    async def count_held(self, session: AsyncSession) -> int:
        """How many jobs failed for good."""
        query = f"SELECT count(*) FROM {self.service}_jobs.pgqueuer WHERE status = 'failed'"  # noqa: S608 — our own name
        return int(await session.scalar(text(query)) or 0)

    async def held(self, connection: asyncpg.Connection, limit: int = 100) -> list[Job]:
        """Jobs that failed for good and wait for a person, newest first."""
        return await _queries(AsyncpgDriver(connection), self.service).list_failed_jobs(limit)

    async def put_back(self, connection: asyncpg.Connection, ids: list[int]) -> None:
        """Run held jobs again from their first attempt."""
        await _queries(AsyncpgDriver(connection), self.service).requeue_jobs([JobId(i) for i in ids])
