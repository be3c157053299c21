"""API clients: systems that sign in with a client secret."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.registry.access import access_events
from services.registry.access.grantable_scope import require_grantable_scope, require_no_longer_access
from services.registry.authentication import client_secrets
from services.registry.persistence import versioned_update
from services.registry.schemas.clients import ClientCreate, ClientUpdate
from services.registry.settings import registry_settings
from shared import clock
from shared.api.pagination import Paging
from shared.api.preconditions import check_version
from shared.auth.callers import Caller
from shared.auth.grant_limits import require_grantable_rights, require_scope_not_wider
from shared.auth.rights import RIGHTS, Role
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict, Invalid, NotFound
from shared.tables.registry import ApiClient

# An API client may not change these of its own fields: it could widen its access or make it last longer.
SELF_PROTECTED_FIELDS = ("include_subordinates", "scopes", "expires_at")


async def list_clients(
    session: AsyncSession, caller: Caller, *, organisation_id: UUID | None, active: bool, paging: Paging
) -> list[ApiClient]:
    """Return clients that the caller may see, newest first (page size plus one)."""
    query = (
        select(ApiClient)
        .where(caller.scope(ApiClient.organisation_id), ApiClient.active == active)
        .order_by(ApiClient.created_at.desc(), ApiClient.id.desc())
        .limit(paging.limit + 1)
    )
    if organisation_id is not None:
        query = query.where(ApiClient.organisation_id == organisation_id)
    after = paging.after((ApiClient.created_at, ApiClient.id), (datetime.fromisoformat, UUID))
    return list(await session.scalars(query if after is None else query.where(after)))


async def get(session: AsyncSession, caller: Caller, client_id: UUID) -> ApiClient:
    """Return the client. Raises `NotFound` when it does not exist or the caller may not see it."""
    client = await session.scalar(
        select(ApiClient).where(ApiClient.id == client_id, caller.scope(ApiClient.organisation_id))
    )
    if client is None:
        raise NotFound("No such client")
    return client


async def _get_active_for_update(session: WriteSession, caller: Caller, client_id: UUID) -> ApiClient:
    client = await session.scalar(
        select(ApiClient)
        .where(ApiClient.id == client_id, ApiClient.active, caller.scope(ApiClient.organisation_id))
        .with_for_update()
    )
    if client is None:
        raise NotFound("No such client, or it was deactivated")
    require_scope_not_wider(caller, client)
    require_grantable_rights(caller, Role(client.role), client.scopes)
    return client


async def register(session: WriteSession, caller: Caller, new: ClientCreate) -> tuple[ApiClient, str]:
    """Create a client; return it and its secret, which is stored only as a digest.

    Raises `Invalid` for an organisation that does not fit the role, scopes outside the role or a past expiry,
    `Forbidden` for access that the caller may not grant, and `Conflict` when the organisation has the maximum
    number of active clients.
    """
    await require_grantable_scope(
        session, caller, new.role, new.organisation_id, include_subordinates=new.include_subordinates
    )
    _check_limits(caller, new.role, new.scopes, new.expires_at)
    await require_no_longer_access(session, caller, new.expires_at)
    await _check_quota(session, new.organisation_id)
    client = ApiClient(
        name=new.name,
        role=new.role.value,
        organisation_id=new.organisation_id,
        include_subordinates=new.include_subordinates,
        scopes=new.scopes,
        expires_at=new.expires_at,
    )
    session.add(client)
    await session.flush()
    return client, await client_secrets.issue(session, client.id)


async def change(
    session: WriteSession, caller: Caller, client_id: UUID, update: ClientUpdate, version: int | None
) -> ApiClient:
    """Update the given fields.

    Raises `NotFound` for an unknown or deactivated client or one out of the caller's scope, `PreconditionFailed`
    for a stale version, `Invalid` for scopes outside the role or a past expiry, `Forbidden` for access that the
    caller may not grant, and `Conflict` for a change to the calling client's own access.
    """
    client = await _get_active_for_update(session, caller, client_id)
    check_version(client.version, version)
    values = update.given_values()
    if str(client_id) == caller.subject and any(
        values.get(name, getattr(client, name)) != getattr(client, name) for name in SELF_PROTECTED_FIELDS
    ):
        raise Conflict("A client cannot change its own access: another client or a person must do it")
    role, scopes = Role(client.role), values.get("scopes", client.scopes)
    if "include_subordinates" in values:
        await require_grantable_scope(
            session, caller, role, client.organisation_id, include_subordinates=values["include_subordinates"]
        )
    _check_limits(caller, role, scopes, values.get("expires_at"))
    await require_no_longer_access(session, caller, values.get("expires_at", client.expires_at))
    changed = versioned_update.apply_changes(client, values)
    await session.flush()
    await access_events.emit_access_changed(session, client, caller.actor, changed)
    return client


async def rotate(
    session: WriteSession, caller: Caller, client_id: UUID, overlap: timedelta
) -> tuple[ApiClient, str]:
    """Issue a new secret; earlier ones expire after `overlap`.

    Raises `NotFound` for an unknown or deactivated client or one out of the caller's scope, `Forbidden` for one
    with access that the caller may not grant, and `Conflict` if too many secrets are active.
    """
    client = await _get_active_for_update(session, caller, client_id)
    await require_no_longer_access(session, caller, client.expires_at)
    return client, await client_secrets.rotate(session, client.id, overlap)


async def revoke_secret(session: WriteSession, caller: Caller, client_id: UUID, secret_id: UUID) -> None:
    """Revoke one secret of the client.

    Raises `NotFound` for an unknown or deactivated client or one out of the caller's scope, and for a secret that
    is not active; `Forbidden` for a client whose scope or rights go beyond the caller's.
    """
    client = await _get_active_for_update(session, caller, client_id)
    await client_secrets.revoke(session, client.id, secret_id)


async def deactivate(session: WriteSession, caller: Caller, client_id: UUID) -> None:
    """Deactivate the client; the row stays because the audit trail refers to it.

    Raises `NotFound` for an unknown or deactivated client or one out of the caller's scope, `Forbidden` for one
    whose scope or rights go beyond the caller's.
    """
    client = await _get_active_for_update(session, caller, client_id)
    client.active = False
    client.version += 1
    await session.flush()
    await access_events.emit_access_changed(session, client, caller.actor, ["active"])


async def _check_quota(session: WriteSession, organisation_id: UUID | None) -> None:
    # Two concurrent requests must not both create the last allowed client (TOCTOU).
    key = func.hashtextextended(f"clients\n{organisation_id}", 0)
    await session.execute(select(func.pg_advisory_xact_lock(key)))
    count = await session.scalar(
        select(func.count()).where(
            ApiClient.organisation_id.is_not_distinct_from(organisation_id), ApiClient.active
        )
    )
    limit = registry_settings().max_clients
    if (count or 0) >= limit:
        holder = "The centre" if organisation_id is None else "The organisation"
        raise Conflict(
            f"{holder} has {count} active clients; the limit is {limit} (GOSPABLIK_MAX_CLIENTS): deactivate at "
            "least one first"
        )


def _check_limits(caller: Caller, role: Role, scopes: Sequence[str] | None, expires_at: datetime | None) -> None:
    """Raise `Invalid` for scopes outside the role or a past expiry, `Forbidden` for rights the caller lacks."""
    for index, scope in enumerate(scopes or ()):
        if scope not in RIGHTS[role]:
            raise Invalid.field(f"/scopes/{index}", f"The role «{role}» has no right «{scope}»")
    require_grantable_rights(caller, role, scopes)
    if expires_at is not None and expires_at <= clock.now():
        raise Invalid.field("/expires_at", "The expiry is in the past")
