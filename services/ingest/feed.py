"""Where the networks' adapters put what came in, with the cursor that says so, in one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import case, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError

from services.ingest.intake import Batch, take
from services.ingest.networks.port import PageRef, Parsed, ThreadMark, Unreadable
from services.ingest.texts import plain
from shared import clock
from shared.database import Database, WriteSession
from shared.ids import new_id
from shared.logs import logger
from shared.tables.ingest import Source, Thread

log = logger(__name__)

DATA_ERRORS = (DBAPIError, asyncpg.PostgresError, asyncpg.InterfaceError)


@dataclass(frozen=True)
class _Look:
    """How the last look at a source went."""

    at: datetime
    error: str | None


class DatabaseFeed:
    """Implements `networks.port.Feed`. Looks without news are written together, every few seconds."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._looks: dict[tuple[UUID, str], _Look] = {}

    async def store(
        self,
        page: PageRef,
        way: str,
        parsed: Parsed,
        *,
        observed_at: datetime | None = None,
        cursor: Mapping[str, Any] | None = None,
        marks: Sequence[ThreadMark] = (),
    ) -> None:
        """Store a batch and move the cursor and the marks with it."""
        batch = Batch(
            page=page, way=way, items=parsed.items, unreadable=parsed.unreadable, observed_at=observed_at
        )
        try:
            await self._store(batch, cursor, marks)
        except DATA_ERRORS as error:
            if not _of_the_data(error):
                raise
            log.warning(
                "a batch holds what the database refuses", way=way, page_id=str(page.id), error=repr(error)
            )
            await self._store(await self._one_by_one(batch), cursor, marks)
        self._looks.pop((page.id, way), None)

    async def _store(self, batch: Batch, cursor: Mapping[str, Any] | None, marks: Sequence[ThreadMark]) -> None:
        async with self._database.write() as session:
            taken = await take(session, batch)
            if marks:
                await _mark(session, batch.page, marks)
            await _success(session, batch.page, batch.way, cursor, brought=taken.new > 0)

    async def _one_by_one(self, batch: Batch) -> Batch:
        """Store each item alone; what remains of the batch is what the database refused, to be set aside."""
        refused = list(batch.unreadable)
        for item in batch.items:
            try:
                async with self._database.write() as session:
                    await take(session, replace(batch, items=[item], unreadable=()))
            except DATA_ERRORS as error:
                if not _of_the_data(error):
                    raise
                refused.append(Unreadable(f"the database refuses it: {type(error).__name__}", item.raw))
        return replace(batch, items=(), unreadable=refused)

    async def cursor(self, page: PageRef, way: str) -> dict[str, Any]:
        """Where a way into a page stands; empty at first."""
        async with self._database.read() as session:
            found = await session.scalar(select(Source.cursor).where(Source.page_id == page.id, Source.way == way))
        return dict(found or {})

    async def marks(self, thread_keys: Sequence[str]) -> dict[str, ThreadMark]:
        """How far these threads are read; unknown ones are left out."""
        if not thread_keys:
            return {}
        async with self._database.read() as session:
            rows = await session.execute(
                select(Thread.thread_key, Thread.marker, Thread.anchor).where(Thread.thread_key.in_(thread_keys))
            )
            return {row.thread_key: ThreadMark(row.thread_key, row.marker, row.anchor) for row in rows}

    async def forget(self, thread_keys: Sequence[str]) -> None:
        """Have these threads read again."""
        async with self._database.write() as session:
            await session.execute(update(Thread).where(Thread.thread_key.in_(thread_keys)).values(marker=None))

    def well(self, page: PageRef, way: str) -> None:
        """A look that found nothing new, or a connection that stands."""
        self._looks[page.id, way] = _Look(clock.now(), None)

    def failed(self, page: PageRef, way: str, error: str) -> None:
        """A look that failed; `/sources` shows it."""
        self._looks[page.id, way] = _Look(clock.now(), plain(error)[:500])

    async def flush(self) -> None:
        """Write down how the last looks went."""
        looks = dict(self._looks)
        if not looks:
            return
        rows: list[dict[str, Any]] = [
            {
                "id": new_id(),
                "page_id": page_id,
                "way": way,
                "cursor": {},
                "last_success_at": None if look.error else look.at,
                "last_error_at": look.at if look.error else None,
                "last_error": look.error,
                "failures": int(look.error is not None),
                "updated_at": look.at,
            }
            for (page_id, way), look in sorted(looks.items())
        ]
        upsert = insert(Source)
        given = upsert.excluded
        failed = given.last_error.is_not(None)
        upsert = upsert.on_conflict_do_update(
            index_elements=[Source.page_id, Source.way],
            set_={
                "last_success_at": case((failed, Source.last_success_at), else_=given.last_success_at),
                "last_error_at": case((failed, given.last_error_at), else_=Source.last_error_at),
                "last_error": case((failed, given.last_error), else_=Source.last_error),
                "failures": case((failed, Source.failures + 1), else_=0),
                "updated_at": given.updated_at,
            },
        )
        async with self._database.write() as session:
            await session.execute(upsert, rows)
        for key, look in looks.items():
            if self._looks.get(key) is look:
                del self._looks[key]


def _of_the_data(error: Exception) -> bool:
    """Whether the values are at fault (SQLSTATE class 22, or the driver cannot encode them), not the moment."""
    origin = getattr(error, "orig", None) or error
    return str(getattr(origin, "sqlstate", "")).startswith("22") or isinstance(origin, asyncpg.DataError)


async def _success(
    session: WriteSession, page: PageRef, way: str, cursor: Mapping[str, Any] | None, *, brought: bool
) -> None:
    now = clock.now()
    changes: dict[str, Any] = {"last_success_at": now, "failures": 0, "updated_at": now}
    if cursor is not None:
        changes["cursor"] = dict(cursor)
    if brought:
        changes["last_message_at"] = now
    row = {"id": new_id(), "page_id": page.id, "way": way, "cursor": {}, **changes}
    await session.execute(
        insert(Source).values(row).on_conflict_do_update(index_elements=[Source.page_id, Source.way], set_=changes)
    )


async def _mark(session: WriteSession, page: PageRef, marks: Sequence[ThreadMark]) -> None:
    now = clock.now()
    latest = {mark.thread_key: mark for mark in marks}
    upsert = insert(Thread)
    upsert = upsert.on_conflict_do_update(
        index_elements=[Thread.thread_key],
        set_={name: upsert.excluded[name] for name in ("marker", "anchor", "read_at")},
    )
    await session.execute(
        upsert,
        [
            {
                "thread_key": key,
                "page_id": page.id,
                "marker": latest[key].marker,
                "anchor": latest[key].anchor,
                "read_at": now,
            }
            for key in sorted(latest)
        ],
    )
