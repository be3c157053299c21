"""Secrets of API clients: random, stored as digests. During a rotation the old and the new secret both work."""

import secrets
from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.registry.authentication import passwords
from shared import clock
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict, NotFound
from shared.tables.registry import ApiClient, ClientSecret

# Keeps a client that rotates its secret in a loop from filling the table.
MAX_ACTIVE_SECRETS = 5
EXPIRED_RETENTION = timedelta(days=30)


def is_active(now: datetime) -> ColumnElement[bool]:
    """Return the SQL condition for secrets that are active now."""
    return or_(ClientSecret.expires_at.is_(None), ClientSecret.expires_at > now)


async def active_by_client(session: AsyncSession, client_ids: Collection[UUID]) -> dict[UUID, list[ClientSecret]]:
    """Return the active secrets of each client, newest first."""
    rows = await session.scalars(
        select(ClientSecret)
        .where(ClientSecret.client_id.in_(client_ids), is_active(clock.now()))
        .order_by(ClientSecret.created_at.desc(), ClientSecret.id.desc())
    )
    by_client: dict[UUID, list[ClientSecret]] = {client_id: [] for client_id in client_ids}
    for row in rows:
        by_client[row.client_id].append(row)
    return by_client


async def issue(session: WriteSession, client_id: UUID) -> str:
    """Issue a new secret of the client and return it; only its digest is stored."""
    secret = passwords.generate_secret()
    session.add(ClientSecret(client_id=client_id, digest=passwords.secret_digest(secret)))
    await session.flush()
    return secret


async def rotate(session: WriteSession, client_id: UUID, overlap: timedelta) -> str:
    """Issue a new secret; earlier secrets expire after `overlap`. The client's row must be locked.

    Raises `Conflict` when the client already has the maximum number of active secrets.
    """
    now = clock.now()
    active = (await active_by_client(session, [client_id]))[client_id]
    if len(active) >= MAX_ACTIVE_SECRETS:
        raise Conflict(f"{MAX_ACTIVE_SECRETS} secrets are already active: revoke one of them first")
    for row in active:
        row.expires_at = now + overlap if row.expires_at is None else min(row.expires_at, now + overlap)
    return await issue(session, client_id)


async def revoke(session: WriteSession, client_id: UUID, secret_id: UUID) -> None:
    """Revoke the secret. Raises `NotFound` unless the client has it and it is active."""
    now = clock.now()
    client_secret = await session.scalar(
        select(ClientSecret).where(
            ClientSecret.id == secret_id, ClientSecret.client_id == client_id, is_active(now)
        )
    )
    if client_secret is None:
        raise NotFound("No such secret, or it is no longer active")
    client_secret.expires_at = now
    await session.flush()


async def verify(session: WriteSession, client_id: UUID, secret: str) -> UUID | None:
    """Return the id of the client's active secret and record when it was used; None for any other secret."""
    now, shown = clock.now(), passwords.secret_digest(secret)
    rows = await session.execute(
        select(ClientSecret.id, ClientSecret.digest).where(ClientSecret.client_id == client_id, is_active(now))
    )
    used = [row.id for row in rows if secrets.compare_digest(row.digest, shown)]
    if not used:
        return None
    # The client is locked before its secrets, as in a rotation: otherwise the two could deadlock. Using a secret
    # does not change the client: `version` and `updated_at` stay.
    await session.execute(
        update(ApiClient)
        .where(ApiClient.id == client_id)
        .values(last_used_at=now, updated_at=ApiClient.updated_at)
    )
    await session.execute(update(ClientSecret).where(ClientSecret.id.in_(used)).values(last_used_at=now))
    used_id: UUID = used[0]
    return used_id


async def purge_expired(session: WriteSession) -> None:
    """Delete secrets that expired more than a month ago."""
    await session.execute(delete(ClientSecret).where(ClientSecret.expires_at < clock.now() - EXPIRED_RETENTION))
