"""Limits on changing another account: nobody may change one with a wider scope, and an API client none with rights
that its token lacks.
"""

from collections.abc import Collection
from typing import Protocol

from shared.auth.callers import Caller
from shared.auth.rights import RIGHTS, Role
from shared.http.problems import Forbidden


class Scoped(Protocol):
    """A person or client that belongs to an organisation, with or without its subordinates."""

    include_subordinates: bool


def require_scope_not_wider(caller: Caller, target: Scoped) -> None:
    """Raise `Forbidden` when the target's scope is wider than the caller's.

    A caller who changes a password or secret could sign in with it and gain that scope.
    """
    if target.include_subordinates and not (caller.include_subordinates or caller.is_region_wide):
        raise Forbidden(
            "This account also sees subordinate organisations: only a person who sees them too may change it"
        )


def require_grantable_rights(caller: Caller | None, role: Role, scopes: Collection[str] | None = None) -> None:
    """Raise `Forbidden` for rights outside the scope of the caller's token; `scopes` None: all rights of the role.

    The rights are those to be granted, or those of the account to be changed. `caller` is None for a command of
    the operator. A person's token has no scope: nothing is checked here.
    """
    if caller is None or caller.scopes is None:
        return
    if not caller.scopes.issuperset(RIGHTS[role] if scopes is None else scopes):
        raise Forbidden(
            "An API client may not grant rights that its token does not have, nor change an account that has such "
            "rights"
        )
