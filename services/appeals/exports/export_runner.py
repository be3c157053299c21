"""The job of an export: it reads one part after another, each in its own transaction. If a worker is killed, at
most its current part is lost, and the next worker continues with that part.
"""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.assignees.directory import actor_id
from services.appeals.exports import stored_rows
from services.appeals.exports.export_requests import UNFINISHED, layout_of
from services.appeals.lists import appeal_list
from shared import clock
from shared.auth.callers import Caller
from shared.auth.rights import Right
from shared.auth.token_recheck import load_callers
from shared.database.purge import RetentionSettings
from shared.database.sessions import Database, WriteSession
from shared.tables.appeals_exports import AppealExport, AppealExportPart

# Masking occupies a CPU core: more concurrent exports would slow requests down.
_AT_ONCE = asyncio.Semaphore(1)
_NO_ACCESS = "У вас больше нет доступа к обращениям."
_DEAD_LETTERED = "Файл не удалось создать из-за ошибки в программе. Запросите его ещё раз или сообщите оператору."


async def run_export(database: Database, export_id: UUID) -> None:
    """Read the parts of an export that are not read yet. Idempotent, also with concurrent workers."""
    while await run_part(database, export_id):
        pass


async def run_part(database: Database, export_id: UUID) -> bool:
    """Read the next part of an export; return whether more may be left."""
    async with database.read() as session:
        export = await session.get(AppealExport, export_id)
        if export is None or export.status not in UNFINISHED:
            return False
        part = await _next_part(session, export_id)
        caller = await _current_caller(session, export)
        rows = None
        if part is not None and caller is not None:
            rows = await appeal_list.read_rows(session, caller, part.appeal_ids)
            await layout_of(export).complete(session, rows)
    content = None
    if rows is not None:
        async with _AT_ONCE:
            content = await asyncio.to_thread(stored_rows.encode, rows, layout_of(export))
    async with database.write() as session:
        locked = await session.scalar(select(AppealExport).where(AppealExport.id == export_id).with_for_update())
        if locked is None or locked.status not in UNFINISHED:
            return False
        if caller is None:
            _end(locked, "failed", _NO_ACCESS)
            return False
        next_part = await _next_part(session, export_id)
        if next_part is None:
            _end(locked, "ready")
            return False
        if part is not None and next_part.number == part.number:
            next_part.rows = content
            locked.status = "running"
            locked.rows_done += len(next_part.appeal_ids)
    return True


async def _next_part(session: AsyncSession, export_id: UUID) -> AppealExportPart | None:
    first = select(func.min(AppealExportPart.number)).where(
        AppealExportPart.export_id == export_id, AppealExportPart.rows.is_(None)
    )
    number = await session.scalar(first)
    return None if number is None else await session.get(AppealExportPart, (export_id, number))


async def _current_caller(session: AsyncSession, export: AppealExport) -> Caller | None:
    """Return the author with their current access, limited to the scopes of the request; None if they may no
    longer read appeals.
    """
    author = actor_id(export.author)
    found = (await load_callers(session, [author])).get(author) if author is not None else None
    if found is not None and export.scopes is not None:
        scopes = frozenset(export.scopes)
        found = replace(found, scopes=scopes if found.scopes is None else scopes & found.scopes)
    if found is None or Right.APPEALS_READ not in found.rights:
        return None
    return found.with_right(Right.APPEALS_READ)


def _end(export: AppealExport, status: str, failure: str | None = None) -> None:
    export.status, export.failure = status, failure
    export.completed_at = clock.now()
    export.expires_at = export.completed_at + timedelta(days=RetentionSettings().exports_days)


async def on_job_dead_lettered(session: WriteSession, payload: dict[str, Any], _reason: str) -> None:
    """Mark the export as failed after its job was dead-lettered, so that its author does not wait."""
    export = await session.get(AppealExport, UUID(payload["export_id"]), with_for_update=True)
    if export is not None and export.status in UNFINISHED:
        _end(export, "failed", _DEAD_LETTERED)
