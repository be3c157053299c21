"""Presenter of partners: rows to response models."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.assignees.directory import ActorNames
from services.appeals.partners import entitlement
from services.appeals.schemas.common import named_ref
from services.appeals.schemas.partners.partners import PartnerOut
from shared.tables.appeals_partners import Partner
from shared.tables.registry import Organisation


async def partners_out(session: AsyncSession, rows: Sequence[Partner]) -> list[PartnerOut]:
    """Return partners as the API shows them, with their owners, and why their events are refused now."""
    names = await ActorNames.load(session, [row.owner_id for row in rows])
    reasons = await entitlement.refusal_reasons(session, rows)
    found = await session.execute(
        select(Organisation.id, Organisation.name).where(
            Organisation.id.in_({row.organisation_id for row in rows if row.organisation_id is not None})
        )
    )
    organisations = {row.id: row.name for row in found}
    same = ("id", "version", "name", "source", "active", "created_at", "updated_at")
    return [
        PartnerOut(
            **{name: getattr(row, name) for name in same},
            organisation=named_ref(
                row.organisation_id, organisations.get(row.organisation_id) if row.organisation_id else None
            ),
            owner=names.ref(row.owner_id),
            refusal_reason=reasons[row.id],
        )
        for row in rows
    ]


async def partner_out(session: AsyncSession, row: Partner) -> PartnerOut:
    """Return a partner as the API shows it."""
    (shown,) = await partners_out(session, [row])
    return shown
