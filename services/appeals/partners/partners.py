"""Partners: name, source, owner and secret."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.moderation.manual_appeals import SOURCES_WITHOUT_IDS
from services.appeals.partners import entitlement
from services.appeals.settings import contact_settings, settings
from shared import clock, encryption
from shared.api.pagination import Paging
from shared.api.preconditions import check_version
from shared.auth.callers import Caller
from shared.database.sessions import Database, WriteSession
from shared.http.problems import Conflict, Duplicate, Invalid, NotFound
from shared.ids import new_id
from shared.networks import NETWORKS
from shared.signing_secrets import SecretCipher, SigningSecrets, UndecryptableSecret, new_secret
from shared.tables.appeals_partners import Partner


def secret_cipher() -> SecretCipher:
    """Return the cipher of the partners' secrets."""
    return SecretCipher(contact_settings().encryption_keys)


async def reencrypt_secrets(database: Database) -> int:
    """Re-encrypt secrets with the newest key; return how many were encrypted with an older one."""
    keys = contact_settings().encryption_keys
    return await encryption.reencrypt(database, keys, ((Partner.id, Partner.secret),))


async def create(session: WriteSession, caller: Caller, *, name: str, source: str) -> tuple[Partner, str]:
    """Create a partner of the caller's organisation (or of the centre), with the caller as owner; return it and
    its secret.

    Raise `Forbidden` if the caller lacks a right that the partner would use, `Invalid` for the name of a network
    or of people's channels, `Duplicate` if the organisation has a partner with this source, `Conflict` if it has
    as many partners as it may.
    """
    entitlement.require_may_own(caller, caller.organisation_id)
    if source in NETWORKS or source in SOURCES_WITHOUT_IDS:
        raise Invalid.field(
            "/source", f"`{source}` is reserved for a network or a built-in channel: choose another name"
        )
    # Of two concurrent requests, the second waits for the first and sees its partner.
    key = func.hashtextextended(f"partners\n{caller.organisation_id}", 0)
    await session.execute(select(func.pg_advisory_xact_lock(key)))
    await _require_new_source(session, caller.organisation_id, source)
    await _check_quota(session, caller.organisation_id)
    secret = new_secret()
    partner = Partner(
        id=new_id(),
        name=name,
        source=source,
        organisation_id=caller.organisation_id,
        owner_id=UUID(caller.subject),
        secret=secret_cipher().encrypt(SigningSecrets(secret)),
        active=True,
        created_by=caller.actor,
        version=1,
    )
    session.add(partner)
    await session.flush()
    return partner, secret


async def _require_new_source(session: WriteSession, organisation_id: UUID | None, source: str) -> None:
    first = await session.scalar(
        select(Partner.id).where(
            Partner.source == source,
            Partner.organisation_id.is_not_distinct_from(organisation_id),
            Partner.deleted_at.is_(None),
        )
    )
    if first is not None:
        raise Duplicate(f"A partner with the source «{source}» already exists", partner_id=str(first))


async def _check_quota(session: WriteSession, organisation_id: UUID | None) -> None:
    count = await session.scalar(
        select(func.count()).where(
            Partner.organisation_id.is_not_distinct_from(organisation_id), Partner.deleted_at.is_(None)
        )
    )
    limit = settings().max_partners
    if (count or 0) >= limit:
        holder = "The centre" if organisation_id is None else "The organisation"
        raise Conflict(
            f"{holder} has {count} partners; the limit is {limit} (GOSPABLIK_MAX_PARTNERS): delete at least one "
            "first"
        )


async def list_partners(session: AsyncSession, caller: Caller, paging: Paging) -> Sequence[Partner]:
    """Return the partners in the caller's scope, newest first, one more than the page holds."""
    query = select(Partner).where(caller.scope(Partner.organisation_id), Partner.deleted_at.is_(None))
    after = paging.after((Partner.id,), (UUID,))
    if after is not None:
        query = query.where(after)
    return (await session.scalars(query.order_by(Partner.id.desc()).limit(paging.limit + 1))).all()


async def get(session: AsyncSession, caller: Caller, partner_id: UUID, *, lock: bool = False) -> Partner:
    """Return a partner, with its row locked if `lock` is given. Raise `NotFound` outside the caller's scope."""
    query = select(Partner).where(
        Partner.id == partner_id, caller.scope(Partner.organisation_id), Partner.deleted_at.is_(None)
    )
    partner = await session.scalar(query.with_for_update() if lock else query)
    if partner is None:
        raise NotFound("No such partner")
    return partner


async def change(
    session: WriteSession, caller: Caller, partner_id: UUID, *, version: int | None, changes: dict[str, Any]
) -> Partner:
    """Update the given fields. Raise `NotFound`, or `PreconditionFailed` for a stale version."""
    partner = await get(session, caller, partner_id, lock=True)
    check_version(partner.version, version)
    for name, value in changes.items():
        setattr(partner, name, value)
    if changes:
        partner.version += 1
    await session.flush()
    return partner


async def take_over(session: WriteSession, caller: Caller, partner_id: UUID) -> Partner:
    """Make the caller the owner. Raise `NotFound`, or `Forbidden` if the caller may not own the partner."""
    partner = await get(session, caller, partner_id, lock=True)
    entitlement.require_may_own(caller, partner.organisation_id)
    partner.owner_id = UUID(caller.subject)
    partner.version += 1
    await session.flush()
    return partner


async def rotate_secret(
    session: WriteSession, caller: Caller, partner_id: UUID, version: int | None
) -> tuple[Partner, str]:
    """Issue a new secret and return it with the partner; the caller becomes the owner, because the secret gives
    the owner's rights. The old secret is accepted for 24 hours more.

    Raise `NotFound`, `Forbidden` if the caller may not own the partner, `PreconditionFailed` for a stale version,
    `Conflict` if the old secret cannot be decrypted.
    """
    partner = await get(session, caller, partner_id, lock=True)
    entitlement.require_may_own(caller, partner.organisation_id)
    check_version(partner.version, version)
    try:
        rotated = secret_cipher().decrypt(partner.secret).rotated(clock.now())
    except UndecryptableSecret as error:
        raise Conflict("The old secret can no longer be decrypted: create a new partner") from error
    partner.secret = secret_cipher().encrypt(rotated)
    partner.owner_id = UUID(caller.subject)
    partner.version += 1
    await session.flush()
    return partner, rotated.current


async def delete(session: WriteSession, caller: Caller, partner_id: UUID) -> None:
    """Delete the partner and its secret. The row stays, because timelines name the partner."""
    partner = await get(session, caller, partner_id, lock=True)
    partner.deleted_at = clock.now()
    partner.active = False
    # A secret that nobody knows.
    partner.secret = secret_cipher().encrypt(SigningSecrets(new_secret()))
    partner.version += 1
    await session.flush()
