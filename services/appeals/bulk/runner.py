"""The job of a bulk operation: small batches, each one transaction with the changes and their outcomes. If a
worker is killed, at most its uncommitted batch is lost, and no appeal is changed twice.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import select, update

from services.appeals.assignees.directory import actor_id
from services.appeals.bulk import row_changes
from services.appeals.bulk.operations import change_of
from services.appeals.bulk.row_changes import RowChange
from services.appeals.bulk.undo import take_back
from shared import clock
from shared.api.pagination import inline_literal
from shared.audit import recorder
from shared.auth.callers import Caller
from shared.auth.token_recheck import load_callers
from shared.database.outages import is_outage
from shared.database.sessions import Database, WriteSession
from shared.http.problems import Forbidden, Problem
from shared.logs import get_logger
from shared.tables.appeals import Appeal
from shared.tables.appeals_bulk import BulkOperation, BulkOperationRow

log = get_logger(__name__)

ChangeRow = Callable[[Caller, UUID], Awaitable[RowChange]]

BULK_BATCH = 20
_PENDING = inline_literal("pending")
# The members of a problem document that a row stores. Other members may contain names of people.
_KEPT = ("type", "title", "status", "detail", "errors")
_UNEXPECTED = Problem("The change failed; the error was logged. The appeal was not changed")


async def run_operation(database: Database, operation_id: UUID) -> None:
    """Change all appeals of an operation that have no outcome yet."""
    while True:
        async with database.write() as session:
            if not await run_batch(session, operation_id):
                return


async def run_batch(session: WriteSession, operation_id: UUID) -> bool:
    """Change the next appeals of an operation; return whether more may be left. Idempotent."""
    # Locked: two workers with the same job process batches in turn.
    operation = await session.scalar(
        select(BulkOperation).where(BulkOperation.id == operation_id).with_for_update()
    )
    if operation is None or operation.completed_at is not None:
        return False
    context = recorder.AuditContext(service="appeals", action="run_bulk_operation", actor=operation.author)
    recorder.set_context(session, context)
    appeal_ids = await _next_appeals(session, operation)
    caller = await _current_caller(session, operation)
    change_row = await _row_changer(session, operation, appeal_ids)
    for appeal_id in appeal_ids:
        outcome = await _attempt(session, change_row, caller, appeal_id)
        await session.execute(
            update(BulkOperationRow)
            .where(BulkOperationRow.operation_id == operation.id, BulkOperationRow.appeal_id == appeal_id)
            .values(changed_at=clock.now(), **outcome)
            .execution_options(synchronize_session=False)
        )
    if len(appeal_ids) < BULK_BATCH:
        operation.completed_at = clock.now()
        return False
    return True


async def _next_appeals(session: WriteSession, operation: BulkOperation) -> Sequence[UUID]:
    """Return the next appeals, locked in id order. To avoid deadlocks, they are locked before everything else that
    their changes lock.
    """
    rows = await session.scalars(
        select(BulkOperationRow.appeal_id)
        .where(BulkOperationRow.operation_id == operation.id, BulkOperationRow.outcome == _PENDING)
        .order_by(BulkOperationRow.appeal_id)
        .limit(BULK_BATCH)
    )
    appeal_ids = rows.all()
    await session.execute(select(Appeal.id).where(Appeal.id.in_(appeal_ids)).order_by(Appeal.id).with_for_update())
    return appeal_ids


async def _current_caller(session: WriteSession, operation: BulkOperation) -> Caller | None:
    """Return the author with their current access, limited to the scopes of the request; None without access."""
    author = actor_id(operation.author)
    found = (await load_callers(session, [author])).get(author) if author is not None else None
    if found is None or operation.scopes is None:
        return found
    scopes = frozenset(operation.scopes)
    return replace(found, scopes=scopes if found.scopes is None else scopes & found.scopes)


async def _row_changer(session: WriteSession, operation: BulkOperation, appeal_ids: Sequence[UUID]) -> ChangeRow:
    """Return a function that changes one of these appeals on behalf of a caller."""
    if operation.undoes_id is None:
        change = change_of(operation)
        return lambda caller, appeal_id: row_changes.change_appeal(session, caller, appeal_id, change)
    undone = await session.get_one(BulkOperation, operation.undoes_id)
    rows = await session.scalars(
        select(BulkOperationRow).where(
            BulkOperationRow.operation_id == undone.id, BulkOperationRow.appeal_id.in_(appeal_ids)
        )
    )
    changed = {row.appeal_id: row for row in rows}
    return lambda caller, appeal_id: take_back(
        session, caller, appeal_id, action=undone.action, changed=changed[appeal_id]
    )


async def _attempt(
    session: WriteSession, change_row: ChangeRow, caller: Caller | None, appeal_id: UUID
) -> dict[str, Any]:
    """Change one appeal in a savepoint, and return the columns of its outcome."""
    if caller is None:
        gone = Forbidden("The person who requested the operation no longer has access")
        return {"outcome": "refused", "problem": _kept(gone)}
    try:
        async with session.begin_nested():
            made = await change_row(caller, appeal_id)
    except Problem as refused:
        return {"outcome": "refused", "problem": _kept(refused)}
    except Exception as error:
        if is_outage(error):
            raise
        # An error in one appeal must not prevent the changes of other appeals.
        log.exception("bulk change failed", appeal_id=str(appeal_id))
        return {"outcome": "refused", "problem": _kept(_UNEXPECTED)}
    if made.former is None:
        return {"outcome": "unchanged", "number": made.number}
    former = made.former.model_dump(mode="json")
    return {"outcome": "done", "number": made.number, "former": former, "version": made.version}


def _kept(refused: Problem) -> dict[str, Any]:
    document = refused.document("")
    return {name: document[name] for name in _KEPT if name in document}


async def on_job_dead_lettered(session: WriteSession, payload: dict[str, Any], _reason: str) -> None:
    """Mark the appeals without an outcome as refused after the job was dead-lettered, so that the operation
    completes.
    """
    operation_id = UUID(payload["operation_id"])
    operation = await session.get(BulkOperation, operation_id, with_for_update=True)
    if operation is None or operation.completed_at is not None:
        return
    await session.execute(
        update(BulkOperationRow)
        .where(BulkOperationRow.operation_id == operation_id, BulkOperationRow.outcome == _PENDING)
        .values(outcome="refused", problem=_kept(_UNEXPECTED))
        .execution_options(synchronize_session=False)
    )
    operation.completed_at = clock.now()
