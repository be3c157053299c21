"""The gauge of alerts that no moderator has seen, by kind."""

from typing import get_args

from prometheus_client import Gauge
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.contracts.values import AlertKind
from shared.service import Service
from shared.supervision import run_periodically
from shared.tables.appeals_incidents import Alert

UNSEEN_ALERTS = Gauge("gospablik_alerts_unseen", "Alerts that no moderator has seen", ["kind"])
ALERT_KINDS: tuple[str, ...] = get_args(AlertKind.__value__)
GAUGE_INTERVAL_SECONDS = 15.0


async def update_gauge(session: AsyncSession) -> None:
    """Set the gauge of unseen alerts, by kind."""
    rows = await session.execute(
        select(Alert.kind, func.count()).where(Alert.seen_at.is_(None)).group_by(Alert.kind)
    )
    counted = {row[0]: row[1] for row in rows}
    for kind in ALERT_KINDS:
        UNSEEN_ALERTS.labels(kind).set(counted.get(kind, 0))


async def run_gauge_updates(service: Service) -> None:
    """Update the gauge of unseen alerts every `GAUGE_INTERVAL_SECONDS`, until cancelled."""

    async def one_round() -> float:
        async with service.database.read() as session:
            await update_gauge(session)
        return GAUGE_INTERVAL_SECONDS

    await run_periodically(one_round)
