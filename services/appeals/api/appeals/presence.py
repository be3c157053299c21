"""Routes of presence: who has the page of an appeal open."""

from uuid import UUID

from fastapi import APIRouter
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.api.dependencies import READ_PROBLEMS, Reader
from services.appeals.assignees import presence
from services.appeals.assignees.directory import ActorNames
from services.appeals.lifecycle import appeal_queries
from services.appeals.schemas.appeals.presence import PresenceOut, PresentOut
from services.appeals.settings import settings
from shared.auth.callers import Caller
from shared.http import problems
from shared.http.problems import NotFound
from shared.service import ReadTransaction, WriteTransaction

router = APIRouter(
    prefix="/appeals/{appeal_id}/presence",
    tags=["appeals"],
    responses=problems.responses(*READ_PROBLEMS, NotFound),
)


@router.get("", summary="See who has the page of an appeal open")
async def get_presence(session: ReadTransaction, caller: Reader, appeal_id: UUID) -> PresenceOut:
    """Return who else has the page of the appeal open now."""
    await appeal_queries.require_visible(session, caller, appeal_id)
    return await _others(session, caller, appeal_id)


@router.put("", summary="Say that you have the page of an appeal open")
async def renew_presence(session: WriteTransaction, caller: Reader, appeal_id: UUID) -> PresenceOut:
    """Record that you have the page open for the next `expires_in` seconds, and return who else has. Repeat the
    request within this time while the page is open.
    """
    await appeal_queries.require_visible(session, caller, appeal_id)
    await presence.heartbeat(session, caller, appeal_id)
    return await _others(session, caller, appeal_id)


@router.delete("", status_code=204, summary="Say that you have closed the page of an appeal")
async def end_presence(session: WriteTransaction, caller: Reader, appeal_id: UUID) -> None:
    """End your presence at once. Without this request it ends when `expires_in` seconds have passed."""
    await appeal_queries.require_visible(session, caller, appeal_id)
    await presence.leave(session, caller, appeal_id)


async def _others(session: AsyncSession, caller: Caller, appeal_id: UUID) -> PresenceOut:
    rows = await presence.others_present(session, caller, appeal_id)
    names = await ActorNames.load(session, [row.actor_id for row in rows])
    return PresenceOut(
        others=[PresentOut(actor=names.ref(row.actor_id), since=row.since) for row in rows],
        expires_in=settings().presence_seconds,
    )
