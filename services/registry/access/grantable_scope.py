"""Rules for granting access: a role fits its organisation, nobody grants access that is wider than their own or
lasts longer, and nobody gives back what somebody above them took away.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.auth.callers import Caller
from shared.auth.rights import CENTRE_ROLES, Role
from shared.http.problems import Forbidden, Invalid
from shared.tables.registry import ApiClient, Organisation


async def require_grantable_scope(
    session: AsyncSession,
    caller: Caller | None,
    role: Role,
    organisation_id: UUID | None,
    *,
    include_subordinates: bool,
) -> None:
    """Raise `Invalid` unless role and organisation fit, `Forbidden` unless the caller may grant them.

    `caller` is None for a command of the operator. A member of an organisation may grant its roles in it, and in
    subordinate organisations if the member's own scope includes them.
    """
    if role in CENTRE_ROLES:
        if organisation_id is not None:
            raise Invalid.field(
                "/organisation_id", f"The role «{role}» belongs to the centre: leave the organisation out"
            )
        if include_subordinates:
            raise Invalid.field(
                "/include_subordinates",
                f"The role «{role}» belongs to the centre, which sees every organisation: "
                "leave «include_subordinates» out",
            )
        if caller is not None and not caller.is_region_wide:
            raise Forbidden(f"Only the centre may grant the role «{role}»")
        return
    if organisation_id is None:
        raise Invalid.field(
            "/organisation_id", f"The role «{role}» belongs to an organisation: give the organisation"
        )
    if await session.scalar(select(Organisation.id).where(Organisation.id == organisation_id)) is None:
        raise Invalid.field("/organisation_id", "No such organisation")
    if caller is None:
        return
    if not await reaches(session, caller, organisation_id):
        raise Forbidden("You may not grant access to this organisation")
    if include_subordinates and not (caller.include_subordinates or caller.is_region_wide):
        raise Forbidden(
            "You may not grant access to subordinate organisations: your own access does not include them"
        )


async def reaches(session: AsyncSession, caller: Caller, organisation_id: UUID | None) -> bool:
    """Return whether the caller's scope includes the organisation; None is the centre."""
    if caller.is_region_wide or organisation_id is None:
        return caller.is_region_wide
    within = select(Organisation.id).where(Organisation.id == organisation_id, caller.scope(Organisation.id))
    return await session.scalar(within) is not None


async def require_no_longer_access(
    session: AsyncSession, caller: Caller | None, expires_at: datetime | None = None
) -> None:
    """Raise `Forbidden` if the caller is an API client that expires before `expires_at`; None is never.

    `expires_at` is the expiry of the client that is granted access or gets a secret; people have none. `caller` is
    None for a command of the operator.
    """
    if caller is None:
        return
    own = await session.scalar(select(ApiClient.expires_at).where(ApiClient.id == UUID(caller.subject)))
    if own is not None and (expires_at is None or expires_at > own):
        raise Forbidden(
            f"This API client expires at {own.isoformat()} and may not grant access that lasts longer: to people, "
            "or to clients with a later expiry or none"
        )
