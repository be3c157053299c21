"""Bulk operations: submitting, undoing and listing them. The appeals of an operation are stored at the request, so
its changes may alter which appeals its filter matches.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field
from sqlalchemy import ColumnElement, and_, exists, func, insert, literal, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute
from typing_extensions import TypeAliasType

from services.appeals import jobs
from services.appeals.bulk import list_versions
from services.appeals.bulk.changes import BulkChange, check_change
from services.appeals.bulk.list_versions import ListVersion
from services.appeals.lists.appeal_filter import AppealFilter
from services.appeals.search.matching import require_words
from shared import clock
from shared.api.pagination import Paging, inline_literal
from shared.api.query_parameters import ListFilter
from shared.auth.callers import Caller
from shared.auth.rights import Right
from shared.database.bulk_insert import insert_rows
from shared.database.sessions import WriteSession
from shared.http.problems import (
    Conflict,
    Duplicate,
    Invalid,
    ListChanged,
    NotFound,
    Problem,
    TooManyRequests,
)
from shared.ids import new_id
from shared.tables.appeals import Appeal
from shared.tables.appeals_bulk import BulkOperation, BulkOperationRow

MAX_APPEALS = 5_000
# Limit of one person or client, whose jobs would otherwise delay those of others.
MAX_UNFINISHED = 2
_RETRY_AFTER = {"Retry-After": "60"}
# Without `triage`: its decisions are part of the training set and may open, join or close appeals. Decide again
# instead.
UNDOABLE_ACTIONS = frozenset({"assign", "transfer", "close"})

BulkOutcome = TypeAliasType("BulkOutcome", Literal["pending", "done", "refused", "unchanged"])


class BulkRowFilter(ListFilter):
    """Filter of the appeals of a bulk operation."""

    outcome: BulkOutcome | None = Field(default=None, description="Appeals with this outcome")


@dataclass(frozen=True)
class Selection:
    """The appeals to change: listed by id, or all that match a filter. `list_version`: the list that the person
    saw; None: not stated.
    """

    appeal_ids: Sequence[UUID] | None = None
    filter: AppealFilter | None = None
    list_version: ListVersion | None = None


async def submit(session: WriteSession, caller: Caller, selection: Selection, change: BulkChange) -> BulkOperation:
    """Store the operation with its appeals, and enqueue the job that changes them.

    Raises `Forbidden` and `Invalid` as `check_change` does, `Invalid` for more than `MAX_APPEALS` appeals,
    `ListChanged` if the filter no longer matches the appeals that the person saw, and `TooManyRequests` beyond the
    caller's quota.
    """
    await check_change(session, caller, change)
    await _check_quota(session, caller)
    chosen = await _choose(session, caller, selection)
    if selection.list_version is not None:
        change = change.model_copy(update={"seen_at": selection.list_version.at})
    operation = await _store(session, caller, change, total=len(chosen))
    rows = [
        {"operation_id": operation.id, "appeal_id": appeal_id, "number": number, "outcome": "pending"}
        for appeal_id, number in chosen.items()
    ]
    await insert_rows(session, BulkOperationRow, rows)
    return operation


async def submit_undo(session: WriteSession, caller: Caller, operation_id: UUID) -> BulkOperation:
    """Store the operation that undoes another one on the appeals that it changed, and enqueue its job. If
    unexpected errors left an earlier undo incomplete, the new one covers the remaining appeals. Raises `NotFound`;
    `Duplicate` naming the earlier undo; `Conflict` if the operation is under way, its action cannot be undone, or
    none of its appeals is in the caller's scope now; `TooManyRequests` beyond the caller's quota.
    """
    # Before the row is locked, so that all requests of the caller take both locks in the same order.
    await _check_quota(session, caller)
    undone = await get_visible(session, caller, operation_id, lock=True)
    if undone.action not in UNDOABLE_ACTIONS:
        raise Conflict(f"The action «{undone.action}» cannot be undone in bulk: correct its appeals one by one")
    if undone.completed_at is None:
        raise Conflict("The operation is under way: undo it when it is complete")
    before = (await undos_of(session, [undone])).get(undone.id)
    if before is not None and not before.is_unfinished:
        raise Duplicate("An undo of the operation already exists", operation_id=str(before.id))
    changed = _left_by(before.id) if before is not None else _changed_by(undone.id)
    total = await session.scalar(select(func.count()).select_from(BulkOperationRow).where(*changed))
    in_scope = exists().where(Appeal.id == BulkOperationRow.appeal_id, caller.scope(Appeal.organisation_id))
    # Another undo is allowed only after unexpected errors, so one that cannot change any appeal is refused and not
    # stored.
    if total and not await session.scalar(select(BulkOperationRow.appeal_id).where(*changed, in_scope).limit(1)):
        raise Conflict(
            "The appeals that the operation changed are no longer in your scope: ask a moderator to undo it"
        )
    operation = await _store(session, caller, BulkChange(action="undo"), total=total or 0, undoes_id=undone.id)
    columns = ["operation_id", "appeal_id", "number", "outcome"]
    rows = select(
        literal(operation.id), BulkOperationRow.appeal_id, BulkOperationRow.number, literal("pending")
    ).where(*changed)
    await session.execute(insert(BulkOperationRow).from_select(columns, rows))
    return operation


async def _check_quota(session: WriteSession, caller: Caller) -> None:
    # Locked, so that two concurrent requests cannot both start the last allowed operation.
    key = func.hashtextextended(f"bulk operations {caller.actor}", 0)
    await session.execute(select(func.pg_advisory_xact_lock(key)))
    unfinished = select(func.count()).where(
        BulkOperation.author == caller.actor, BulkOperation.completed_at.is_(None)
    )
    if (await session.scalar(unfinished) or 0) >= MAX_UNFINISHED:
        raise TooManyRequests(
            f"{MAX_UNFINISHED} of your bulk operations are not finished yet: wait until one is",
            headers=_RETRY_AFTER,
        )


async def _choose(session: AsyncSession, caller: Caller, selection: Selection) -> dict[UUID, int | None]:
    """Return the selected ids with the numbers of their appeals; None if out of the caller's scope or unknown."""
    if selection.filter is not None:
        if selection.filter.q:
            await require_words(session, selection.filter.q, pointer="/filter/q")
        seen = selection.list_version
        found = await list_versions.matching(
            session, caller, selection.filter, MAX_APPEALS + 1, stored_before=seen.at if seen is not None else None
        )
        if len(found) > MAX_APPEALS:
            raise Invalid.field(
                "/filter", f"The filter matches more than {MAX_APPEALS} appeals, which is the limit: narrow it"
            )
        if seen is not None and ListVersion.of(seen.at, found) != seen:
            detail = f"The filter no longer matches the appeals of list_version (it now matches {len(found)})"
            raise ListChanged(f"{detail}: look at the list again", total=len(found))
        return found
    named = list(selection.appeal_ids or ())
    query = select(Appeal.id, Appeal.number)
    rows = await session.execute(query.where(Appeal.id.in_(named), caller.scope(Appeal.organisation_id)))
    return dict.fromkeys(named) | {row.id: row.number for row in rows}


