"""Where the networks' adapters put what came in, with the cursor that says so, in one transaction."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import stamina
from sqlalchemy import case, func, select, update
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.exc import DBAPIError

from services.ingest.callbacks.repository import CallbackRepository
from services.ingest.intake.ingest import BatchResult, IntakeBatch, ingest_batch, ingest_batches
from services.ingest.intake.thread_state import save_thread_states, threads_with_other_count
from services.ingest.networks.port import (
    CallbackRegistrations,
    IncomingItem,
    MessageKind,
    PageRef,
    ParsedBatch,
    RateStore,
    StoreResult,
    ThreadState,
    UnparsedPayload,
)
from services.ingest.networks.sanitize import without_nul
from services.ingest.polling.rate_repository import RateRepository
from shared import clock
from shared.database.outages import is_deadlock, sqlstate
from shared.database.sessions import Database, WriteSession
from shared.ids import new_id
from shared.logs import logger
from shared.tables.ingest import Message, Source, Thread

log = logger(__name__)

# What goes into the transaction of a batch, told what the batch changed.
ExtraWork = Callable[[WriteSession, StoreResult], Awaitable[None]]

DATA_ERRORS = (DBAPIError, asyncpg.PostgresError, asyncpg.InterfaceError, RecursionError)


@dataclass(frozen=True)
class _SourceStatus:
    """How the last look at a source went."""

    at: datetime
    error: str | None


@dataclass(frozen=True)
class _Delivery:
    """A batch with what moves in its transaction."""

    batch: IntakeBatch
    cursor: Mapping[str, Any] | None = None
    marks: Sequence[ThreadState] = ()
    also: ExtraWork | None = None


class DatabaseIntakeStore:
    """Implements `networks.port.Feed`. Looks without news are written together, every few seconds."""

    def __init__(self, database: Database) -> None:
        self.callbacks: CallbackRegistrations = CallbackRepository(database)
        self._database = database
        self._looks: dict[tuple[UUID, str], _SourceStatus] = {}

    async def store(
        self,
        page: PageRef,
        way: str,
        parsed: ParsedBatch,
        *,
        observed_at: datetime | None = None,
        cursor: Mapping[str, Any] | None = None,
        marks: Sequence[ThreadState] = (),
        open_cases: bool = False,
        also: ExtraWork | None = None,
    ) -> StoreResult:
        """Store a batch and move the cursor and the marks with it; answers what it changed.

        With `open_cases`, what was written before the page's go-live moment is not history. `also` runs last in
        the same transaction; what it raises undoes the batch.
        """
        batch = IntakeBatch(
            page=page,
            way=way,
            items=parsed.items,
            unreadable=parsed.unreadable,
            observed_at=observed_at,
            open_cases=open_cases,
        )
        (stored,) = await self._store_all([_Delivery(batch, cursor, marks, also)])
        return stored

    async def store_many(self, arrivals: Sequence[tuple[PageRef, str, ParsedBatch]]) -> list[StoreResult]:
        """Store what came of many pages, (page, way, what came), in one transaction; answers in their order.

        What the database refuses of one is set aside and harms none of the others.
        """
        deliveries = [
            _Delivery(IntakeBatch(page=page, way=way, items=parsed.items, unreadable=parsed.unreadable))
            for page, way, parsed in arrivals
        ]
        return await self._store_all(deliveries) if deliveries else []

    async def _store_all(self, deliveries: Sequence[_Delivery]) -> list[StoreResult]:
        try:
            stored = await self._store(deliveries)
        except DATA_ERRORS as error:
            if not is_data_error(error):
                raise
            # One by one nothing is lost and nothing doubled; what is at fault is found on the way.
            stored = [await self._sifted(delivery, deliveries) for delivery in deliveries]
        for delivery in deliveries:
            self._looks.pop((delivery.batch.page.id, delivery.batch.way), None)
        return stored

    async def _store(self, deliveries: Sequence[_Delivery]) -> list[StoreResult]:
        taken: list[BatchResult] = []
        # Two transactions that met crosswise: the one that the database ended begins again.
        async for attempt in stamina.retry_context(on=is_deadlock, attempts=4, wait_initial=0.05, wait_max=0.5):
            with attempt:
                async with self._database.write() as session:
                    taken = await ingest_batches(session, [delivery.batch for delivery in deliveries])
                    for delivery in deliveries:
                        if delivery.marks:
                            await save_thread_states(session, delivery.batch.page, delivery.marks)
                    await _record_success(session, list(zip(deliveries, taken, strict=True)))
                    for delivery, one in zip(deliveries, taken, strict=True):
                        if delivery.also is not None:
                            await delivery.also(session, _stored(one))
        return [_stored(one) for one in taken]

    async def _sifted(self, delivery: _Delivery, deliveries: Sequence[_Delivery]) -> StoreResult:
        """Store a delivery alone; if the fault is in it, each item alone, and set aside what is refused."""
        if len(deliveries) > 1:
            try:
                (stored,) = await self._store([delivery])
            except DATA_ERRORS as error:
                if not is_data_error(error):
                    raise
            else:
                return stored
        batch = delivery.batch
        log.warning("a batch holds what the database refuses", way=batch.way, page_id=str(batch.page.id))
        total, refused = StoreResult(), list(batch.unreadable)
        for items in _grouped_by_event(batch.items):
            try:
                async with self._database.write() as session:
                    total = _sum(total, await ingest_batch(session, replace(batch, items=items, unreadable=())))
            except DATA_ERRORS as error:
                if not is_data_error(error):
                    raise
                reason = f"the database refuses it: {type(error).__name__}"
                refused.extend(UnparsedPayload(reason, item.raw) for item in items)

        async def also(session: WriteSession, rest: StoreResult) -> None:
            if delivery.also is not None:
                await delivery.also(session, _sum(total, rest))

        rest = replace(delivery, batch=replace(batch, items=(), unreadable=refused), also=also)
        await self._store([rest])
        return total

    async def stored(
        self, page: PageRef, kind: MessageKind, *, thread_key: str | None = None, since: datetime | None = None
    ) -> dict[str, datetime]:
        """What is stored and not known as deleted, by external id: when it was written."""
        query = select(Message.external_id, Message.written_at).where(
            Message.page_id == page.id, Message.kind == kind, Message.deleted_at.is_(None)
        )
        if thread_key is not None:
            query = query.where(Message.thread_key == thread_key)
        if since is not None:
            query = query.where(Message.written_at >= since)
        async with self._database.read() as session:
            return {row.external_id: row.written_at for row in await session.execute(query)}

    async def cursor(self, page: PageRef, way: str) -> dict[str, Any]:
        """Where a way into a page stands; empty at first."""
        async with self._database.read() as session:
            found = await session.scalar(select(Source.cursor).where(Source.page_id == page.id, Source.way == way))
        return dict(found or {})

    async def marks(self, thread_keys: Sequence[str]) -> dict[str, ThreadState]:
        """How far these threads are read; unknown ones are left out."""
        if not thread_keys:
            return {}
        async with self._database.read() as session:
            rows = await session.execute(
                select(Thread.thread_key, Thread.marker, Thread.anchor).where(Thread.thread_key.in_(thread_keys))
            )
            return {row.thread_key: ThreadState(row.thread_key, row.marker, row.anchor) for row in rows}

    async def differing(self, counts: Mapping[str, int], *, whole: bool = False) -> dict[str, int]:
        """Of these threads, with the comments that the network counts: those of which we hold another number."""
        if not counts:
            return {}
        async with self._database.read() as session:
            return await threads_with_other_count(session, counts, whole=whole)

    async def forget(self, thread_keys: Sequence[str]) -> None:
        """Have these threads read again."""
        async with self._database.write() as session:
            await session.execute(update(Thread).where(Thread.thread_key.in_(thread_keys)).values(marker=None))

    async def spoken(self, ways: Sequence[str], since: datetime) -> dict[UUID, datetime]:
        """Pages to which any of these ways brought something new after `since`: when it last did."""
        last = func.max(Source.last_message_at)
        query = select(Source.page_id, last.label("last")).where(
            Source.way.in_(ways), Source.last_message_at > since
        )
        async with self._database.read() as session:
            rows = await session.execute(query.group_by(Source.page_id))
            return {row.page_id: row.last for row in rows}

    def rates(self, way: str) -> RateStore:
        """What is learnt of how often pages bring something by a way."""
        return RateRepository(self._database, way)

    def well(self, page: PageRef, way: str) -> None:
        """A look that found nothing new, or a connection that stands."""
        self._looks[page.id, way] = _SourceStatus(clock.now(), None)

    def failed(self, page: PageRef, way: str, error: str) -> None:
        """A look that failed; `/sources` shows it."""
        self._looks[page.id, way] = _SourceStatus(clock.now(), without_nul(error)[:500])

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


def is_data_error(error: Exception) -> bool:
    """Whether the values are at fault, not the moment: SQLSTATE class 22, which the driver uses too, limits of the
    server (54), and values that nest too deep to be written.
    """
    return isinstance(error, RecursionError) or sqlstate(error).startswith(("22", "54"))


def _grouped_by_event(items: Sequence[IncomingItem]) -> list[list[IncomingItem]]:
    """What one event brought is taken or refused together: its id is taken once."""
    parts: dict[object, list[IncomingItem]] = {}
    for number, item in enumerate(items):
        parts.setdefault(number if item.event_id is None else item.event_id, []).append(item)
    return list(parts.values())


def _stored(taken: BatchResult) -> StoreResult:
    return StoreResult(taken.new, taken.edited, taken.deleted, taken.restored)


def _sum(total: StoreResult, taken: StoreResult | BatchResult) -> StoreResult:
    return StoreResult(
        total.new + taken.new,
        total.edited + taken.edited,
        total.deleted + taken.deleted,
        total.restored + taken.restored,
    )


async def _record_success(session: WriteSession, done: Sequence[tuple[_Delivery, BatchResult]]) -> None:
    """Each way went well; where it stands and when it last brought something moves with its batch."""
    now = clock.now()
    rows: dict[tuple[UUID, str], dict[str, Any]] = {}
    for delivery, taken in done:
        key = delivery.batch.page.id, delivery.batch.way
        row = rows.setdefault(key, {"cursor": None, "last_message_at": None})
        if delivery.cursor is not None:
            row["cursor"] = dict(delivery.cursor)
        if taken.new:
            row["last_message_at"] = now
    for with_cursor in (False, True):
        values = [
            {
                "id": new_id(),
                "page_id": page_id,
                "way": way,
                "cursor": row["cursor"] or {},
                "last_success_at": now,
                "last_message_at": row["last_message_at"],
                "failures": 0,
                "updated_at": now,
            }
            for (page_id, way), row in sorted(rows.items())
            if (row["cursor"] is not None) == with_cursor
        ]
        if values:
            await session.execute(_SUCCESS_WITH_CURSOR if with_cursor else _WELL, values)


def _well(*, moved: bool) -> Insert:
    upsert = insert(Source)
    given = upsert.excluded
    changes: dict[str, Any] = {
        "last_success_at": given.last_success_at,
        "last_message_at": func.coalesce(given.last_message_at, Source.last_message_at),
        "failures": 0,
        "updated_at": given.updated_at,
    }
    if moved:
        changes["cursor"] = given.cursor
    return upsert.on_conflict_do_update(index_elements=[Source.page_id, Source.way], set_=changes)


_WELL, _SUCCESS_WITH_CURSOR = _well(moved=False), _well(moved=True)
