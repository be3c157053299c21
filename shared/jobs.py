"""Jobs and schedules on PgQueuer; all use of PgQueuer goes through this module.

Each service has its own queue schema (`<service>_jobs`) and cannot enqueue into others. A job is enqueued in the
transaction of the change that needs it. A failed job is retried with backoff, then kept as a dead letter, which an
operator can inspect and requeue; it is never deleted. Retries that a job requests (`RetryLater`) or that follow an
outage are not counted as failures.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
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
from pgqueuer.domain.types import JOB_STATUS, Channel, JobId, ScheduleId
from pgqueuer.errors import PgqException, RetryRequested
from pgqueuer.ports.driver import Driver
from prometheus_client import Counter, Gauge
from sqlalchemy import CursorResult, text
from sqlalchemy.ext.asyncio import AsyncSession

from shared import clock, job_outcomes
from shared.database.outages import is_application_error, is_outage
from shared.database.purge import PurgeRule, RetentionSettings
from shared.database.sessions import JOB_CONNECTIONS, Database, WriteSession, connect, driver_connection
from shared.logs import get_logger, redact
from shared.supervision import Backoff, WorkerReport, report_nothing, run_forever

log = get_logger(__name__)
job_outcomes.install()

JobHandler = Callable[[dict[str, Any]], Awaitable[None]]
ScheduleHandler = Callable[[], Awaitable[None]]
DeadLetterHandler = Callable[[WriteSession, dict[str, Any], str], Awaitable[None]]

MAX_RETRY_DELAY = timedelta(minutes=5)
# How often the queue is read besides notifications: a retry, for one, is not announced.
POLL_INTERVAL = timedelta(seconds=5)
RECONNECT_BACKOFF = Backoff(0.5, 5.0)
OUTCOME_BACKOFF = Backoff(0.5, 2.0)
OUTAGE_RETRY_DELAY = timedelta(seconds=2)
# Jobs that wait or run for longer are counted in the metrics.
OVERDUE = timedelta(minutes=10)
LONG_RUNNING = timedelta(hours=1)
# A schedule that fails in an outage is retried for about an hour: its next tick may be tomorrow.
SCHEDULE_BACKOFF = Backoff(OUTAGE_RETRY_DELAY.total_seconds(), 30.0)
SCHEDULE_RETRIES = 120
SCHEDULE_FAILURES = Counter(
    "gospablik_schedule_failures_total", "Runs of a schedule that failed", ["service", "schedule"]
)
SCHEDULE_FAILING = Gauge(
    "gospablik_schedule_failing", "1 while the last run of a schedule was a failure", ["service", "schedule"]
)


@cache
def queue_settings(service: str) -> DBSettings:
    """Return the names of a service's queue objects; made once, since it reads the environment field by field."""
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


