"""Sessions of people, continued by refresh tokens that can be used once.

A session has one active refresh token at a time. Code that starts, continues or ends sessions locks the person's
row first: otherwise a session started at the same moment could survive when all are ended (TOCTOU).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.registry.authentication import passwords
from shared import clock
from shared.api.pagination import Paging
from shared.database.sessions import WriteSession
from shared.http.problems import NotFound
from shared.ids import new_id
from shared.tables.registry import Person, RefreshToken

REFRESH_TOKEN_LIFETIME = timedelta(days=14)
# Two tabs of one browser may refresh at the same moment; a reuse after this time means a copied token.
REUSE_GRACE_PERIOD = timedelta(seconds=30)
MAX_KNOWN_ADDRESSES = 50


@dataclass(frozen=True)
class ClientInfo:
    """Data by which a person recognises the session: address and user agent."""

    ip_address: str | None = None
    user_agent: str | None = None


async def lock_person(session: WriteSession, person_id: UUID) -> Person | None:
    """Return the person, locked until the transaction ends; None for an unknown id."""
    person: Person | None = await session.scalar(
        select(Person).where(Person.id == person_id).with_for_update().execution_options(populate_existing=True)
    )
    return person


async def lock_for_replacement(session: WriteSession, person_id: UUID, former_token: str) -> None:
    """Lock the person who signs in, and the one whose session with this refresh token will be ended.

    They are locked in the order of their ids: otherwise two browsers that switch between the same two people in
    opposite directions could deadlock.
    """
    former_id = await session.scalar(
        select(RefreshToken.person_id).where(RefreshToken.digest == passwords.secret_digest(former_token))
    )
    people = {person_id, former_id} - {None}
    await session.execute(select(Person.id).where(Person.id.in_(people)).order_by(Person.id).with_for_update())


async def start(session: WriteSession, person_id: UUID, origin: ClientInfo) -> tuple[UUID, str]:
    """Start a session; return its id and its refresh token."""
    session_id = new_id()
    token = passwords.generate_secret()
    new = RefreshToken(session_id=session_id, person_id=person_id, signed_in_at=clock.now())
    await _keep(session, new, token, origin)
    return session_id, token


async def rotate_refresh_token(
    session: WriteSession, used_token: RefreshToken, token: str, origin: ClientInfo
) -> str:
    """Mark a token as used, and store and return its successor."""
    # This token is used now, so its predecessor no longer gives it out again.
    await session.execute(
        update(RefreshToken)
        .where(RefreshToken.session_id == used_token.session_id, RefreshToken.successor_key.is_not(None))
        .values(successor_key=None)
    )
    used_token.successor_key = passwords.generate_secret()
    successor = _successor(used_token.successor_key, token)
    # By the database's clock: another machine may handle the next use.
    used_token.used_at = await session.scalar(select(func.now()))
    continued = RefreshToken(
        session_id=used_token.session_id, person_id=used_token.person_id, signed_in_at=used_token.signed_in_at
    )
    await _keep(session, continued, successor, origin)
    return successor


async def recent_successor(session: WriteSession, used: RefreshToken, token: str) -> str | None:
    """Return the unused successor of a token that was used within the grace period; else None."""
    now: datetime | None = await session.scalar(select(func.now()))
    if used.used_at is None or now is None or used.used_at <= now - REUSE_GRACE_PERIOD:
        return None
    if used.successor_key is None:
        return None
    successor = _successor(used.successor_key, token)
    waits = select(RefreshToken.digest).where(
        RefreshToken.digest == passwords.secret_digest(successor), _is_active()
    )
    return successor if await session.scalar(waits) is not None else None


def _successor(key: str, token: str) -> str:
    """Return the token that follows `token`. It takes both to compute it: the database stores no tokens, and who
    copied a token has no key. It depends on no signing key, because these are rotated.
    """
    return passwords.derive_secret(key, f"refresh token\n{token}")


async def known_addresses(session: AsyncSession, person_id: UUID) -> list[str | None]:
    """Return IP addresses of the person's sessions whose refresh tokens are not purged yet: about two weeks."""
    query = select(RefreshToken.ip_address).where(RefreshToken.person_id == person_id).distinct()
    return list(await session.scalars(query.limit(MAX_KNOWN_ADDRESSES)))


async def _keep(session: WriteSession, new: RefreshToken, token: str, origin: ClientInfo) -> None:
    new.digest = passwords.secret_digest(token)
    new.ip_address, new.user_agent = origin.ip_address, origin.user_agent
    new.created_at = clock.now()
    new.expires_at = new.created_at + REFRESH_TOKEN_LIFETIME
    session.add(new)
    await session.flush()


def _is_active() -> ColumnElement[bool]:
    return and_(
        RefreshToken.used_at.is_(None),
        RefreshToken.revoked_at.is_(None),
        RefreshToken.expires_at > clock.now(),
    )


async def list_active(session: AsyncSession, person_id: UUID, paging: Paging) -> list[RefreshToken]:
    """Return the active refresh token of each of the person's sessions, last used first (page size plus one)."""
    query = (
        select(RefreshToken)
        .where(RefreshToken.person_id == person_id, _is_active())
        .order_by(RefreshToken.created_at.desc(), RefreshToken.session_id.desc())
        .limit(paging.limit + 1)
    )
    after = paging.after((RefreshToken.created_at, RefreshToken.session_id), (datetime.fromisoformat, UUID))
    return list(await session.scalars(query if after is None else query.where(after)))


async def end(session: WriteSession, person_id: UUID, session_id: UUID) -> None:
    """End one session of the person. Raises `NotFound` unless the person has this session and it is active."""
    if not await _end(session, person_id, RefreshToken.session_id == session_id):
        raise NotFound("No such session, or it has already ended")


async def end_all(session: WriteSession, person_id: UUID, *, except_session_id: UUID | None = None) -> None:
    """End all sessions of the person, except one when it is given."""
    conditions = [] if except_session_id is None else [RefreshToken.session_id != except_session_id]
    await _end(session, person_id, *conditions)


async def end_everyones(session: WriteSession) -> int:
    """End all sessions of all people; return how many sessions were ended."""
    await session.execute(select(Person.id).order_by(Person.id).with_for_update())
    return await _revoke(session)


async def end_by_token(session: WriteSession, token: str) -> None:
    """End the session of a refresh token, used or not. An unknown token is not an error (RFC 7009)."""
    token_row = (
        await session.execute(
            select(RefreshToken.person_id, RefreshToken.session_id).where(
                RefreshToken.digest == passwords.secret_digest(token)
            )
        )
    ).one_or_none()
    if token_row is not None:
        await _end(session, token_row.person_id, RefreshToken.session_id == token_row.session_id)


async def _end(session: WriteSession, person_id: UUID, *conditions: ColumnElement[bool]) -> int:
    await lock_person(session, person_id)
    return await _revoke(session, RefreshToken.person_id == person_id, *conditions)


async def _revoke(session: WriteSession, *conditions: ColumnElement[bool]) -> int:
    rows = (await session.scalars(select(RefreshToken).where(_is_active(), *conditions))).all()
    for row in rows:
        row.revoked_at = clock.now()
    await session.flush()
    return len(rows)


async def purge_expired(session: WriteSession) -> None:
    """Delete expired refresh tokens."""
    await session.execute(delete(RefreshToken).where(RefreshToken.expires_at < clock.now()))
