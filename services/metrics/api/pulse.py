"""Route of the daily pulse."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query

from services.metrics.api.metrics import COMMON_ERRORS, MetricsReader, statement_timeout
from services.metrics.pulse.daily_pulse import compute_pulse, parse_day
from services.metrics.schemas.pulse import PulseReport
from shared import clock
from shared.database.sessions import use_snapshot
from shared.service import ReadTransaction

router = APIRouter(prefix="/metrics", tags=["metrics"])

PulseDay = Annotated[
    date | None,
    Query(
        description="A day that has ended in the region. Default: yesterday",
        examples=["2026-11-24"],
    ),
]


@router.get("/pulse", responses=COMMON_ERRORS, summary="The day before: figures and unusual topics")
async def get_pulse(session: ReadTransaction, caller: MetricsReader, day: PulseDay = None) -> PulseReport:
    """Return how many appeals were opened, answered and overdue on a day, by channel and compared with earlier
    days, and the topics with unusually many authors, by municipality.

    Organisation staff get the figures of their own organisation, compared with its own history.
    """
    now = clock.now()
    found = parse_day(day, now)
    # From one snapshot: otherwise a topic could be listed without the appeals that it counts.
    await use_snapshot(session)
    async with statement_timeout(session):
        return await compute_pulse(session, found, caller, now)