def _storable_text(value: str) -> str:
    """Return the text of an error as it may be stored: without what logs may not have, because no erasure finds it
    there, and without NUL and lone surrogates, which Postgres does not store.
    """
    return redact(value).replace("\x00", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()


def _storable_record(record: TracebackRecord | None) -> TracebackRecord | None:
    """Return the record with texts that may be stored: an error may quote any input."""
    if record is None:
        return None
    context = record.additional_context or {}
    return record.model_copy(
        update={
            "exception_message": _storable_text(record.exception_message),
            "traceback": _storable_text(record.traceback),
            "additional_context": {
                key: _storable_text(value) if isinstance(value, str) else value for key, value in context.items()
            },
        }
    )


class _Connections(AsyncpgPoolDriver):
    """The connections of one run of PgQueuer.

    If a poll of the queue fails, PgQueuer raises the error only when all running jobs have ended; `lost` gets it
    at once.
    """

    def __init__(self, pool: asyncpg.Pool, lost: asyncio.Future[Exception]) -> None:
        super().__init__(pool)
        self._lost = lost

    async def fetch(self, query: str, *args: object) -> list[dict[str, object]]:
        """Return the rows of a query."""
        try:
            return await super().fetch(query, *args)
        except Exception as error:
            if _is_retried(error) and not self._lost.done():
                self._lost.set_result(error)
            raise


class _OutcomeWriter(Queries):
    """Writes the outcomes of jobs, and waits during an outage of the database.

    PgQueuer itself would dead-letter a job whose retry it cannot write.
    """

    def __init__(
        self, pool: asyncpg.Pool, service: str, stopping: asyncio.Event, lost: asyncio.Future[Exception]
    ) -> None:
        super().__init__(_Connections(pool, lost), **_builders(service))
        self._pool = pool
        self._table = f"{service}_jobs.pgqueuer"
        self._stopping = stopping
        self._waiting: set[JobId] = set()
        self._interrupted: set[ScheduleId] = set()

    def wait(self, job: Job, delay: timedelta, reason: str) -> RetryRequested:
        """Return the exception that runs a job again after `delay` without counting an attempt."""
        self._waiting.add(job.id)
        return RetryRequested(delay=delay, reason=reason)

    async def ping(self) -> None:
        """Raise the driver's error if the database does not respond."""
        await self._pool.fetchval("SELECT 1")

    async def retry_job(self, job: Job, delay: timedelta, traceback_record: TracebackRecord | None) -> None:
        """Queue a job again; count and log a failure, but not a requested retry."""
        if job.id not in self._waiting:
            record = _storable_record(traceback_record)
            await self._when_back(lambda: super(_OutcomeWriter, self).retry_job(job, delay, record))
            return
        self._waiting.discard(job.id)
        query = (
            f"UPDATE {self._table} SET status = 'queued', execute_after = now() + $2, updated = now(),"  # noqa: S608
            " queue_manager_id = NULL WHERE id = $1"
        )
        await self._when_back(lambda: self._pool.execute(query, job.id, delay))

    async def log_jobs(self, job_status: list[tuple[Job, JOB_STATUS, TracebackRecord | None]]) -> None:
        """Delete successful jobs and keep dead letters.

        If the outcomes cannot be written together, each is written alone, so that one blocks no other. A job whose
        outcome is not written is run again when its heartbeat has expired.
        """
        outcomes = [(job, status, _storable_record(record)) for job, status, record in job_status]
        try:
            await self._when_back(lambda: super(_OutcomeWriter, self).log_jobs(outcomes))
        except Exception:
            log.exception("job outcomes not written together", count=len(outcomes))
            for outcome in outcomes:
                await self._log_alone(outcome)

    async def _log_alone(self, outcome: tuple[Job, JOB_STATUS, TracebackRecord | None]) -> None:
        try:
            await self._when_back(lambda: super(_OutcomeWriter, self).log_jobs([outcome]))
        except Exception:  # the other outcomes are written
            log.exception("job outcome not written", job=outcome[0].entrypoint, job_id=outcome[0].id)

    def interrupt(self, schedule: Schedule) -> None:
        """Leave a schedule picked when it ends: a worker runs it again when its heartbeat has expired."""
        self._interrupted.add(schedule.id)

    async def set_schedule_queued(self, ids: set[ScheduleId]) -> None:
        """Release schedules that have run."""
        interrupted = ids & self._interrupted
        self._interrupted -= interrupted
        await super().set_schedule_queued(ids - interrupted)

    async def _when_back(self, write: Callable[[], Awaitable[object]]) -> None:
        failures = 0
        while True:
            try:
                await write()
            except Exception as error:
                if not is_outage(error):
                    raise
                failures += 1
                delay = OUTCOME_BACKOFF.delay(failures)
                log.warning("job outcome not written yet", error=repr(error)[:300], retry_in_seconds=delay)
                # A server that became read-only still responds on existing connections.
                await self._pool.expire_connections()
            else:
                return
            if await self.is_stopped_within(delay):
                # The job remains assigned to this worker and is run again when its heartbeat expires.
                return

    async def is_stopped_within(self, seconds: float) -> bool:
        """Wait `seconds`, or until the worker stops; return whether it stops."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        return self._stopping.is_set()


def queue_schema_sql(service: str) -> str:
    """Return the DDL of a service's queue schema, for the migrations."""
    return QueryBuilderEnvironment(settings=queue_settings(service)).build_install_query()


def _is_listener_error(error: BaseException) -> bool:
    """Return whether PgQueuer lost its LISTEN connection: its own error, or a failure to release it."""
    if isinstance(error, BaseExceptionGroup):
        return any(_is_listener_error(one) for one in error.exceptions)
    return isinstance(error, (PgqException, asyncpg.InterfaceError))


def _is_retried(error: BaseException) -> bool:
    return is_outage(error) or _is_listener_error(error)


async def _end_with(queuer: PgQueuer, work: Coroutine[Any, Any, None]) -> None:
    """Run one of the two managers of PgQueuer; when it ends, the other one picks nothing more and ends too."""
    try:
        await work
    finally:
        queuer.shutdown.set()


async def _keep_session(_connection: asyncpg.Connection) -> None:
    """Reset nothing when a connection goes back to the pool: single statements leave no state in its session."""


class RetryLater(Exception):  # noqa: N818 — a request, not an error
    """Raised by a job to run again `after` a time without counting a failure."""

    def __init__(self, after: timedelta, reason: str) -> None:
        super().__init__(reason)
        self.after = after
        self.reason = reason


@dataclass(frozen=True)
class StuckJobs:
    """Numbers of jobs that make no progress.

    `overdue`: due long ago and not begun: no worker runs, all are busy, or none has a handler of that name, as
    after a return to a former version. `long_running`: they may hang.
    """

    dead_letters: float
    overdue: float
    long_running: float


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

        With `dedupe_key`, nothing is enqueued while a job with this key waits or runs. Do not use it for work that
        must run again after a job that is already running.
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
    """A service's jobs and schedules. Handlers are idempotent: a job runs at least once, perhaps twice."""

    max_attempts: int = 8
    initial_delay: timedelta = timedelta(seconds=1)
    handlers: dict[str, JobHandler] = field(default_factory=dict)
    concurrency: dict[str, int] = field(default_factory=dict)
    on_dead_letter: dict[str, DeadLetterHandler] = field(default_factory=dict)
    schedules: dict[str, tuple[str, ScheduleHandler]] = field(default_factory=dict)
    # The jobs and schedules that run in this process.
    running: set[JobId] = field(default_factory=set)
    running_schedules: set[str] = field(default_factory=set)
    # The errors of schedules whose last run in this process failed.
    failing_schedules: dict[str, str] = field(default_factory=dict)

    def handler(
        self, name: str, *, on_dead_letter: DeadLetterHandler | None = None, concurrency: int = 0
    ) -> Callable[[JobHandler], JobHandler]:
        """Decorator: register the handler of jobs with this name; it gets the payload.

        At most `concurrency` of these jobs run at once, in all workers of the service together; 0 means no limit.
        Long jobs need one: otherwise they take all connections, and other jobs and consumers wait.

        `on_dead_letter(session, payload, reason)` is called in the transaction that dead-letters a job, so that
        rows that wait for the job can be ended.
        """

        def register(handler: JobHandler) -> JobHandler:
            self.handlers[name] = handler
            self.concurrency[name] = concurrency
            if on_dead_letter is not None:
                self.on_dead_letter[name] = on_dead_letter
            return handler

        return register

    def schedule(self, name: str, cron: str) -> Callable[[ScheduleHandler], ScheduleHandler]:
        """Decorator: run at each tick of a cron expression, in one of the workers."""

        def register(handler: ScheduleHandler) -> ScheduleHandler:
            self.schedules[name] = (cron, handler)
            return handler

        return register

    async def run(self, url: str, database: Database, report: WorkerReport = report_nothing) -> None:
        """Run jobs and schedules until cancelled; reconnect with limited backoff after an outage.

        `url` is a connection that can LISTEN; the transactions of `on_dead_letter` run in `database`. `report`
        gets the error while there is no connection: `url` may fail although `database` works.
        """
        stopping = asyncio.Event()
        draining: set[asyncio.Task[None]] = set()

        def failed(error: Exception, delay: float) -> None:
            log.warning("job worker lost the database", error=repr(error), retry_in_seconds=delay)
            report(repr(error))

        try:
            await run_forever(
                lambda: self._run_until_lost(url, database, stopping, report, draining),
                RECONNECT_BACKOFF,
                on_failure=failed,
                reset_after=30.0,
                is_retried=_is_retried,
            )
        finally:
            stopping.set()
            await asyncio.gather(*draining, return_exceptions=True)

    async def _run_until_lost(
        self,
        url: str,
        database: Database,
        stopping: asyncio.Event,
        report: WorkerReport,
        draining: set[asyncio.Task[None]],
    ) -> None:
        """Run jobs and schedules until a statement fails in an outage; those that run then end in `draining`.

        Otherwise one failed statement would stop all jobs until the slowest running one has ended.
        """
        lost: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        # In a separate task, so that errors during its teardown do not replace the caller's cancellation.
        task = asyncio.create_task(self._run_once(url, database, stopping, report, lost))
        waited: set[asyncio.Future[Any]] = {task, lost}
        try:
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            stopping.set()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            raise
        if task.done():
            lost.cancel()
            task.result()
            return

        def ended(task: asyncio.Task[None]) -> None:
            draining.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                log.info("former run of the job worker ended with an error", error=repr(error)[:300])

        draining.add(task)
        task.add_done_callback(ended)
        raise lost.result()

    async def _run_once(
        self,
        url: str,
        database: Database,
        stopping: asyncio.Event,
        report: WorkerReport,
        lost: asyncio.Future[Exception],
    ) -> None:
        async with asyncpg.create_pool(
            url,
            connect=connect,
            min_size=1,
            max_size=JOB_CONNECTIONS,
            command_timeout=30,
            reset=_keep_session,
            server_settings={"application_name": f"gospablik-{self.service}-jobs"},
        ) as pool:
            queries = _OutcomeWriter(pool, self.service, stopping, lost)
            await queries.ping()
            report(None)
            queuer = PgQueuer(connection=queries.driver, channel=queries.qbe.settings.channel, queries=queries)
            for name, handler in self.handlers.items():
                self._register(queuer, queries, database, name, handler)
            for name, (cron, scheduled) in self.schedules.items():
                self._schedule(queuer, queries, name, cron, scheduled)
            lost.add_done_callback(lambda _: queuer.shutdown.set())
            # A job of a killed worker is run again after the heartbeat timeout. The queue is polled every few
            # seconds anyway, so a listener that missed its first probe is no reason to stop.
            work = [
                queuer.qm.run(
                    dequeue_timeout=POLL_INTERVAL,
                    heartbeat_timeout=timedelta(seconds=10),
                    shutdown_on_listener_failure=False,
                )
            ]
            if self.schedules:
                work.append(self._run_schedules(queuer, pool))
            # Neither is cancelled when the other one fails: that would cancel jobs, or lose runs of schedules.
            ends = await asyncio.gather(*(_end_with(queuer, one) for one in work), return_exceptions=True)
            if errors := [error for error in ends if isinstance(error, Exception)]:
                raise ExceptionGroup("jobs and schedules have ended", errors)

    async def _run_schedules(self, queuer: PgQueuer, pool: asyncpg.Pool) -> None:
        """Run schedules until cancelled, first those that became due, or were interrupted, without a worker."""
        names = queue_settings(self.service).qualified
        outdated = (
            f"DELETE FROM {names.schedules_table} WHERE (entrypoint, expression) NOT IN"  # noqa: S608 — our own name
            " (SELECT * FROM unnest($1::text[], $2::text[]))"
        )
        kept = list(queuer.sm.registry)
        await pool.execute(outdated, [one.entrypoint for one in kept], [one.expression for one in kept])
        await queuer.sm.run()

    def _register(
        self, queuer: PgQueuer, outcomes: _OutcomeWriter, database: Database, name: str, handler: JobHandler
    ) -> None:
        async def run(job: Job) -> None:
            # While connections were lost, the heartbeat of a job that runs here may have expired.
            if job.id in self.running:
                raise outcomes.wait(job, OUTAGE_RETRY_DELAY, "the job still runs in this worker")
            self.running.add(job.id)
            try:
                await attempt(job)
            finally:
                self.running.discard(job.id)

        async def attempt(job: Job) -> None:
            payload = json.loads(job.payload or b"{}")
            try:
                await handler(payload)
            except RetryLater as later:
                raise outcomes.wait(job, later.after, later.reason) from later
            except asyncio.CancelledError as stopped:
                # PgQueuer deletes a job whose task is cancelled; a stopping worker requeues it instead.
                raise outcomes.wait(job, timedelta(0), "the worker stopped") from stopped
            except Exception as error:
                if not await is_application_error(error, outcomes.ping):
                    raise outcomes.wait(job, OUTAGE_RETRY_DELAY, repr(error)) from error
                if job.attempts < self.max_attempts:
                    backoff = Backoff(self.initial_delay.total_seconds(), MAX_RETRY_DELAY.total_seconds())
                    delay = timedelta(seconds=backoff.delay(job.attempts + 1))
                    raise RetryRequested(delay=delay, reason=str(error)) from error
                await self._hold(database, outcomes, job, payload, error)
                raise

        limit = self.concurrency.get(name, 0)
        queuer.entrypoint(name, concurrency_limit=limit, on_failure="hold", accepts_context=False)(run)

    async def _hold(
        self, database: Database, outcomes: _OutcomeWriter, job: Job, payload: dict[str, Any], error: Exception
    ) -> None:
        """Dead-letter a job and call `on_dead_letter` in one transaction; PgQueuer then writes its log."""
        if (on_dead_letter := self.on_dead_letter.get(job.entrypoint)) is None:
            return
        hold = (
            f"UPDATE {self.service}_jobs.pgqueuer SET status = 'failed', updated = now(),"  # noqa: S608 — our own name
            " queue_manager_id = NULL WHERE id = :id"
        )
        try:
            async with database.write() as session:
                await session.execute(text(hold), {"id": job.id})
                await on_dead_letter(session, payload, _storable_text(str(error)))
        except Exception as failure:
            if is_outage(failure):
                raise outcomes.wait(job, OUTAGE_RETRY_DELAY, repr(failure)) from failure
            log.exception("dead-letter handler failed", job=job.entrypoint, job_id=job.id)

    def _schedule(
        self, queuer: PgQueuer, outcomes: _OutcomeWriter, name: str, cron: str, handler: ScheduleHandler
    ) -> None:
        SCHEDULE_FAILURES.labels(self.service, name)
        SCHEDULE_FAILING.labels(self.service, name)

        async def run(schedule: Schedule) -> None:
            # While connections were lost, the heartbeat of a schedule that runs here may have expired.
            if name in self.running_schedules:
                outcomes.interrupt(schedule)
                return
            self.running_schedules.add(name)
            try:
                await attempt(schedule)
            finally:
                self.running_schedules.discard(name)

        async def attempt(schedule: Schedule) -> None:
            failures = 0
            while True:
                try:
                    await handler()
                except Exception as error:  # an outage is waited for; a bug ends the run until the next tick
                    failures += 1
                    if failures > SCHEDULE_RETRIES or await is_application_error(error, outcomes.ping):
                        log.exception("schedule failed", schedule=name)
                        self._report_schedule(name, error)
                        return
                    delay = SCHEDULE_BACKOFF.delay(failures)
                    log.warning(
                        "schedule waiting for the end of an outage",
                        schedule=name,
                        error=repr(error)[:300],
                        retry_in_seconds=delay,
                    )
                else:
                    self._report_schedule(name, None)
                    return
                if await outcomes.is_stopped_within(delay):
                    outcomes.interrupt(schedule)
                    return

        # Not `clean_old`: a run that is due, or was interrupted, would be deleted with its row at the next start.
        queuer.schedule(name, cron, accepts_context=False)(run)

    def _report_schedule(self, name: str, error: Exception | None) -> None:
        """Store the error of a schedule's last run, None if it succeeded, for `/health/ready` and `/metrics`."""
        if error is None:
            self.failing_schedules.pop(name, None)
        else:
            self.failing_schedules[name] = redact(repr(error))
            SCHEDULE_FAILURES.labels(self.service, name).inc()
        SCHEDULE_FAILING.labels(self.service, name).set(0 if error is None else 1)

    def purge_rules(self, retention: RetentionSettings) -> Sequence[PurgeRule]:
        """Return the purge rules of PgQueuer's log and statistics. PgQueuer's own command would delete everything.

        The log of waiting, running and dead-lettered jobs is kept.
        """
        age = timedelta(days=retention.job_log_days)
        settings = queue_settings(self.service)
        names = settings.qualified
        log_statement = f"""
            DELETE FROM {names.queue_table_log} WHERE id IN (
                SELECT old.id FROM {names.queue_table_log} old
                WHERE old.created < :before
                  AND NOT EXISTS (SELECT FROM {names.queue_table} job WHERE job.id = old.job_id)
                ORDER BY old.created LIMIT :limit FOR UPDATE OF old SKIP LOCKED)
        """  # noqa: S608 — our own names
        statistics_statement = f"""
            DELETE FROM {names.statistics_table} WHERE id IN (
                SELECT id FROM {names.statistics_table}
                WHERE created < :before ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED)
        """  # noqa: S608 — our own names

        def rule(table: str, statement: str) -> PurgeRule:
            async def some(session: WriteSession, limit: int) -> int:
                result = await session.execute(text(statement), {"before": clock.now() - age, "limit": limit})
                assert isinstance(result, CursorResult)
                return result.rowcount

            return PurgeRule(table, some)

        return rule(names.queue_table_log, log_statement), rule(names.statistics_table, statistics_statement)

    async def count_stuck(self, session: AsyncSession) -> StuckJobs:
        """Return how many jobs of the queue make no progress."""
        query = f"""
            SELECT count(*) FILTER (WHERE status = 'failed') AS dead_letters,
                count(*) FILTER (WHERE status = 'queued' AND now() - execute_after > :overdue) AS overdue,
                count(*) FILTER (WHERE status = 'picked' AND now() - updated > :long_running) AS long_running
            FROM {self.service}_jobs.pgqueuer
        """  # noqa: S608 — our own name
        counts = (await session.execute(text(query), {"overdue": OVERDUE, "long_running": LONG_RUNNING})).one()
        return StuckJobs(counts.dead_letters, counts.overdue, counts.long_running)

    async def list_dead_letters(self, connection: asyncpg.Connection, limit: int = 100) -> list[Job]:
        """Return the dead letters, newest first."""
        return await _queries(AsyncpgDriver(connection), self.service).list_failed_jobs(limit)

    async def requeue(self, connection: asyncpg.Connection, ids: list[int]) -> None:
        """Queue dead letters again, with their attempts reset to 0."""
        await _queries(AsyncpgDriver(connection), self.service).requeue_jobs([JobId(i) for i in ids])
