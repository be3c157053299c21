"""Store what network adapters read together with the source's cursor, in one transaction."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import stamina
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import Insert
from sqlalchemy.exc import DBAPIError

from services.ingest.callback_registrations import CallbackRepository
from services.ingest.intake.ingest import BatchResult, IntakeBatch, ingest_batch, ingest_batches
from services.ingest.intake.source_statuses import SourceStatuses
from services.ingest.intake.thread_state import (
    clear_markers,
    read_thread_states,
    save_thread_states,
    threads_with_other_count,
    without_erased_chats,
)
from services.ingest.networks.port import (
    CallbackRegistrations,
    IncomingItem,
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
from shared.contracts.values import MessageKind
from shared.database.bulk_insert import insert_into
from shared.database.outages import is_deadlock, sqlstate
from shared.database.sessions import Database, WriteSession
from shared.ids import new_id
from shared.logs import get_logger
from shared.tables.ingest import Message, Source

log = get_logger(__name__)

# Runs in the transaction of a batch and receives what the batch changed.
ExtraWork = Callable[[WriteSession, StoreResult], Awaitable[None]]

DATA_ERRORS = (DBAPIError, asyncpg.PostgresError, asyncpg.InterfaceError, RecursionError)


@dataclass(frozen=True)
class _Delivery:
    """A batch with the cursor and thread states saved in its transaction."""

    batch: IntakeBatch
    cursor: Mapping[str, Any] | None = None
    thread_states: Sequence[ThreadState] = ()
    extra_work: ExtraWork | None = None


class DatabaseIntakeStore:
    """Implements `networks.port.IntakeStore`.

    Results of checks without new items are written every few seconds.
    """

    def __init__(self, database: Database) -> None:
        self.callbacks: CallbackRegistrations = CallbackRepository(database)
        self._database = database
        self._statuses = SourceStatuses(database)

    async def store(
        self,
        page: PageRef,
        source: str,
        parsed: ParsedBatch,
        *,
        observed_at: datetime | None = None,
        edits_are_announced: bool = True,
        cursor: Mapping[str, Any] | None = None,
        thread_states: Sequence[ThreadState] = (),
        open_appeals: bool = False,
        extra_work: ExtraWork | None = None,
    ) -> StoreResult:
        """Store a batch with its cursor and thread states; return what it changed.

        With `open_appeals`, messages written before the page's go-live time do not count as history. `extra_work`
        runs last in the same transaction; an exception from it rolls the batch back.
        """
        batch = IntakeBatch(
            page=page,
            source=source,
            items=parsed.items,
            unreadable=parsed.unparsed,
            observed_at=observed_at,
            edits_are_announced=edits_are_announced,
            open_appeals=open_appeals,
        )
        (stored,) = await self._store_all([_Delivery(batch, cursor, thread_states, extra_work)])
        return stored

    async def store_many(self, arrivals: Sequence[tuple[PageRef, str, ParsedBatch]]) -> list[StoreResult]:
        """Store batches of many pages, (page, source, batch), in one transaction; return results in their order.

        Items that the database rejects are quarantined; the other batches are stored.
        """
        deliveries = [
            _Delivery(IntakeBatch(page=page, source=source, items=parsed.items, unreadable=parsed.unparsed))
            for page, source, parsed in arrivals
        ]
        return await self._store_all(deliveries) if deliveries else []

    async def _store_all(self, deliveries: Sequence[_Delivery]) -> list[StoreResult]:
        try:
            stored = await self._store(deliveries)
        except DATA_ERRORS as error:
            if not is_data_error(error):
                raise
            # Intake is idempotent, so each delivery can be stored alone to find the one with invalid data.
            stored = [await self._store_one_by_one(delivery, deliveries) for delivery in deliveries]
        for delivery in deliveries:
            self._statuses.forget(delivery.batch.page, delivery.batch.source)
        return stored

    async def _store(self, deliveries: Sequence[_Delivery]) -> list[StoreResult]:
        taken: list[BatchResult] = []
        # Retry the transaction that the database aborted to resolve a deadlock.
        async for attempt in stamina.retry_context(on=is_deadlock, attempts=4, wait_initial=0.05, wait_max=0.5):
            with attempt:
                async with self._database.write() as session:
                    taken = await ingest_batches(session, [delivery.batch for delivery in deliveries])
                    for delivery in deliveries:
                        if delivery.thread_states:
                            await save_thread_states(session, delivery.batch.page, delivery.thread_states)
                    # After the states, which would mark these threads as read.
                    await _read_again(session, taken)
                    await _record_success(session, list(zip(deliveries, taken, strict=True)))
                    for delivery, one in zip(deliveries, taken, strict=True):
                        if delivery.extra_work is not None:
                            await delivery.extra_work(session, _stored(one))
        return [_stored(one) for one in taken]

    async def _store_one_by_one(self, delivery: _Delivery, deliveries: Sequence[_Delivery]) -> StoreResult:
        """Store a delivery alone.

        If the database rejects it, store each item alone and quarantine the rejected ones.
        """
        if len(deliveries) > 1:
            try:
                (stored,) = await self._store([delivery])
            except DATA_ERRORS as error:
                if not is_data_error(error):
                    raise
            else:
                return stored
        batch = delivery.batch
        log.warning(
            "batch rejected by the database, storing items one by one",
            source_kind=batch.source,
            page_id=str(batch.page.id),
        )
        total, refused = StoreResult(), list(batch.unreadable)
        taken: list[BatchResult] = []
        for items in _grouped_by_event(batch.items):
            try:
                async with self._database.write() as session:
                    one = await ingest_batch(session, replace(batch, items=items, unreadable=()))
            except DATA_ERRORS as error:
                if not is_data_error(error):
                    raise
                reason = f"the database rejected the item: {type(error).__name__}"
                refused.extend(UnparsedPayload(reason, item.raw) for item in items)
            else:
                total = _sum(total, one)
                taken.append(one)

        async def also(session: WriteSession, rest: StoreResult) -> None:
            await _read_again(session, taken)
            if delivery.extra_work is not None:
                await delivery.extra_work(session, _sum(total, rest))

        rest = replace(delivery, batch=replace(batch, items=(), unreadable=refused), extra_work=also)
        await self._store([rest])
        return total

    async def undeleted_ids(
        self, page: PageRef, kind: MessageKind, *, thread_key: str | None = None, since: datetime | None = None
    ) -> dict[str, datetime]:
        """Return when the stored, undeleted messages were written, by external id."""
        query = select(Message.external_id, Message.written_at).where(
            Message.page_id == page.id, Message.kind == kind, Message.deleted_at.is_(None)
        )
        if thread_key is not None:
            query = query.where(Message.thread_key == thread_key)
        if since is not None:
            query = query.where(Message.written_at >= since)
        async with self._database.read() as session:
            return {row.external_id: row.written_at for row in await session.execute(query)}

    async def cursor(self, page: PageRef, source: str) -> dict[str, Any]:
        """Return the cursor of a page's source; empty before the first read."""
        async with self._database.read() as session:
            found = await session.scalar(
                select(Source.cursor).where(Source.page_id == page.id, Source.kind == source)
            )
        return dict(found or {})

    async def thread_states(self, thread_keys: Sequence[str]) -> dict[str, ThreadState]:
        """Return the stored states of these threads by thread key; unknown threads are left out."""
        if not thread_keys:
            return {}
        async with self._database.read() as session:
            return await read_thread_states(session, thread_keys)

    async def threads_with_other_count(
        self, counts: Mapping[str, int], *, include_known: bool = False
    ) -> dict[str, int]:
        """Return stored comment counts by thread, only where they differ from the network's `counts`."""
        if not counts:
            return {}
        async with self._database.read() as session:
            return await threads_with_other_count(session, counts, whole=include_known)

    async def invalidate_threads(self, thread_keys: Sequence[str]) -> None:
        """Clear the markers of these threads so that they are read again."""
        async with self._database.write() as session:
            await clear_markers(session, thread_keys)

    async def active_pages(self, sources: Sequence[str], since: datetime) -> dict[UUID, datetime]:
        """Return by page when these sources last stored a new message, if later than `since`."""
        last = func.max(Source.last_message_at)
        query = select(Source.page_id, last.label("last")).where(
            Source.kind.in_(sources), Source.last_message_at > since
        )
        async with self._database.read() as session:
            rows = await session.execute(query.group_by(Source.page_id))
            return {row.page_id: row.last for row in rows}

    def rate_store(self, source: str) -> RateStore:
        """Return the store of learned message rates of a source."""
        return RateRepository(self._database, source)

    def report_success(self, page: PageRef, source: str, *, remark: str | None = None) -> None:
        """Record a check that found nothing new, or an open connection. `remark`: shown as the last error."""
        self._statuses.report(page, source, None if remark is None else without_nul(remark)[:500], failed=False)

    def report_failure(self, page: PageRef, source: str, error: str) -> None:
        """Record a failed check; `/sources` shows it."""
        self._statuses.report(page, source, without_nul(error)[:500])

    async def flush(self) -> None:
        """Write the results of the last checks to the database."""
        await self._statuses.flush()


