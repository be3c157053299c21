"""Queries of one appeal: lock it for a change, check its version, check that the caller may see it."""

from uuid import UUID

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import raiseload

from services.appeals.lifecycle import timeline
from shared.api import preconditions
from shared.auth.callers import Caller
from shared.database.sessions import WriteSession
from shared.http.problems import NotFound
from shared.tables.appeals import Appeal

# Built once: building the statement takes longer than executing it.
_LOCK = select(Appeal).where(Appeal.id == bindparam("appeal_id")).with_for_update()
_LOCK_WITHOUT_CLOCKS = _LOCK.options(raiseload(Appeal.clocks))


async def lock(session: WriteSession, caller: Caller, appeal_id: UUID, *, with_clocks: bool = True) -> Appeal:
    """Return the appeal, locked until the transaction ends. Without `with_clocks` its clocks are not loaded, for a
    change that does not affect deadlines. Raises `NotFound` if the appeal does not exist or is out of the caller's
    scope.
    """
    query = caller.restrict(_LOCK if with_clocks else _LOCK_WITHOUT_CLOCKS, Appeal.organisation_id)
    appeal = await session.scalar(query, {"appeal_id": appeal_id})
    if appeal is None:
        raise NotFound("No such appeal")
    return appeal


async def check_version(session: AsyncSession, appeal: Appeal, seen: int | None) -> None:
    """Raise `PreconditionFailed` with the last change unless the locked appeal is in the version that the caller
    saw.
    """
    if seen is not None and seen != appeal.version:
        last = await timeline.last_change(session, appeal.id)
        preconditions.check_version(appeal.version, seen, version=appeal.version, last_change=last)


async def get_visible(session: AsyncSession, caller: Caller, appeal_id: UUID) -> Appeal:
    """Return the appeal without its clocks. Raises `NotFound` if it does not exist or is out of the caller's
    scope.
    """
    appeal = await session.scalar(
        select(Appeal)
        .options(raiseload(Appeal.clocks))
        .where(Appeal.id == appeal_id, caller.scope(Appeal.organisation_id))
    )
    if appeal is None:
        raise NotFound("No such appeal")
    return appeal


async def require_visible(session: AsyncSession, caller: Caller, appeal_id: UUID) -> None:
    """Raise `NotFound` unless the appeal exists and is in the caller's scope."""
    if not await is_visible(session, caller, appeal_id):
        raise NotFound("No such appeal")


async def is_visible(session: AsyncSession, caller: Caller, appeal_id: UUID) -> bool:
    """Return whether the appeal exists and is in the caller's scope."""
    query = select(Appeal.id).where(Appeal.id == appeal_id, caller.scope(Appeal.organisation_id))
    return await session.scalar(query) is not None
