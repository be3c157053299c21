"""The chain of hands: through which organisations a case went, by whom, and why."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, Row, exists, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute, aliased

from shared import clock
from shared.http.problems import Invalid
from shared.organisation_status import works
from shared.tables.appeals import Appeal, Hand
from shared.tables.registry import Organisation

# Steps that a person took: who moves a case has looked at its owner.
_BY_PEOPLE = ("assigned", "returned", "transferred")


def moved_by_person(appeal_id: UUID | InstrumentedAttribute[UUID]) -> ColumnElement[bool]:
    """Whether a person has given the case to somebody, or back."""
    return exists().where(Hand.appeal_id == appeal_id, Hand.kind.in_(_BY_PEOPLE))


async def assignments_of(session: AsyncSession, appeal_id: UUID) -> Sequence[Row[Hand, str | None, str | None]]:
    """The steps of a case, oldest first, with the names of who gave and who got; null is the centre."""
    giving, getting = aliased(Organisation), aliased(Organisation)
    query = (
        select(Hand, giving.name, getting.name)
        .outerjoin(giving, giving.id == Hand.from_organisation_id)
        .outerjoin(getting, getting.id == Hand.to_organisation_id)
        .where(Hand.appeal_id == appeal_id)
        .order_by(Hand.at, Hand.id)
    )
    return (await session.execute(query)).all()


async def returned_by(session: AsyncSession, appeal: Appeal) -> set[UUID]:
    """The organisations that gave the case back, or that the centre took it from."""
    rows = await session.scalars(
        select(Hand.from_organisation_id).where(Hand.appeal_id == appeal.id, Hand.kind == "returned")
    )
    return {organisation for organisation in rows if organisation is not None}


async def all_organisations(session: AsyncSession, appeal: Appeal) -> set[UUID]:
    """The organisations that have had the case, also before hands were written down."""
    rows = await session.execute(
        select(Hand.from_organisation_id, Hand.to_organisation_id).where(Hand.appeal_id == appeal.id)
    )
    found = {organisation for row in rows for organisation in row if organisation is not None}
    if returned_by := appeal.route.get("returned_by"):
        found.add(UUID(returned_by))
    return found | ({appeal.organisation_id} if appeal.organisation_id else set())


async def require_open_organisation(session: AsyncSession, organisation_id: UUID | None) -> None:
    """Raise `Invalid` naming the field unless the organisation exists and works."""
    if organisation_id is None:
        return
    open_now = await session.scalar(select(works(clock.today())).where(Organisation.id == organisation_id))
    if open_now is None:
        raise Invalid.field("/organisation_id", "No such organisation")
    if not open_now:
        raise Invalid.field("/organisation_id", "The organisation is closed")
