"""Whose a person or system may be: role and organisation go together, and nobody gives more than they have."""

from collections.abc import Collection
from typing import Protocol
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.auth.callers import Caller
from shared.auth.rights import CENTRE_ROLES, RIGHTS, Role
from shared.http.problems import Forbidden, Invalid
from shared.tables.registry import Organisation


class Scoped(Protocol):
    """Someone bound to an organisation, with or without all beneath it."""

    beneath: bool


async def require_grantable_scope(
    session: AsyncSession,
    caller: Caller | None,
    role: Role,
    organisation_id: UUID | None,
    *,
    include_subordinates: bool,
) -> None:
    """Raise `Invalid` unless role and place go together, `Forbidden` unless the caller may give them.

    `caller` null: the operator's own command. Who is bound to an organisation gives that organisation's roles
    there, or beneath it when they are bound to all of it themselves.
    """
    if role in CENTRE_ROLES:
        if organisation_id is not None:
            raise Invalid.field("/organisation_id", f"The role «{role}» belongs to the centre: leave it out")
        if include_subordinates:
            raise Invalid.field("/beneath", f"The role «{role}» belongs to the centre, which sees everything")
        if caller is not None and not caller.reaches_region:
            raise Forbidden(f"The role «{role}» is given by the centre alone")
        return
    if organisation_id is None:
        raise Invalid.field("/organisation_id", f"The role «{role}» belongs to an organisation: name it")
    if await session.scalar(select(Organisation.id).where(Organisation.id == organisation_id)) is None:
        raise Invalid.field("/organisation_id", "There is no such organisation")
    if caller is None:
        return
    within = select(Organisation.id).where(Organisation.id == organisation_id, caller.scope(Organisation.id))
    if await session.scalar(within) is None:
        raise Forbidden("Access to this organisation is not yours to give")
    if include_subordinates and not (caller.beneath or caller.reaches_region):
        raise Forbidden("Access to all beneath an organisation is given by who has it")


def require_scope_not_wider(caller: Caller, target: Scoped) -> None:
    """Raise `Forbidden` when somebody found reaches further than the caller.

    Who could change their password or secret would have their reach.
    """
    if target.beneath and not (caller.beneath or caller.reaches_region):
        raise Forbidden("They see all beneath the organisation: who may change them does too")


def require_grantable_rights(caller: Caller | None, role: Role, scopes: Collection[str] | None = None) -> None:
    """Raise `Forbidden` for rights that the caller's own scope leaves out; `scopes` null: all of the role's.

    `caller` null: the operator's own command. A person's token has no scope: their role says what they may give.
    """
    if caller is None or caller.scopes is None:
        return
    if not caller.scopes.issuperset(RIGHTS[role] if scopes is None else scopes):
        raise Forbidden("A system gives no more rights than its own scope holds")
