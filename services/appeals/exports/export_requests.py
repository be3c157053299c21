"""Requests of exports that a job makes: within a quota, and shown to their authors only."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, cast
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from typing_extensions import TypeAliasType

from services.appeals import jobs
from services.appeals.exports.layouts import LAYOUTS, ExportLayout, Layout
from services.appeals.exports.listed_rows import PAGE_ROWS, listed_ids
from services.appeals.lists.appeal_filter import AppealFilter
from services.appeals.lists.appeal_sorting import AppealSort
from shared import clock
from shared.api.pagination import Paging
from shared.auth.callers import Caller
from shared.database.bulk_insert import insert_rows
from shared.database.sessions import WriteSession
from shared.http.problems import NotFound, TooManyRequests
from shared.ids import new_id
from shared.tables.appeals_exports import AppealExport, AppealExportPart

ExportFormat = TypeAliasType("ExportFormat", Literal["csv", "xlsx"])
ExportStatus = TypeAliasType("ExportStatus", Literal["queued", "running", "ready", "failed"])

# A workbook is built at each download, which takes seconds for this many rows.
MAX_ROWS = {"csv": 300_000, "xlsx": 50_000}
UNFINISHED = ("queued", "running")
# Limits of one person or client: an export occupies a CPU core while texts are masked, and tens of megabytes of
# the database.
MAX_UNFINISHED = 2
MAX_KEPT = 10
_RETRY_AFTER = {"Retry-After": "60"}


async def request_export(
    session: WriteSession,
    caller: Caller,
    file_format: ExportFormat,
    filters: AppealFilter,
    sort: AppealSort,
    *,
    layout: ExportLayout = "list",
) -> AppealExport:
    """Store an export of the appeals that the list has now, and enqueue its job. Raises `Conflict` for more
    appeals than the format allows, `TooManyRequests` beyond the caller's quota, and `Invalid` as the list does.
    """
    await _check_quota(session, caller)
    ids = await listed_ids(session, caller, filters, sort, max_rows=MAX_ROWS[file_format])
    export = AppealExport(
        id=new_id(), author=caller.actor, format=file_format, layout=layout, status="queued", total=len(ids),
        rows_done=0,
        scopes=sorted(caller.scopes) if caller.scopes is not None else None, created_at=clock.now(),
    )  # fmt: skip
    session.add(export)
    await session.flush()
    parts = [
        {"export_id": export.id, "number": number, "appeal_ids": ids[start : start + PAGE_ROWS]}
        for number, start in enumerate(range(0, len(ids), PAGE_ROWS))
    ]
    await insert_rows(session, AppealExportPart, parts)
    await jobs.queue.enqueue(session, jobs.RUN_EXPORT, {"export_id": str(export.id)})
    return export


def layout_of(export: AppealExport) -> Layout:
    """Return the layout of an export."""
    return LAYOUTS[cast(ExportLayout, export.layout)]


async def _check_quota(session: WriteSession, caller: Caller) -> None:
    # Locked, so that two concurrent requests cannot both start the last allowed export.
    key = func.hashtextextended(f"exports {caller.actor}", 0)
    await session.execute(select(func.pg_advisory_xact_lock(key)))
    rows = await session.execute(
        select(AppealExport.status, func.count()).where(*_kept(caller)).group_by(AppealExport.status)
    )
    counts = {row[0]: row[1] for row in rows}
    if sum(counts.get(status, 0) for status in UNFINISHED) >= MAX_UNFINISHED:
        raise TooManyRequests(
            f"{MAX_UNFINISHED} of your exports are not finished yet: wait until one is, or delete one",
            headers=_RETRY_AFTER,
        )
    if sum(counts.values()) >= MAX_KEPT:
        raise TooManyRequests(f"You have {MAX_KEPT} exports, which is the limit: delete one")


def _kept(caller: Caller) -> Sequence[ColumnElement[bool]]:
    """Return the SQL conditions of the caller's exports that have not expired."""
    return [
        AppealExport.author == caller.actor,
        or_(AppealExport.expires_at.is_(None), AppealExport.expires_at > clock.now()),
    ]


async def get_own(
    session: AsyncSession, caller: Caller, export_id: UUID, *, for_update: bool = False
) -> AppealExport:
    """Return an export of the caller. Raises `NotFound` also for another person's export and an expired one."""
    query = select(AppealExport).where(and_(AppealExport.id == export_id, *_kept(caller)))
    found = await session.scalar(query.with_for_update() if for_update else query)
    if found is None:
        raise NotFound("You have no such export, or it has expired")
    return found


async def list_own(session: AsyncSession, caller: Caller, paging: Paging) -> Sequence[AppealExport]:
    """Return the caller's exports, newest first: one page plus one row."""
    columns = (AppealExport.created_at, AppealExport.id)
    query = (
        select(AppealExport)
        .where(*_kept(caller))
        .order_by(*(column.desc() for column in columns))
        .limit(paging.limit + 1)
    )
    after = paging.after(columns, (datetime.fromisoformat, UUID))
    return (await session.scalars(query if after is None else query.where(after))).all()


async def delete_own(session: WriteSession, caller: Caller, export_id: UUID) -> None:
    """Delete an export of the caller with its parts, finished or not. Raises as `get_own`."""
    # Lock the export before its parts, as its job does, to avoid a deadlock.
    export = await get_own(session, caller, export_id, for_update=True)
    await session.execute(delete(AppealExportPart).where(AppealExportPart.export_id == export.id))
    await session.delete(export)
    await session.flush()
