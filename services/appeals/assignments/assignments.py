"""Assignments: the organisations that an appeal went through, who moved it, and why."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, Row, bindparam, delete, exists, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute, aliased

from services.appeals.lifecycle.route_snapshot import route_of
from shared import clock
from shared.database.sessions import WriteSession
from shared.http.problems import Invalid
from shared.organisation_status import is_operating
from shared.tables.appeals import Appeal, Assignment
from shared.tables.registry import Organisation

# Kinds of assignments that people decide; the others are automatic.
_BY_PEOPLE = ("assigned", "returned", "transferred")
# Built once: building aliases and statements takes longer than executing them.
_Giving, _Getting = aliased(Organisation), aliased(Organisation)
_ASSIGNMENTS = (
    select(Assignment, _Giving.name, _Getting.name)
    .outerjoin(_Giving, _Giving.id == Assignment.from_organisation_id)
    .outerjoin(_Getting, _Getting.id == Assignment.to_organisation_id)
    .where(Assignment.appeal_id == bindparam("appeal_id"))
    .order_by(Assignment.at, Assignment.id)
)


def moved_by_person(appeal_id: UUID | InstrumentedAttribute[UUID]) -> ColumnElement[bool]:
    """Return the SQL condition that a person has assigned, returned or transferred the appeal."""
    return exists().where(Assignment.appeal_id == appeal_id, Assignment.kind.in_(_BY_PEOPLE))


async def assignments_of(
    session: AsyncSession, appeal_id: UUID
) -> Sequence[Row[Assignment, str | None, str | None]]:
    """Return the assignments of an appeal, oldest first, with the names of both organisations; None means the
    centre.
    """
    return (await session.execute(_ASSIGNMENTS, {"appeal_id": appeal_id})).all()


async def returned_by(session: AsyncSession, appeal: Appeal) -> set[UUID]:
    """Return the ids of the organisations that returned the appeal, or from which the centre took it back."""
    rows = await session.scalars(
        select(Assignment.from_organisation_id).where(
            Assignment.appeal_id == appeal.id, Assignment.kind == "returned"
        )
    )
    return {organisation for organisation in rows if organisation is not None}


async def all_organisations(session: AsyncSession, appeal: Appeal) -> set[UUID]:
    """Return the ids of all organisations that have had the appeal. `returned_by` of the route covers appeals that
    are older than the table of assignments.
    """
    rows = await session.execute(
        select(Assignment.from_organisation_id, Assignment.to_organisation_id).where(
            Assignment.appeal_id == appeal.id
        )
    )
    organisations = {organisation for row in rows for organisation in row if organisation is not None}
    if returned_by := route_of(appeal).returned_by:
        organisations.add(returned_by)
    return organisations | ({appeal.organisation_id} if appeal.organisation_id else set())


async def last_assignment_id(session: AsyncSession, appeal: Appeal) -> UUID | None:
    """Return the id of the appeal's last assignment; None without assignments."""
    last_first = (Assignment.at.desc(), Assignment.id.desc())
    rows = select(Assignment.id).where(Assignment.appeal_id == appeal.id).order_by(*last_first).limit(1)
    found: UUID | None = await session.scalar(rows)
    return found


async def remove(session: WriteSession, assignment_ids: Sequence[UUID]) -> None:
    """Remove assignments that were undone, so that they do not count as transfers or returns."""
    await session.execute(delete(Assignment).where(Assignment.id.in_(assignment_ids)))


async def require_open_organisation(session: AsyncSession, organisation_id: UUID | None) -> None:
    """Raise `Invalid` naming the field unless the organisation exists and is open. None is accepted."""
    if organisation_id is None:
        return
    open_now = await session.scalar(select(is_operating(clock.today())).where(Organisation.id == organisation_id))
    if open_now is None:
        raise Invalid.field("/organisation_id", "No such organisation")
    if not open_now:
        raise Invalid.field("/organisation_id", "The organisation is closed")
