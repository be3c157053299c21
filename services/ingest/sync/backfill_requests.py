"""Request, list and cancel backfills."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Select, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.ingest.schemas.sync import BackfillIn
from services.ingest.sync.backfill_runner import UNFINISHED_STATUSES
from services.ingest.sync.reconciliation_requests import get_active_page, validate_since
from shared import clock
from shared.api.pagination import Paging
from shared.audit import recorder
from shared.auth.callers import Caller
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict, NotFound
from shared.ids import new_id
from shared.tables.ingest import Backfill

# The text of the index predicate, without parameters: with them, a generic plan would not use the index.
_UNFINISHED_ROWS = text("status IN ('queued', 'running')")


async def request_backfill(session: WriteSession, caller: Caller, page_id: UUID, body: BackfillIn) -> Backfill:
    """Queue a backfill of a page.

    Raises `NotFound`, `Invalid` for a wrong `since`, `Conflict` for an inactive page or an unfinished backfill.
    """
    validate_since(body.since)
    page = await get_active_page(session, caller, page_id)
    now = clock.now()
    made = await session.scalar(
        insert(Backfill)
        .values(
            id=new_id(),
            page_id=page_id,
            organisation_id=page.organisation_id,
            since=body.since,
            open_appeals=body.open_appeals,
            status="queued",
            cursor={},
            requested_by=caller.actor,
            created_at=now,
            updated_at=now,
        )
        .on_conflict_do_nothing(index_elements=[Backfill.page_id], index_where=_UNFINISHED_ROWS)
        .returning(Backfill.id)
    )
    if made is None:
        running = await session.scalar(
            select(Backfill.id).where(Backfill.page_id == page_id, Backfill.status.in_(UNFINISHED_STATUSES))
        )
        raise Conflict("A backfill of this page is unfinished: wait for it or cancel it", backfill_id=running)
    row = await session.get_one(Backfill, made)
    await recorder.record(session, Backfill, [recorder.inserted(row)])
    return row


def _visible(caller: Caller, backfill_id: UUID) -> Select[Backfill]:
    return select(Backfill).where(Backfill.id == backfill_id, caller.scope(Backfill.organisation_id))


async def get_backfill(session: AsyncSession, caller: Caller, backfill_id: UUID) -> Backfill:
    """Return a backfill that the caller may see. Raises `NotFound` if there is none with this id."""
    row = await session.scalar(_visible(caller, backfill_id))
    if row is None:
        raise NotFound("No such backfill")
    return row


async def list_backfills(
    session: AsyncSession, caller: Caller, paging: Paging, conditions: Sequence[ColumnElement[bool]]
) -> list[Backfill]:
    """Return backfills, newest first (page size plus one)."""
    query = (
        select(Backfill)
        .where(caller.scope(Backfill.organisation_id), *conditions)
        .order_by(Backfill.created_at.desc(), Backfill.id.desc())
        .limit(paging.limit + 1)
    )
    after = paging.after([Backfill.created_at, Backfill.id], [datetime.fromisoformat, UUID])
    if after is not None:
        query = query.where(after)
    return list(await session.scalars(query))


async def cancel_backfill(session: WriteSession, caller: Caller, backfill_id: UUID) -> Backfill:
    """Cancel a backfill; stored messages are kept. Raises `NotFound`, or `Conflict` if it has finished."""
    row = await session.scalar(_visible(caller, backfill_id).with_for_update())
    if row is None:
        raise NotFound("No such backfill")
    if row.status not in UNFINISHED_STATUSES:
        raise Conflict(f"The backfill is already «{row.status}»")
    # The cursor may have the id of a conversation, and nothing continues from it.
    row.status, row.cursor = "cancelled", {}
    row.finished_at = row.updated_at = clock.now()
    await session.flush()
    return row
