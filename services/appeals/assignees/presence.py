"""Presence: who has the page of an appeal open. The page sends heartbeats; without one, presence ends after
`presence_seconds`.

Times are the database's, so that clocks of different machines are never compared. Nothing is audited and no event
is written: having a page open changes nothing.
"""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import case, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.assignees.directory import actor_id
from services.appeals.settings import settings
from shared.auth.callers import Caller
from shared.auth.token_recheck import load_callers
from shared.database.sessions import WriteSession
from shared.tables.appeals_work import AppealPresence


async def heartbeat(session: WriteSession, caller: Caller, appeal_id: UUID) -> None:
    """Record the caller as present at the appeal for `presence_seconds` from now."""
    now = func.clock_timestamp()
    new = insert(AppealPresence).values(
        appeal_id=appeal_id,
        actor_id=UUID(caller.subject),
        since=now,
        expires_at=now + timedelta(seconds=settings().presence_seconds),
    )
    since = case((AppealPresence.expires_at > now, AppealPresence.since), else_=new.excluded.since)
    await session.execute(
        new.on_conflict_do_update(
            index_elements=[AppealPresence.appeal_id, AppealPresence.actor_id],
            set_={"since": since, "expires_at": new.excluded.expires_at},
        )
    )


async def leave(session: WriteSession, caller: Caller, appeal_id: UUID) -> None:
    """End the caller's presence at the appeal."""
    await session.execute(
        delete(AppealPresence).where(
            AppealPresence.appeal_id == appeal_id, AppealPresence.actor_id == UUID(caller.subject)
        )
    )


async def others_present(session: AsyncSession, caller: Caller, appeal_id: UUID) -> Sequence[AppealPresence]:
    """Return who else is present at the appeal now and still has access, earliest first."""
    rows = await session.scalars(
        select(AppealPresence)
        .where(
            AppealPresence.appeal_id == appeal_id,
            AppealPresence.actor_id != actor_id(caller.subject),
            AppealPresence.expires_at > func.clock_timestamp(),
        )
        .order_by(AppealPresence.since, AppealPresence.actor_id)
    )
    present = rows.all()
    allowed = await load_callers(session, [row.actor_id for row in present])
    return [row for row in present if row.actor_id in allowed]
