"""The edit lease of an appeal's reply: one person writes it at a time.

Every change is made with the appeal's row locked. Times are the database's, so that clocks of different machines
are never compared.
"""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.lifecycle.timeline import AppealRecorder
from services.appeals.settings import settings
from shared.auth.callers import Caller
from shared.auth.rights import Role
from shared.database.database_time import database_time
from shared.database.sessions import WriteSession
from shared.http.problems import Forbidden, ReplyBeingWritten
from shared.tables.appeals import Appeal
from shared.tables.appeals_replies import ReplyLease

_MAY_TAKE_OVER = frozenset({Role.MODERATOR, Role.MANAGER})


async def current_lease(session: AsyncSession, appeal_id: UUID) -> ReplyLease | None:
    """Return the lease; None if there is none or it has expired."""
    return await session.scalar(
        select(ReplyLease)
        .where(ReplyLease.appeal_id == appeal_id, ReplyLease.expires_at > func.clock_timestamp())
        .execution_options(populate_existing=True)
    )


async def require_not_held_by_another(session: AsyncSession, appeal: Appeal, caller: Caller) -> None:
    """Raise `ReplyBeingWritten` naming the holder if another person has the lease."""
    lease = await current_lease(session, appeal.id)
    if lease is not None and lease.holder != caller.subject:
        raise _held(lease)


async def take_lease(
    session: WriteSession, appeal: Appeal, caller: Caller, *, take_over: bool = False
) -> ReplyLease:
    """Give the caller the lease, or renew it.

    With `take_over` a moderator or manager takes it from another person, which the timeline records. Raises
    `ReplyBeingWritten` naming the holder, `Forbidden` if the role may not take it over.
    """
    held = await current_lease(session, appeal.id)
    if held is not None and held.holder != caller.subject:
        if not take_over:
            raise _held(held)
        if caller.role not in _MAY_TAKE_OVER:
            raise Forbidden("Only a moderator or a manager may take over the lease of another person")
        recorder = AppealRecorder()
        recorder.add_timeline_entry(appeal, "reply_lease_taken_over", caller.actor, former_holder=held.holder)
        await recorder.write(session)
    return await _store(session, appeal.id, caller)


async def release_lease(session: WriteSession, appeal: Appeal, caller: Caller) -> None:
    """End the caller's lease; another person's lease stays."""
    lease = await session.get(ReplyLease, appeal.id)
    if lease is not None and lease.holder == caller.subject:
        await session.delete(lease)
        await session.flush()


async def _store(session: WriteSession, appeal_id: UUID, caller: Caller) -> ReplyLease:
    now = await database_time(session)
    expires_at = now + timedelta(seconds=settings().reply_lease_seconds)
    lease = await session.get(ReplyLease, appeal_id)
    if lease is None:
        lease = ReplyLease(
            appeal_id=appeal_id,
            holder=caller.subject,
            holder_name=caller.name,
            acquired_at=now,
            expires_at=expires_at,
        )
        session.add(lease)
    else:
        if lease.holder != caller.subject or lease.expires_at <= now:
            lease.acquired_at = now
        lease.holder, lease.holder_name, lease.expires_at = caller.subject, caller.name, expires_at
    await session.flush()
    return lease


def _held(lease: ReplyLease) -> ReplyBeingWritten:
    return ReplyBeingWritten(
        f"«{lease.holder_name}» is writing the reply: wait until the lease ends or ask a manager to take it over",
        lease={
            "holder": lease.holder,
            "holder_name": lease.holder_name,
            "expires_at": lease.expires_at.isoformat(),
        },
    )
