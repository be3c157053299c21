"""API clients: systems that sign in with a secret of their own."""

import secrets
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.registry import sign_in
from services.registry.people import check_place
from services.registry.schemas.access import ClientNew
from shared import clock
from shared.database import WriteSession
from shared.pagination import Paging
from shared.problems import Invalid, NotFound
from shared.tables.registry import ApiClient


async def listed(session: AsyncSession, *, organisation_id: UUID | None, paging: Paging) -> list[ApiClient]:
    """Clients that may sign in, newest first, one more than the limit."""
    query = (
        select(ApiClient)
        .where(ApiClient.active)
        .order_by(ApiClient.created_at.desc(), ApiClient.id.desc())
        .limit(paging.limit + 1)
    )
    if organisation_id is not None:
        query = query.where(ApiClient.organisation_id == organisation_id)
    after = paging.after((ApiClient.created_at, ApiClient.id), (datetime.fromisoformat, UUID))
    return list(await session.scalars(query if after is None else query.where(after)))


async def register(session: WriteSession, new: ClientNew) -> tuple[ApiClient, str]:
    """A new client and its secret, which is kept as a digest alone. Raises `Invalid`."""
    await check_place(session, new.role, new.organisation_id)
    if new.expires_at is not None and new.expires_at <= clock.now():
        raise Invalid.field("/expires_at", "This moment is past")
    secret = secrets.token_urlsafe(32)
    client = ApiClient(
        name=new.name,
        role=new.role.value,
        organisation_id=new.organisation_id,
        secret_hash=sign_in.digest(secret),
        expires_at=new.expires_at,
    )
    session.add(client)
    await session.flush()
    return client, secret


async def remove(session: WriteSession, client_id: UUID) -> None:
    """The client may no longer sign in; its row stays, for what it did. Raises `NotFound`."""
    found = await session.get(ApiClient, client_id, with_for_update=True)
    if found is None or not found.active:
        raise NotFound("There is no such client")
    found.active = False
    await session.flush()
