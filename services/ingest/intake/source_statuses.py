"""Results of source checks that stored no messages, written in one statement every few seconds."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from math import inf
from typing import Any
from uuid import UUID

from sqlalchemy import case, func
from sqlalchemy.dialects.postgresql import Insert

from services.ingest.networks.port import PageRef
from shared import clock
from shared.database.bulk_insert import insert_into
from shared.database.sessions import Database
from shared.ids import new_id
from shared.tables.ingest import Source

# Repeated successes of a source are written this often; failures, and the first success after one, at each flush.
SUCCESS_SECONDS = 30.0


@dataclass(frozen=True)
class _Status:
    """Result of the last check of a source; one that succeeded may have an error too."""

    at: datetime
    error: str | None
    failed: bool


class SourceStatuses:
    """Collects the last result of each page's source until it is written."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: dict[tuple[UUID, str], _Status] = {}
        # Event loop time of each source's last written success; removed when a failure is written.
        self._succeeded: dict[tuple[UUID, str], float] = {}

    def report(self, page: PageRef, source: str, error: str | None, *, failed: bool = True) -> None:
        """Record a check; `error`: what it could not read."""
        self._waiting[page.id, source] = _Status(clock.now(), error, failed)

    def forget(self, page: PageRef, source: str) -> None:
        """Drop the result of a source whose success was stored with its messages."""
        self._waiting.pop((page.id, source), None)

    async def flush(self) -> None:
        """Write the results to the database."""
        now = asyncio.get_running_loop().time()
        due = {key: status for key, status in self._waiting.items() if status.error or self._is_due(key, now)}
        if not due:
            return
        rows: list[dict[str, Any]] = [
            {
                "id": new_id(),
                "page_id": page_id,
                "kind": kind,
                "cursor": {},
                "last_success_at": None if status.failed else status.at,
                "last_error_at": status.at if status.error else None,
                "last_error": status.error,
                "consecutive_failures": int(status.failed),
                "updated_at": status.at,
            }
            for (page_id, kind), status in sorted(due.items())
        ]
        async with self._database.write() as session:
            await session.execute(_STATUS, rows)
        for key, status in due.items():
            if self._waiting.get(key) is status:
                del self._waiting[key]
            if status.failed:
                self._succeeded.pop(key, None)
            else:
                self._succeeded[key] = now

    def _is_due(self, key: tuple[UUID, str], now: float) -> bool:
        """Return whether a success of the source must be written; most sources are checked every few seconds."""
        return now - self._succeeded.get(key, -inf) >= SUCCESS_SECONDS


def _upsert() -> Insert:
    upsert = insert_into(Source)
    given = upsert.excluded
    failed = given.consecutive_failures > 0
    return upsert.on_conflict_do_update(
        index_elements=[Source.page_id, Source.kind],
        set_={
            "last_success_at": case((failed, Source.last_success_at), else_=given.last_success_at),
            "last_error_at": func.coalesce(given.last_error_at, Source.last_error_at),
            "last_error": func.coalesce(given.last_error, Source.last_error),
            "consecutive_failures": case((failed, Source.consecutive_failures + 1), else_=0),
            "updated_at": given.updated_at,
        },
    )


_STATUS = _upsert()