async def _store(
    session: WriteSession, caller: Caller, change: BulkChange, *, total: int, undoes_id: UUID | None = None
) -> BulkOperation:
    operation = BulkOperation(
        id=new_id(), action=change.action, undoes_id=undoes_id,
        parameters=change.model_dump(mode="json", exclude={"action"}, exclude_unset=True),
        author=caller.actor, organisation_id=caller.organisation_id,
        include_subordinates=caller.include_subordinates,
        scopes=sorted(caller.scopes) if caller.scopes is not None else None, total=total, created_at=clock.now(),
    )  # fmt: skip
    session.add(operation)
    await session.flush()
    await jobs.queue.enqueue(session, jobs.RUN_BULK_OPERATION, {"operation_id": str(operation.id)})
    return operation


def change_of(operation: BulkOperation) -> BulkChange:
    """Return the operation's action with its parameters."""
    return BulkChange(action=operation.action, **operation.parameters)


def visible(caller: Caller) -> ColumnElement[bool]:
    """Return the SQL condition of the operations that the caller may see: the centre sees all, staff see their
    own, and with `assignees:manage` those of their whole organisation. An operation that included subordinate
    organisations is shown only to colleagues who see these too.
    """
    if caller.is_region_wide:
        return true()
    own = and_(BulkOperation.author == caller.actor, BulkOperation.organisation_id == caller.organisation_id)
    if Right.ASSIGNEES_MANAGE not in caller.rights:
        return own
    of_organisation = caller.scope(BulkOperation.organisation_id)
    if not caller.include_subordinates:
        of_organisation = and_(of_organisation, BulkOperation.include_subordinates.is_(False))
    return or_(own, of_organisation)


