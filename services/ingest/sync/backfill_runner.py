"""Fetch the history of pages, resuming after interruptions."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import aggregate_order_by

from services.ingest.intake.store import DatabaseIntakeStore
from services.ingest.networks.calls import CallError, ErrorTreatment
from services.ingest.networks.port import NetworkAdapter, PageRef, ScanStep, StoreResult
from services.ingest.settings import IngestSettings
from services.ingest.sync.resumable_runner import ResumableRunner, RowSuperseded, closing_scan
from shared import clock
from shared.database.sessions import Database, WriteSession
from shared.logs import get_logger
from shared.tables.ingest import Backfill
from shared.tables.registry import Page

log = get_logger(__name__)

SOURCE = "backfill"
UNFINISHED_STATUSES = ("queued", "running")
_UNFINISHED = select(func.array_agg(aggregate_order_by(Backfill.id, Backfill.created_at))).where(
    Backfill.status.in_(UNFINISHED_STATUSES)
)
# Errors that a retry cannot solve: the network denies access, or the request is invalid.
PERMANENT_TREATMENTS = {
    ErrorTreatment.DENIED,
    ErrorTreatment.NOT_FOUND,
    ErrorTreatment.CONTENT_REJECTED,
    ErrorTreatment.CLIENT_ERROR,
}


@dataclass(frozen=True)
class _Row:
    """A backfill as last stored."""

    id: UUID
    page: PageRef
    since: datetime
    open_appeals: bool
    cursor: Mapping[str, Any]
    items_read: int


class BackfillRunner:
    """Scans pages with a requested backfill; progress is saved with each stored step."""

    def __init__(
        self,
        database: Database,
        intake: DatabaseIntakeStore,
        networks: Mapping[str, NetworkAdapter],
        settings: IngestSettings,
    ) -> None:
        self._database = database
        self._intake = intake
        self._networks = networks
        self._pages: dict[UUID, PageRef] = {}
        self._runner = ResumableRunner(
            SOURCE,
            concurrency=settings.backfill_concurrency,
            list_pending=self._list_pending,
            process=self._process,
            record_delay=self._record_delay,
        )

    async def run(self) -> None:
        """Process backfills until cancelled."""
        await self._runner.run()

    async def _list_pending(self) -> list[UUID]:
        (ids,) = await self._database.execute_alone(_UNFINISHED)
        return list(ids or ())

    async def _process(self, row_id: UUID) -> None:
        row = await self._begin(row_id)
        if row is None:
            return
        network = self._networks.get(row.page.network)
        if network is None:
            await self._end(row, "failed", f"there is no adapter for the network «{row.page.network}»")
            return
        try:
            async with closing_scan(network, row.page, row.since, row.cursor) as steps:
                async for step in steps:
                    row = await self._store(row, step)
                    self._runner.record_progress(row_id)
        except CallError as error:
            if error.treatment not in PERMANENT_TREATMENTS:
                raise
            await self._end(row, "failed", f"the network rejected the request: {error}"[:500])
            return
        await self._end(row, "done", None)

    async def _begin(self, row_id: UUID) -> _Row | None:
        """Start or resume the backfill; return None if it is finished or its page is inactive."""
        async with self._database.write() as session:
            found = (
                await session.execute(
                    select(Backfill, Page)
                    .join(Page, Page.id == Backfill.page_id)
                    .where(Backfill.id == row_id, Backfill.status.in_(UNFINISHED_STATUSES))
                    .with_for_update(of=Backfill)
                )
            ).one_or_none()
            if found is None:
                return None
            row, page = found
            begun = _Row(
                id=row_id,
                page=PageRef.of(page),
                since=row.since,
                open_appeals=row.open_appeals,
                cursor=row.cursor,
                items_read=row.items_read,
            )
            if not page.active:
                _close(row, "failed", "the page is no longer active")
                return None
            if row.status != "running":
                row.status, row.updated_at = "running", clock.now()
        self._pages[row_id] = begun.page
        return begun

    async def _store(self, row: _Row, step: ScanStep) -> _Row:
        """Store a step and its progress in one transaction; a cancelled backfill stores nothing more."""
        items_read = row.items_read + len(step.batch.items)

        async def save_progress(session: WriteSession, stored: StoreResult) -> None:
            moved = await session.scalar(
                update(Backfill)
                .where(
                    Backfill.id == row.id,
                    Backfill.status == "running",
                    Backfill.items_read == row.items_read,
                    Backfill.cursor == dict(row.cursor),
                )
                .values(
                    cursor=dict(step.cursor),
                    progress=min(max(step.progress, 0.0), 1.0),
                    items_read=items_read,
                    messages_added=Backfill.messages_added + stored.new,
                    error=None,
                    updated_at=clock.now(),
                )
                .returning(Backfill.id)
                .execution_options(synchronize_session=False)
            )
            if moved is None:
                raise RowSuperseded

        await self._intake.store(
            row.page,
            SOURCE,
            step.batch,
            observed_at=step.observed_at,
            open_appeals=row.open_appeals,
            extra_work=save_progress,
        )
        return replace(row, cursor=dict(step.cursor), items_read=items_read)

    async def _end(self, row: _Row, status: str, error: str | None) -> None:
        async with self._database.write() as session:
            kept = await session.get(Backfill, row.id, with_for_update=True)
            if kept is None or kept.status not in UNFINISHED_STATUSES:
                raise RowSuperseded
            _close(kept, status, error)
        if error is None:
            self._intake.report_success(row.page, SOURCE)
        else:
            self._intake.report_failure(row.page, SOURCE, error)
        self._pages.pop(row.id, None)
        log.info("backfill ended", backfill_id=str(row.id), status=status, items_read=row.items_read, error=error)

    async def _record_delay(self, row_id: UUID, why: str) -> None:
        """Save why the backfill waits, for example: no token, no calls left, a network error."""
        async with self._database.write() as session:
            await session.execute(
                update(Backfill)
                .where(Backfill.id == row_id, Backfill.status.in_(UNFINISHED_STATUSES))
                .values(error=f"waiting: {why}", updated_at=clock.now())
                .execution_options(synchronize_session=False)
            )
        if row_id in self._pages:
            self._intake.report_failure(self._pages[row_id], SOURCE, why)


def _close(row: Backfill, status: str, error: str | None) -> None:
    # The cursor may have the id of a conversation, and nothing continues from it.
    row.status, row.error, row.cursor = status, error, {}
    row.finished_at = row.updated_at = clock.now()
    if status == "done":
        row.progress = 1.0
