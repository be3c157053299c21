"""Entitlement of partners: an event is processed only with the rights that the partner's owner has now.

The owner is the person or API client that got the secret, or took the partner over, and belongs to the partner's
own organisation. So a partner never reaches appeals of another organisation.
"""

from collections.abc import Collection, Iterable
from dataclasses import replace
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from shared.auth import token_recheck
from shared.auth.callers import Caller
from shared.auth.rights import Right
from shared.http.problems import Forbidden
from shared.tables.appeals_partners import Partner

# What a partner can do: open appeals, report a status, answer.
PARTNER_RIGHTS = (Right.APPEALS_OPEN, Right.APPEALS_WORK, Right.APPEALS_ANSWER)


def refusal_reason(
    owner: Caller | None, organisation_id: UUID | None, rights: Collection[Right] = PARTNER_RIGHTS
) -> str | None:
    """Return why events of the owner's partner are refused; None if they are processed."""
    if owner is None:
        return "its owner no longer has access"
    if owner.organisation_id != organisation_id:
        return "its owner belongs to another organisation"
    for right in (Right.WEBHOOKS_MANAGE, *rights):
        if right not in owner.rights:
            return f"its owner lacks the right «{right}»"
    return None


def require_may_own(caller: Caller, organisation_id: UUID | None) -> None:
    """Raise `Forbidden` unless the caller belongs to the partner's organisation and has the rights of partners."""
    if caller.organisation_id != organisation_id:
        raise Forbidden("Only somebody of the partner's own organisation can become its owner")
    for right in PARTNER_RIGHTS:
        caller.require(right)


async def refusal_reasons(session: AsyncSession, partners: Iterable[Partner]) -> dict[UUID, str | None]:
    """Return by partner id why its events are refused now; None if they are processed."""
    rows = list(partners)
    owners = await token_recheck.load_callers(session, {row.owner_id for row in rows})
    return {row.id: refusal_reason(owners.get(row.owner_id), row.organisation_id) for row in rows}


async def partner_caller(session: AsyncSession, partner: Partner, right: Right) -> Caller:
    """Return the caller that uses this right for the partner: the partner itself, with the rights of its owner.

    Raise `Forbidden` if the partner is inactive, or its owner may not do this now.
    """
    if not partner.active:
        raise Forbidden("The partner is inactive: a person who manages it can activate it")
    owner = (await token_recheck.load_callers(session, {partner.owner_id})).get(partner.owner_id)
    reason = refusal_reason(owner, partner.organisation_id, (right,))
    if owner is None or reason is not None:
        raise Forbidden(
            f"The partner's events are refused because {reason}: a colleague can take the partner over"
        )
    itself = replace(owner, subject=str(partner.id), name=partner.name, include_subordinates=False)
    return itself.with_right(right)
