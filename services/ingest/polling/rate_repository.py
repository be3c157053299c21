"""Persist the learned state of poll schedules in `poll_rates`, so that it survives restarts."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from prometheus_client import Gauge
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from services.ingest.polling.poll_schedule import PollSchedule
from shared import clock
from shared.database.sessions import Database
from shared.tables.ingest import PollRate

EXPECTED_DELAY = Gauge(
    "gospablik_poll_expected_delay_seconds", "How long an average message waits", ["source_kind"]
)
POLLS_LEFT = Gauge("gospablik_polls_remaining", "Polls left of today's budget", ["source_kind"])
CEILING_KEPT = Gauge(
    "gospablik_poll_max_age_met",
    "1 while the budget suffices to poll every page within its maximum age",
    ["source_kind"],
)


def set_poll_gauges(source: str, delay_seconds: float, polls_left: int, *, ceiling_kept: bool) -> None:
    """Set the gauges of a source's poll schedule."""
    EXPECTED_DELAY.labels(source).set(delay_seconds)
    POLLS_LEFT.labels(source).set(polls_left)
    CEILING_KEPT.labels(source).set(ceiling_kept)


SAVE_SECONDS = 60.0
CHUNK = 500


class RateRepository:
    """Loads and saves the page states of one source's poll schedule."""

    def __init__(self, database: Database, source: str) -> None:
        self._database = database
        self._source_kind = source
        self._changed: set[UUID] = set()
        self._saved_at = 0.0

    async def load(self) -> dict[UUID, dict[str, Any]]:
        """Return the states by page, for `PollSchedule.add`."""
        async with self._database.read() as session:
            rows = await session.execute(
                select(PollRate.page_id, PollRate.state).where(PollRate.source_kind == self._source_kind)
            )
            return {row.page_id: row.state for row in rows}

    def mark_changed(self, page_id: UUID) -> None:
        """Mark a page so that the next `save` writes its state."""
        self._changed.add(page_id)

    async def save(self, schedule: PollSchedule[UUID], pages: Iterable[UUID] | None = None) -> None:
        """Write the states of the pages polled since the last save, or of `pages`."""
        changed = [one for one in (self._changed if pages is None else pages) if one in schedule]
        now = clock.now()
        for start in range(0, len(changed), CHUNK):
            chunk = changed[start : start + CHUNK]
            statement = insert(PollRate)
            async with self._database.write() as session:
                await session.execute(
                    statement.on_conflict_do_update(
                        index_elements=[PollRate.page_id, PollRate.source_kind],
                        set_={"state": statement.excluded.state, "updated_at": func.now()},
                    ),
                    [
                        {
                            "page_id": page,
                            "source_kind": self._source_kind,
                            "state": schedule.dump(page),
                            "updated_at": now,
                        }
                        for page in chunk
                    ],
                )
            self._changed.difference_update(chunk)

    async def save_if_due(self, schedule: PollSchedule[UUID], now: float) -> None:
        """Save and update the gauges once a minute. `now`: any monotonic time in seconds."""
        if now - self._saved_at < SAVE_SECONDS:
            return
        self._saved_at = now
        forecast = schedule.forecast(clock.now().timestamp())
        set_poll_gauges(
            self._source_kind,
            forecast.mean_delay_seconds,
            forecast.left_today,
            ceiling_kept=forecast.meets_max_age,
        )
        await self.save(schedule)
