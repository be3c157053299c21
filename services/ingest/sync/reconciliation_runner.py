"""Compare the stored messages with the networks, page by page, about once a day.

A message that no regular source had stored within the grace period is a gap: it is stored, counted and reported.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import and_, delete, exists, func, select, true, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.ingest.intake.store import DatabaseIntakeStore
from services.ingest.networks.port import NetworkAdapter, PageRef, ReadFailed, ScanStep, StoreResult, TokenState
from services.ingest.settings import IngestSettings
from services.ingest.sync.reconciliation_requests import SOURCE, create_reconciliations, first_read_at
from services.ingest.sync.resumable_runner import ResumableRunner, RowSuperseded, closing_scan
from shared import clock
from shared.contracts.ingest_events import SourceGapFound
from shared.database.sessions import Database, WriteSession
from shared.events.outbox import NewEvent, emit
from shared.logs import get_logger
from shared.tables.ingest import Message, NetworkToken, Reconciliation, Source
from shared.tables.registry import Page

log = get_logger(__name__)

SCHEDULE_LOCK = 0x7265636F  # "reco"
# Reconciliations are deleted after this time; the gap counts of pages are kept.
KEPT_FOR = timedelta(days=90)
PAGE_INACTIVE_TEXT = "the page is no longer active"
_ANY_UNFINISHED = select(exists().where(Reconciliation.finished_at.is_(None)))
# Token states that only a person can end.
UNUSABLE_TOKEN_STATES = frozenset({TokenState.CAPTCHA, TokenState.REVOKED, TokenState.BLOCKED})


@dataclass(frozen=True)
class _Row:
    """A reconciliation as last stored. Messages written before `gaps_count_from` do not count as gaps."""

    id: UUID
    page: PageRef
    since: datetime
    cursor: Mapping[str, Any]
    compared: int
    gaps: int
    gaps_count_from: datetime | None


class ReconciliationRunner:
    """Reconciles every active page once per period, spread evenly, and pages on request without delay."""

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
        self._settings = settings
        self._grace = timedelta(seconds=settings.reconcile_grace_seconds)
        self._next_at = 0.0
        self._pages: dict[UUID, PageRef] = {}
        self._runner = ResumableRunner(
            SOURCE,
            concurrency=settings.reconcile_concurrency,
            list_pending=self._list_pending,
            process=self._process,
            record_delay=self._record_delay,
        )

    async def run(self) -> None:
        """Run until cancelled. The schedule starts after the grace period: regular sources catch up first."""
        self._next_at = asyncio.get_running_loop().time() + self._settings.reconcile_grace_seconds
        await self._runner.run()

    async def _list_pending(self) -> list[UUID]:
        """Add a reconciliation if one is due; return the oldest unfinished one of each page."""
        now = asyncio.get_running_loop().time()
        if now < self._next_at and not any(await self._database.execute_alone(_ANY_UNFINISHED)):
            return []
        async with self._database.write() as session:
            await session.execute(
                update(Reconciliation)
                .where(
                    Reconciliation.finished_at.is_(None),
                    Reconciliation.page_id.in_(select(Page.id).where(~Page.active)),
                )
                .values(finished_at=clock.now(), cursor={}, error=PAGE_INACTIVE_TEXT)
                .execution_options(synchronize_session=False)
            )
            if now >= self._next_at:
                self._next_at = now + await self._schedule(session)
            rows = await session.execute(
                select(Reconciliation.id, Reconciliation.page_id)
                .where(Reconciliation.finished_at.is_(None))
                .order_by(Reconciliation.started_at, Reconciliation.id)
            )
            oldest: dict[UUID, UUID] = {}
            for row in rows:
                oldest.setdefault(row.page_id, row.id)
        return list(oldest.values())

    async def _schedule(self, session: WriteSession) -> float:
        """Queue the page that has waited longest, if it is due; return the seconds until the next may be due."""
        period = self._settings.reconcile_period_seconds
        if not await session.scalar(select(func.pg_try_advisory_xact_lock(SCHEDULE_LOCK))):
            return 1.0
        followed = (Page.active, Page.network.in_(sorted(self._networks)))
        last = (
            select(Reconciliation.started_at, Reconciliation.finished_at)
            .where(Reconciliation.page_id == Page.id)
            .order_by(Reconciliation.started_at.desc())
            .limit(1)
            .lateral()
        )
        due = await session.scalar(
            select(Page.id)
            .select_from(Page)
            .outerjoin(last, true())
            .where(
                *followed,
                func.coalesce(last.c.started_at <= clock.now() - timedelta(seconds=period), True),
                # Not while unfinished: such a reconciliation continues from its cursor.
                ~and_(last.c.started_at.is_not(None), last.c.finished_at.is_(None)),
            )
            .order_by(last.c.started_at.asc().nulls_first(), Page.id)
            .limit(1)
        )
        if due is None:
            return min(period / 10, 60.0)
        await create_reconciliations(session, [Page.id == due], self._settings.reconcile_overlap_seconds)
        old = Reconciliation.started_at < clock.now() - KEPT_FOR
        await session.execute(delete(Reconciliation).where(Reconciliation.page_id == due, old))
        count = await session.scalar(select(func.count()).select_from(Page).where(*followed))
        return period / max(count or 1, 1)

    async def _process(self, row_id: UUID) -> None:
        row = await self._read(row_id)
        network = self._networks.get(row.page.network)
        if network is None:
            raise ReadFailed(f"there is no adapter for the network «{row.page.network}»")
        async with closing_scan(network, row.page, row.since, row.cursor) as steps:
            async for step in steps:
                row = await self._store(row, step)
                self._runner.record_progress(row_id)
        try:
            await self._finish(row)
        except ReadFailed:
            await self._restart_scan(row)
            raise

    async def _read(self, row_id: UUID) -> _Row:
        async with self._database.read() as session:
            found = (
                await session.execute(
                    select(Reconciliation, Page)
                    .join(Page, Page.id == Reconciliation.page_id)
                    .where(Reconciliation.id == row_id, Reconciliation.finished_at.is_(None))
                )
            ).one_or_none()
            if found is None:
                raise RowSuperseded
            row, page = found
            self._pages[row_id] = PageRef.of(page)
            await _check_tokens(session, page.id)
            read_since = await first_read_at(session, page.id)
        return _Row(
            id=row_id,
            page=self._pages[row_id],
            since=row.since,
            cursor=row.cursor,
            compared=row.compared,
            gaps=row.gaps,
            gaps_count_from=None if read_since is None else max(read_since, page.go_live_at),
        )

    async def _store(self, row: _Row, step: ScanStep) -> _Row:
        """Store a step and its counts in one transaction."""
        began = clock.now()
        compared = row.compared + len(step.batch.items)
        gaps = 0

        async def count(session: WriteSession, stored: StoreResult) -> None:
            nonlocal gaps
            gaps, within_grace = await self._missing(session, row, step, began)
            moved = await session.scalar(
                update(Reconciliation)
                .where(
                    Reconciliation.id == row.id,
                    Reconciliation.finished_at.is_(None),
                    Reconciliation.compared == row.compared,
                    Reconciliation.cursor == dict(row.cursor),
                )
                .values(
                    cursor=dict(step.cursor),
                    compared=compared,
                    gaps=Reconciliation.gaps + gaps,
                    within_grace=Reconciliation.within_grace + within_grace,
                    edited=Reconciliation.edited + stored.edited,
                    deleted=Reconciliation.deleted + stored.deleted,
                    error=None,
                )
                .returning(Reconciliation.id)
                .execution_options(synchronize_session=False)
            )
            if moved is None:
                raise RowSuperseded
            if gaps:
                await session.execute(
                    update(Source)
                    .where(Source.page_id == row.page.id, Source.kind == SOURCE)
                    .values(gaps=Source.gaps + gaps, last_gap_at=clock.now())
                    .execution_options(synchronize_session=False)
                )

        await self._intake.store(row.page, SOURCE, step.batch, observed_at=step.observed_at, extra_work=count)
        return replace(row, cursor=dict(step.cursor), compared=compared, gaps=row.gaps + gaps)

    async def _missing(self, session: WriteSession, row: _Row, step: ScanStep, began: datetime) -> tuple[int, int]:
        """Return how many messages that this step stored are gaps, and how many are too recent to count."""
        written = list(
            await session.scalars(
                select(Message.written_at).where(
                    Message.page_id == row.page.id, Message.received_at >= began, Message.source_kind == SOURCE
                )
            )
        )
        if row.gaps_count_from is None:
            return 0, 0
        since = row.gaps_count_from
        young = step.observed_at - self._grace
        return sum(since <= at < young for at in written), sum(at >= max(young, since) for at in written)

    async def _finish(self, row: _Row) -> None:
        async with self._database.write() as session:
            await _check_tokens(session, row.page.id)
            done = await session.scalar(
                update(Reconciliation)
                .where(Reconciliation.id == row.id, Reconciliation.finished_at.is_(None))
                .values(finished_at=clock.now(), cursor={}, error=None)
                .returning(Reconciliation.id)
                .execution_options(synchronize_session=False)
            )
            if done is None:
                raise RowSuperseded
            if row.gaps:
                await emit(session, _gap_found(row))
        self._intake.report_success(row.page, SOURCE)
        self._pages.pop(row.id, None)
        log.info("page reconciled", page_id=str(row.page.id), compared=row.compared, gaps=row.gaps)

    async def _restart_scan(self, row: _Row) -> None:
        """Restart the scan: it may have skipped content that only the page's own token can read."""
        async with self._database.write() as session:
            await session.execute(
                update(Reconciliation)
                .where(Reconciliation.id == row.id, Reconciliation.finished_at.is_(None))
                .values(cursor={})
                .execution_options(synchronize_session=False)
            )

    async def _record_delay(self, row_id: UUID, why: str) -> None:
        async with self._database.write() as session:
            await session.execute(
                update(Reconciliation)
                .where(Reconciliation.id == row_id, Reconciliation.finished_at.is_(None))
                .values(error=why)
                .execution_options(synchronize_session=False)
            )
        if row_id in self._pages:
            self._intake.report_failure(self._pages[row_id], SOURCE, why)


async def _check_tokens(session: AsyncSession, page_id: UUID) -> None:
    """Raise `ReadFailed` if the page has its own tokens and none of them is usable."""
    own = list(
        await session.execute(
            select(NetworkToken.state, NetworkToken.reason)
            .where(NetworkToken.page_id == page_id)
            .order_by(NetworkToken.created_at.desc())
        )
    )
    if own and all(token.state in UNUSABLE_TOKEN_STATES for token in own):
        raise ReadFailed(f"the page's token is {own[0].state}: {own[0].reason or 'unknown reason'}")


def _gap_found(row: _Row) -> NewEvent:
    return NewEvent(
        data=SourceGapFound(
            page_id=row.page.id,
            network=row.page.network,
            reconciliation_id=row.id,
            since=row.since,
            gaps=row.gaps,
        ),
        subject_id=row.page.id,
        organisation_id=row.page.organisation_id,
        actor="ingest",
    )
