"""Absences: days on which no rule assigns appeals to a person."""

from collections.abc import Collection, Sequence
from datetime import date
from uuid import UUID

from pydantic import Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.assignees.directory import actor_id, load_staff
from shared import clock
from shared.api.pagination import Paging
from shared.api.query_parameters import ListFilter
from shared.auth.callers import Caller
from shared.auth.rights import Right
from shared.database.sessions import WriteSession
from shared.http.problems import Forbidden, Invalid, NotFound
from shared.tables.appeals_work import Absence
from shared.tables.registry import Person


class AbsenceFilter(ListFilter):
    """Filter of a list of absences."""

    person_id: UUID | None = None
    on: date | None = Field(default=None, description="Absences that include this day")


async def list_absences(
    session: AsyncSession, caller: Caller, filters: AbsenceFilter, paging: Paging
) -> Sequence[Absence]:
    """Return the absences of people whom the caller may see, latest start first: one page plus one row."""
    query = (
        select(Absence)
        .join(Person, Person.id == Absence.person_id)
        .where(caller.scope(Person.organisation_id))
        .order_by(Absence.starts_on.desc(), Absence.id.desc())
        .limit(paging.limit + 1)
    )
    if filters.person_id is not None:
        query = query.where(Absence.person_id == filters.person_id)
    if filters.on is not None:
        query = query.where(Absence.starts_on <= filters.on, Absence.ends_on >= filters.on)
    after = paging.after((Absence.starts_on, Absence.id), (date.fromisoformat, UUID))
    return list(await session.scalars(query if after is None else query.where(after)))


async def create_absence(
    session: WriteSession,
    caller: Caller,
    *,
    person_id: UUID | None,
    starts_on: date,
    ends_on: date,
    substitute_id: UUID | None,
) -> Absence:
    """Record an absence, by default the caller's own.

    Raises `Invalid` naming the field, `Forbidden` for a colleague's absence without `assignees:manage`.
    """
    if ends_on < starts_on:
        raise Invalid.field("/ends_on", "The absence ends before it starts")
    if ends_on < clock.today():
        raise Invalid.field("/ends_on", "The absence ends in the past: give today or a later day")
    absent_id = person_id or actor_id(caller.subject)
    if person_id is not None and str(person_id) != caller.subject:
        await _require_manageable(session, caller, person_id)
    staff = await load_staff(session, {one for one in (absent_id, substitute_id) if one is not None})
    if absent_id is None or absent_id not in staff:
        raise Invalid.field("/person_id", "Choose a person who has access to the system")
    if substitute_id is not None:
        substitute = staff.get(substitute_id)
        organisation_id = staff[absent_id].organisation_id
        if substitute_id == absent_id or substitute is None or not substitute.may_work_for(organisation_id):
            detail = "Choose another person who works on the appeals of the same organisation"
            raise Invalid.field("/substitute_id", detail)
    absence = Absence(
        person_id=absent_id,
        starts_on=starts_on,
        ends_on=ends_on,
        substitute_id=substitute_id,
        created_by=caller.actor,
    )
    session.add(absence)
    await session.flush()
    return absence


async def delete_absence(session: WriteSession, caller: Caller, absence_id: UUID) -> None:
    """Delete the caller's own absence, or with `assignees:manage` a colleague's.

    Raises `NotFound` for an unknown id or one out of the caller's scope, `Forbidden` for a colleague's absence
    without the right.
    """
    absence = await session.scalar(
        select(Absence)
        .join(Person, Person.id == Absence.person_id)
        .where(Absence.id == absence_id, caller.scope(Person.organisation_id))
        .with_for_update(of=Absence)
    )
    if absence is None:
        raise NotFound("No such absence")
    if str(absence.person_id) != caller.subject:
        await _require_manageable(session, caller, absence.person_id)
    await session.delete(absence)
    await session.flush()


async def _require_manageable(session: AsyncSession, caller: Caller, person_id: UUID) -> None:
    if Right.ASSIGNEES_MANAGE not in caller.rights:
        raise Forbidden(f"Recording or deleting a colleague's absence needs the right «{Right.ASSIGNEES_MANAGE}»")
    manager = caller.with_right(Right.ASSIGNEES_MANAGE)
    query = select(Person.id).where(Person.id == person_id, manager.scope(Person.organisation_id))
    if await session.scalar(query) is None:
        raise Invalid.field("/person_id", "No such person")


async def absences_today(session: AsyncSession, people: Collection[UUID]) -> dict[UUID, UUID | None]:
    """Return which of these people are absent today, each with the substitute or None."""
    if not people:
        return {}
    today = clock.today()
    rows = await session.execute(
        select(Absence.person_id, Absence.substitute_id)
        .where(Absence.person_id.in_(people), Absence.starts_on <= today, Absence.ends_on >= today)
        # Where absences overlap, one with a substitute takes precedence.
        .order_by(Absence.substitute_id.is_not(None), Absence.id)
    )
    return {row.person_id: row.substitute_id for row in rows}
