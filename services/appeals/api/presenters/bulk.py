"""Presenters of bulk operations and their appeals: rows to response models."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.api.presenters.routes import organisation_names
from services.appeals.assignees.directory import ActorNames
from services.appeals.bulk import operations
from services.appeals.schemas.appeals.bulk import BulkCounts, BulkOperationOut, BulkRowAppeal, BulkRowOut
from services.appeals.schemas.common import named_ref
from shared.auth.callers import Caller
from shared.database.id_conditions import is_one_of
from shared.masking import mask
from shared.tables.appeals import Appeal
from shared.tables.appeals_bulk import BulkOperation, BulkOperationRow
from shared.tables.registry import Organisation


async def bulk_operations_out(session: AsyncSession, rows: Sequence[BulkOperation]) -> list[BulkOperationOut]:
    """Return operations in the order of the rows, with their counts and the names that they show."""
    changes = {row.id: operations.change_of(row) for row in rows}
    people = [*(row.author for row in rows), *(change.assignee_id for change in changes.values())]
    names = await ActorNames.load(session, people)
    organisations = await organisation_names(session, [change.organisation_id for change in changes.values()])
    counts = await operations.count_outcomes(session, rows)
    undos = await operations.undos_of(session, rows)
    shown = []
    for row in rows:
        change, count = changes[row.id], counts[row.id]
        target = change.organisation_id
        took = (row.completed_at - row.created_at).total_seconds() if row.completed_at is not None else None
        undo = undos.get(row.id)
        undoable = row.action in operations.UNDOABLE_ACTIONS and (undo is None or undo.is_unfinished)
        shown.append(
            BulkOperationOut(
                id=row.id,
                action=change.action,
                author=names.ref(row.author),
                assignee=names.ref(change.assignee_id) if change.assignee_id is not None else None,
                organisation=named_ref(target, organisations.get(target) if target is not None else None),
                reason=change.reason,
                outcome=change.outcome,
                needs_answer=change.needs_answer,
                counts=BulkCounts(
                    total=row.total,
                    **{name: count.get(name, 0) for name in ("pending", "done", "refused", "unchanged")},
                ),
                created_at=row.created_at,
                completed_at=row.completed_at,
                duration_seconds=took,
                undoable=undoable and row.completed_at is not None,
                undoes_id=row.undoes_id,
                undone_by_id=undo.id if undo is not None else None,
            )
        )
    return shown


async def bulk_operation_out(session: AsyncSession, row: BulkOperation) -> BulkOperationOut:
    """Return an operation as the API shows it."""
    (shown,) = await bulk_operations_out(session, [row])
    return shown


async def bulk_rows_out(
    session: AsyncSession, caller: Caller, rows: Sequence[BulkOperationRow]
) -> list[BulkRowOut]:
    """Return the appeals of an operation; texts and names are shown only for appeals in the caller's current
    scope.
    """
    found = await session.execute(
        select(Appeal.id, Appeal.text, Appeal.status, Appeal.organisation_id, Organisation.name)
        .outerjoin(Organisation, Organisation.id == Appeal.organisation_id)
        .where(is_one_of(Appeal.id, [row.appeal_id for row in rows]), caller.scope(Appeal.organisation_id))
    )
    seen = {
        one.id: BulkRowAppeal(
            text=mask(one.text), status=one.status, organisation=named_ref(one.organisation_id, one.name)
        )
        for one in found
    }
    same = BulkRowOut.model_fields.keys() - {"appeal"}
    return [
        BulkRowOut(appeal=seen.get(row.appeal_id), **{name: getattr(row, name) for name in same}) for row in rows
    ]