def is_data_error(error: Exception) -> bool:
    """Return whether the values caused the error, so that a retry would fail too.

    These are SQLSTATE class 22 (also used by the driver), server limits (54) and values too deeply nested.
    """
    return isinstance(error, RecursionError) or sqlstate(error).startswith(("22", "54"))


def _grouped_by_event(items: Sequence[IncomingItem]) -> list[list[IncomingItem]]:
    """Return the items grouped by pushed event, whose items must be stored or rejected together."""
    parts: dict[object, list[IncomingItem]] = {}
    for number, item in enumerate(items):
        parts.setdefault(number if item.push_event_id is None else item.push_event_id, []).append(item)
    return list(parts.values())


def _stored(taken: BatchResult) -> StoreResult:
    return StoreResult(taken.new, taken.edited, taken.deleted, taken.restored, frozenset(taken.unsettled_threads))


def _sum(total: StoreResult, taken: StoreResult | BatchResult) -> StoreResult:
    return StoreResult(
        total.new + taken.new,
        total.edited + taken.edited,
        total.deleted + taken.deleted,
        total.restored + taken.restored,
        total.unsettled_threads | taken.unsettled_threads,
    )


async def _read_again(session: WriteSession, taken: Sequence[BatchResult]) -> None:
    unsettled = {key for one in taken for key in one.unsettled_threads}
    if unsettled:
        await clear_markers(session, unsettled, cursors=True)


