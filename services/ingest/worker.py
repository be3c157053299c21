"""The background worker of ingest: read all pages, publish replies, run periodic jobs."""

from dataclasses import dataclass
from datetime import timedelta
from socket import gethostname
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from services.ingest import retention
from services.ingest.erasure.expired_authors import erase_expired_authors
from services.ingest.erasure.index_older_messages import index_older_messages
from services.ingest.erasure.requests import ERASE_JOB, enqueue
from services.ingest.erasure.runner import ErasureRunner, fail
from services.ingest.erasure.unfinished_gauge import UnfinishedGauge
from services.ingest.intake.store import DatabaseIntakeStore
from services.ingest.networks import catalogue
from services.ingest.networks.calls import open_client
from services.ingest.networks.port import NetworkAdapter, SourceLoop
from services.ingest.networks.retry import TRANSIENT_ERRORS
from services.ingest.publishing.change_requests import enqueue_change
from services.ingest.publishing.photo_uploads import attachment_reader
from services.ingest.publishing.publisher import PUBLISH_JOB, UNFINISHED_STATUSES, Publisher, fail_dead_lettered
from services.ingest.publishing.reply_changer import CHANGE_JOB, ReplyChanger, fail_dead_lettered_change
from services.ingest.settings import ingest_settings
from services.ingest.sources.reading_lease import ReadingLeaseHolder
from services.ingest.sources.source_metrics import SourceMetrics
from services.ingest.sync.backfill_runner import BackfillRunner
from services.ingest.sync.reconciliation_runner import ReconciliationRunner
from services.ingest.tokens.reencryption import reencrypt
from services.ingest.tokens.token_pool import DatabaseTokenPool
from shared import clock
from shared.api.pagination import inline_literal
from shared.database.purge import RetentionSettings, purge_tables
from shared.database.sessions import WriteSession
from shared.http.client_tls import client_tls
from shared.jobs import Jobs, RetryLater
from shared.logs import get_logger
from shared.service import Service
from shared.supervision import Backoff, TaskSupervisor, WorkEnded, run_periodically
from shared.tables.ingest import Publication, PublicationChange
from shared.tables.ingest_erasure import Erasure

log = get_logger(__name__)

# After this time without an update, an unfinished publication, change or erasure may have lost its job.
STALLED_AFTER = timedelta(seconds=60)
# How long a process of a former release may still store messages after a worker of this one has started.
FORMER_RELEASE_STOPPED_AFTER = timedelta(minutes=10)
RESTART_BACKOFF = Backoff(5.0, 5.0)
# Minimum duration of a lease: after a worker is killed, another one waits until the lease has expired.
LEASE_SECONDS = 10.0


@dataclass(frozen=True)
class CollectorRuntime:
    """Objects shared by the worker's loops and jobs while it runs."""

    token_pool: DatabaseTokenPool
    intake: DatabaseIntakeStore
    networks: dict[str, NetworkAdapter]
    publisher: Publisher
    changer: ReplyChanger


async def _release(lease: ReadingLeaseHolder) -> None:
    try:
        await lease.release()
    except TRANSIENT_ERRORS as error:  # the lease expires anyway
        log.warning("reading lease not released", error=repr(error)[:300])


def _log_bug(name: str, error: Exception) -> None:
    if not isinstance(error, (WorkEnded, *TRANSIENT_ERRORS)):
        log.error("source loop crashed", loop=name, exc_info=error)