async def get_visible(
    session: AsyncSession, caller: Caller, operation_id: UUID, *, lock: bool = False
) -> BulkOperation:
    """Return the operation. Raises `NotFound` when it does not exist or the caller may not see it."""
    query = select(BulkOperation).where(BulkOperation.id == operation_id, visible(caller))
    found = await session.scalar(query.with_for_update() if lock else query)
    if found is None:
        raise NotFound("No such bulk operation")
    return found


async def list_operations(session: AsyncSession, caller: Caller, paging: Paging) -> Sequence[BulkOperation]:
    """Return the operations that the caller may see, newest first: one page plus one row."""
    columns = (BulkOperation.created_at, BulkOperation.id)
    query = (
        select(BulkOperation)
        .where(visible(caller))
        .order_by(*(column.desc() for column in columns))
        .limit(paging.limit + 1)
    )
    after = paging.after(columns, (datetime.fromisoformat, UUID))
    return (await session.scalars(query if after is None else query.where(after))).all()


async def list_rows(
    session: AsyncSession, operation: BulkOperation, filters: BulkRowFilter, paging: Paging
) -> Sequence[BulkOperationRow]:
    """Return the appeals of an operation, last opened first: one page plus one row."""
    query = (
        select(BulkOperationRow)
        .where(BulkOperationRow.operation_id == operation.id)
        .order_by(BulkOperationRow.appeal_id.desc())
        .limit(paging.limit + 1)
    )
    if filters.outcome is not None:
        query = query.where(BulkOperationRow.outcome == inline_literal(filters.outcome))
    after = paging.after((BulkOperationRow.appeal_id,), (UUID,))
    return (await session.scalars(query if after is None else query.where(after))).all()


async def count_outcomes(session: AsyncSession, operations: Sequence[BulkOperation]) -> dict[UUID, dict[str, int]]:
    """Return how many appeals of each operation have each outcome."""
    counts: dict[UUID, dict[str, int]] = {operation.id: {} for operation in operations}
    rows = await session.execute(
        select(BulkOperationRow.operation_id, BulkOperationRow.outcome, func.count())
        .where(BulkOperationRow.operation_id.in_(counts))
        .group_by(BulkOperationRow.operation_id, BulkOperationRow.outcome)
    )
    for operation_id, outcome, count in rows:
        counts[operation_id][outcome] = count
    return counts


@dataclass(frozen=True)
class Undo:
    """The last operation that undid another one. `is_unfinished`: unexpected errors left some appeals
    unchanged.
    """

    id: UUID
    is_unfinished: bool


async def undos_of(session: AsyncSession, operations: Sequence[BulkOperation]) -> dict[UUID, Undo]:
    """Return the last undo of each operation that has one, by the id of the operation."""
    left = select(BulkOperationRow.appeal_id).where(*_left_by(BulkOperation.id)).exists()
    rows = await session.execute(
        select(BulkOperation.undoes_id, BulkOperation.id, and_(BulkOperation.completed_at.is_not(None), left))
        .where(BulkOperation.undoes_id.in_([operation.id for operation in operations]))
        .order_by(BulkOperation.created_at, BulkOperation.id)
    )
    return {undone: Undo(undo_id, is_unfinished) for undone, undo_id, is_unfinished in rows if undone is not None}


def _changed_by(operation_id: UUID) -> tuple[ColumnElement[bool], ...]:
    """Return the SQL conditions of the rows whose appeals the operation changed."""
    return BulkOperationRow.operation_id == operation_id, BulkOperationRow.outcome == inline_literal("done")


def _left_by(undo_id: UUID | InstrumentedAttribute[UUID]) -> tuple[ColumnElement[bool], ...]:
    """Return the SQL conditions of the rows that an undo left unchanged because of an unexpected error."""
    return (
        BulkOperationRow.operation_id == undo_id,
        BulkOperationRow.outcome == inline_literal("refused"),
        BulkOperationRow.problem["type"].astext == f"/problems/{Problem.slug}",
    )
