"""Metrics over all pages: reading lag, gaps, and calls left today."""

import asyncio
from collections import defaultdict
from datetime import timedelta
from uuid import UUID

from prometheus_client import Gauge
from sqlalchemy import func, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from services.ingest.networks.retry import run_periodically
from services.ingest.schemas.sources import CallBudgetList, CallBudgetOut
from services.ingest.settings import IngestSettings
from services.ingest.sync.reconciliation_requests import REGULAR_SOURCES
from shared import clock
from shared.database.sessions import Database
from shared.networks import NETWORKS
from shared.tables.ingest import CallCount, NetworkToken, Source
from shared.tables.registry import Page

STALE_AFTER = timedelta(hours=1)
UPDATE_SECONDS = 15.0
# Kinds of tokens that call limited methods; a group token reads only its own page.
SHARED_TOKEN_KINDS = ("service", "user")

LAG = Gauge("gospablik_source_lag_seconds", "Seconds since the stalest page was last read", ["network"])
STALE_PAGES = Gauge("gospablik_stale_pages", "Pages without a successful read for more than an hour", ["network"])
GAPS = Gauge("gospablik_missed_messages", "Messages that reconciliation found missing", ["network"])


async def update_metrics(session: AsyncSession) -> None:
    """Set the gauges by network. The lag of a page that was never read counts from its registration."""
    sources = (
        select(
            func.max(Source.last_success_at).filter(REGULAR_SOURCES).label("seen"),
            func.coalesce(func.sum(Source.gaps), 0).label("gaps"),
        )
        .where(Source.page_id == Page.id)
        .lateral()
    )
    lag = clock.now() - func.coalesce(sources.c.seen, Page.created_at)
    rows = await session.execute(
        select(
            Page.network,
            func.max(func.extract("epoch", lag)).label("lag"),
            func.count().filter(lag > STALE_AFTER).label("behind"),
            func.sum(sources.c.gaps).label("gaps"),
        )
        .select_from(Page)
        .join(sources, true())
        .where(Page.active)
        .group_by(Page.network)
    )
    found = {row.network: row for row in rows}
    for network in NETWORKS:
        row = found.get(network)
        LAG.labels(network).set(0 if row is None else max(float(row.lag), 0.0))
        STALE_PAGES.labels(network).set(0 if row is None else row.behind)
        GAPS.labels(network).set(0 if row is None else float(row.gaps))


class SourceMetrics:
    """Updates the Prometheus gauges periodically."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self) -> None:
        """Update the gauges until cancelled."""
        await run_periodically("source-metrics", self._round)

    async def _round(self) -> float:
        async with asyncio.timeout(UPDATE_SECONDS), self._database.read() as session:
            await update_metrics(session)
        return UPDATE_SECONDS


async def call_budgets(session: AsyncSession, settings: IngestSettings) -> CallBudgetList:
    """Return each method with a daily limit: how many tokens may call it, calls used and calls left."""
    now = clock.now()
    tokens = await session.execute(
        select(NetworkToken.id, NetworkToken.network).where(
            NetworkToken.kind.in_(SHARED_TOKEN_KINDS),
            (NetworkToken.state == "healthy")
            | ((NetworkToken.state == "limited") & (NetworkToken.limited_until <= now)),
        )
    )
    usable: dict[str, list[UUID]] = defaultdict(list)
    for row in tokens:
        usable[row.network].append(row.id)
    counted = await session.execute(
        select(
            NetworkToken.network, CallCount.method, CallCount.token_id, func.sum(CallCount.calls).label("calls")
        )
        .join(NetworkToken, NetworkToken.id == CallCount.token_id)
        .where(CallCount.bucket > now - timedelta(seconds=settings.call_budget_window_seconds))
        .group_by(NetworkToken.network, CallCount.method, CallCount.token_id)
    )
    used: dict[tuple[str, str], dict[UUID, int]] = defaultdict(dict)
    for network, method, token_id, calls in counted:
        used[network, method][token_id] = int(calls)
    items = []
    for network in NETWORKS:
        for method, limit in sorted(settings.calls_per_day(network).items()):
            spent = used[network, method]
            items.append(
                CallBudgetOut(
                    network=network,
                    method=method,
                    tokens=len(usable[network]),
                    calls_last_24h=sum(spent.values()),
                    daily_limit=limit * len(usable[network]),
                    calls_remaining=sum(max(limit - spent.get(one, 0), 0) for one in usable[network]),
                )
            )
    return CallBudgetList(items=items)