class Worker:
    """The worker of one process: `run` is the service's background task, `jobs` its job queue."""

    def __init__(self) -> None:
        self.jobs = Jobs("ingest")
        self.jobs.handler(PUBLISH_JOB, on_dead_letter=_fail_dead_lettered_publication)(self._publish)
        self.jobs.handler(CHANGE_JOB, on_dead_letter=_fail_dead_lettered_change)(self._change)
        self.jobs.handler(ERASE_JOB, on_dead_letter=_fail_dead_lettered_erasure)(self._erase)
        self.jobs.schedule("index-older-messages", "* * * * *")(self._index_older_messages)
        self.jobs.schedule("requeue-stalled-erasures", "* * * * *")(self._requeue_stalled_erasures)
        self.jobs.schedule("requeue-stalled-publications", "* * * * *")(self._requeue_stalled_publications)
        self.jobs.schedule("requeue-stalled-changes", "* * * * *")(self._requeue_stalled_changes)
        self.jobs.schedule("purge", "17 * * * *")(self._purge)
        # The times are in UTC: night in the region.
        self.jobs.schedule("erase-expired-authors", "23 18 * * *")(self._erase_expired_authors)
        self.jobs.schedule("reencrypt-secrets", "47 18 * * *")(self._reencrypt)
        self._runtime: CollectorRuntime | None = None
        self._service: Service | None = None
        self._created_at = clock.now()

    async def run(self, service: Service) -> None:
        """Read the networks until cancelled; retry while the database is unavailable."""
        settings = ingest_settings()
        supervisor = TaskSupervisor(RESTART_BACKOFF, service.report_worker, _log_bug)
        async with open_client(client_tls()) as http:
            token_pool, intake = DatabaseTokenPool(service.database), DatabaseIntakeStore(service.database)
            networks = catalogue.create_adapters(http, token_pool, intake, settings)
            read_attachment = attachment_reader(service)
            publisher = Publisher(
                database=service.database,
                intake=intake,
                networks=networks,
                settle_seconds=settings.publish_settle_seconds,
                read_attachment=read_attachment,
            )
            changer = ReplyChanger(
                database=service.database,
                intake=intake,
                networks=networks,
                settle_seconds=settings.publish_settle_seconds,
                read_attachment=read_attachment,
            )
            lease = ReadingLeaseHolder(
                service.database,
                f"{gethostname()}:{service.settings.port}",
                max(LEASE_SECONDS, 3 * settings.page_refresh_seconds),
            )
            loops_of_all: dict[str, SourceLoop] = {
                "source-metrics": SourceMetrics(service.database).run,
                "erasure-metrics": UnfinishedGauge(service.database).run,
            }
            loops_of_reader: dict[str, SourceLoop] = {
                "reconciliation": ReconciliationRunner(service.database, intake, networks, settings).run,
                "backfill": BackfillRunner(service.database, intake, networks, settings).run,
            }
            self._service = service

            async def refresh() -> float:
                await token_pool.refresh()
                self._runtime = CollectorRuntime(token_pool, intake, networks, publisher, changer)
                loops = dict(loops_of_all)
                if await lease.renew():
                    loops |= loops_of_reader
                    loops |= {k: v for one in networks.values() for k, v in one.source_loops().items()}
                supervisor.set_tasks(loops)
                await intake.flush()
                service.report_worker("database", None)
                return settings.page_refresh_seconds

            def delay_after(error: Exception, _failures: int) -> float | None:
                if not isinstance(error, TRANSIENT_ERRORS):
                    return None
                log.warning("database unavailable", error=repr(error)[:300])
                service.report_worker("database", repr(error)[:300])
                return settings.page_refresh_seconds

            try:
                await run_periodically(refresh, delay_after)
            finally:
                self._runtime = None
                await supervisor.stop()
                await _release(lease)

    async def _publish(self, payload: dict[str, Any]) -> None:
        if self._runtime is None:
            raise RetryLater(timedelta(seconds=1), "the networks are not connected yet")
        await self._runtime.publisher.process(UUID(payload["publication_id"]))

    async def _change(self, payload: dict[str, Any]) -> None:
        if self._runtime is None:
            raise RetryLater(timedelta(seconds=1), "the networks are not connected yet")
        await self._runtime.changer.process(UUID(payload["change_id"]))

    async def _erase(self, payload: dict[str, Any]) -> None:
        if self._service is None:
            raise RetryLater(timedelta(seconds=1), "the worker is starting")
        await ErasureRunner(self._service).run(UUID(payload["erasure_id"]))

    async def _index_older_messages(self) -> None:
        """Index whom messages of former releases name; a while after the upgrade nothing is left to do."""
        if self._service is None:
            return
        is_alone = clock.now() - self._created_at >= FORMER_RELEASE_STOPPED_AFTER
        if read := await index_older_messages(self._service, is_alone=is_alone):
            log.info("messages of former releases indexed by the people whom they name", messages=read)

    async def _requeue_stalled_erasures(self) -> None:
        """Enqueue a job for every unfinished erasure whose job may be lost."""
        if self._service is None:
            return
        async with self._service.database.write() as session:
            stuck = await session.scalars(
                select(Erasure.id).where(
                    Erasure.status != inline_literal("done"),
                    Erasure.status.in_(("queued", "running")),
                    Erasure.updated_at < func.now() - STALLED_AFTER,
                )
            )
            for erasure_id in stuck:
                await enqueue(session, self.jobs, erasure_id, dedupe_key=f"recovery:{erasure_id}")

    async def _requeue_stalled_changes(self) -> None:
        """Enqueue jobs for up to 500 unfinished changes whose jobs may be lost, longest unchanged first."""
        if self._service is None:
            return
        async with self._service.database.write() as session:
            stuck = await session.scalars(
                select(PublicationChange.id)
                .where(
                    PublicationChange.status.in_([inline_literal(status) for status in UNFINISHED_STATUSES]),
                    PublicationChange.updated_at < func.now() - STALLED_AFTER,
                )
                .order_by(PublicationChange.updated_at)
                .limit(500)
            )
            for change_id in stuck:
                await enqueue_change(session, self.jobs, change_id, dedupe_key=f"recovery:{change_id}")

    async def _requeue_stalled_publications(self) -> None:
        """Enqueue jobs for up to 500 unfinished publications whose jobs may be lost, oldest first."""
        if self._service is None:
            return
        async with self._service.database.write() as session:
            stuck = await session.scalars(
                select(Publication.id)
                .where(
                    Publication.status.in_(UNFINISHED_STATUSES),
                    Publication.updated_at < func.now() - STALLED_AFTER,
                )
                .order_by(Publication.created_at)
                .limit(500)
            )
            for publication_id in stuck:
                await self.jobs.enqueue(
                    session,
                    PUBLISH_JOB,
                    {"publication_id": str(publication_id)},
                    dedupe_key=f"recovery:{publication_id}",
                )

    async def _purge(self) -> None:
        """Delete expired rows."""
        if self._service is None:
            return
        terms = RetentionSettings()
        await purge_tables(self._service.database, [*retention.rules(terms), *self.jobs.purge_rules(terms)])

    async def _erase_expired_authors(self) -> None:
        """Queue the erasure of authors who have written nothing for the retention period."""
        if self._service is None or (days := RetentionSettings().authors_days) is None:
            return
        expired = await erase_expired_authors(self._service.database, self.jobs, timedelta(days=days))
        if expired:
            log.info("erasures of authors queued after their retention period", authors=expired)

    async def _reencrypt(self) -> None:
        """Re-encrypt all secrets with the newest key, so that older keys can be removed."""
        if self._service is not None:
            await reencrypt(self._service.database)


async def _fail_dead_lettered_publication(session: WriteSession, payload: dict[str, Any], _reason: str) -> None:
    """Fail the publication of a dead-lettered job."""
    await fail_dead_lettered(session, UUID(payload["publication_id"]))


async def _fail_dead_lettered_erasure(session: WriteSession, payload: dict[str, Any], reason: str) -> None:
    """Mark the erasure of a dead-lettered job as failed: a person has to request it again."""
    await fail(session, UUID(payload["erasure_id"]), reason)


async def _fail_dead_lettered_change(session: WriteSession, payload: dict[str, Any], _reason: str) -> None:
    """Fail the change of a dead-lettered job."""
    await fail_dead_lettered_change(session, UUID(payload["change_id"]))