async def _record_success(session: WriteSession, done: Sequence[tuple[_Delivery, BatchResult]]) -> None:
    """Record success for each source, with its cursor and, if messages are new, the current time as theirs."""
    now = clock.now()
    rows: dict[tuple[UUID, str], dict[str, Any]] = {}
    for delivery, taken in done:
        key = delivery.batch.page.id, delivery.batch.source
        row = rows.setdefault(key, {"cursor": None, "last_message_at": None})
        if delivery.cursor is not None:
            row["cursor"] = await without_erased_chats(session, delivery.cursor)
        if taken.new:
            row["last_message_at"] = now
    for with_cursor in (False, True):
        values = [
            {
                "id": new_id(),
                "page_id": page_id,
                "kind": kind,
                "cursor": row["cursor"] or {},
                "last_success_at": now,
                "last_message_at": row["last_message_at"],
                "consecutive_failures": 0,
                "updated_at": now,
            }
            for (page_id, kind), row in sorted(rows.items())
            if (row["cursor"] is not None) == with_cursor
        ]
        if values:
            await session.execute(_SUCCESS_WITH_CURSOR if with_cursor else _SUCCESS, values)


def _success_upsert(*, with_cursor: bool) -> Insert:
    upsert = insert_into(Source)
    given = upsert.excluded
    changes: dict[str, Any] = {
        "last_success_at": given.last_success_at,
        "last_message_at": func.coalesce(given.last_message_at, Source.last_message_at),
        "consecutive_failures": 0,
        "updated_at": given.updated_at,
    }
    if with_cursor:
        changes["cursor"] = given.cursor
    return upsert.on_conflict_do_update(index_elements=[Source.page_id, Source.kind], set_=changes)


_SUCCESS, _SUCCESS_WITH_CURSOR = _success_upsert(with_cursor=False), _success_upsert(with_cursor=True)
