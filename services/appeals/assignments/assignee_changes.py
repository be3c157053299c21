"""Changes of an appeal's assignee by people: assigning, taking and releasing it."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.assignees.assignee_wish import AssigneeWish
from services.appeals.assignees.directory import Staff, actor_id, load_staff, works_for
from services.appeals.assignees.selection import owner_of_next_step
from services.appeals.lifecycle import appeal_queries
from services.appeals.lifecycle.timeline import AppealRecorder
from services.appeals.lifecycle.workflow import FINAL_STATUSES
from shared.api.pagination import Paging
from shared.auth.callers import Caller
from shared.auth.rights import Right
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict, Forbidden, Invalid
from shared.tables.appeals import Appeal
from shared.tables.registry import Person

# A person's id and name.
PersonRow = Row[UUID, str]


async def possible_assignees(
    session: AsyncSession, caller: Caller, appeal_id: UUID, paging: Paging
) -> Sequence[PersonRow]:
    """Return the people to whom the appeal may be assigned: one page plus one row. They are ordered by id, because
    the cursor is part of a URL and must not contain a name. Raises `NotFound` also for an appeal out of the
    caller's scope.
    """
    appeal = await appeal_queries.get_visible(session, caller, appeal_id)
    query = (
        select(Person.id, Person.full_name)
        .where(works_for(owner_of_next_step(appeal)))
        .order_by(Person.id)
        .limit(paging.limit + 1)
    )
    after = paging.after((Person.id,), (UUID,), descending=False)
    return (await session.execute(query if after is None else query.where(after))).all()


async def assign_person(session: WriteSession, appeal: Appeal, wish: AssigneeWish, caller: Caller) -> None:
    """Assign a locked appeal to the requested person, or release it; its status stays. Raises as `apply_wish`
    does.
    """
    recorder = AppealRecorder()
    await apply_wish(session, appeal, wish, caller, recorder, former_organisation_id=appeal.organisation_id)
    await recorder.write(session)


async def apply_wish(
    session: WriteSession,
    appeal: Appeal,
    wish: AssigneeWish,
    caller: Caller,
    recorder: AppealRecorder,
    *,
    former_organisation_id: UUID | None,
) -> None:
    """Assign a locked appeal to the requested person, or release it. Everybody may do so if no colleague has the
    appeal. Raises `Conflict` if the appeal is closed, `Forbidden` if a colleague has it and the caller may not
    manage assignees, `Invalid` for a person who may not work on it, or if staff choose a person in the
    organisation that gets the appeal.
    """
    if appeal.status in FINAL_STATUSES:
        raise Conflict(f"An appeal in status «{appeal.status}» cannot be assigned to a person or released")
    moved = appeal.organisation_id != former_organisation_id
    if moved and not caller.is_region_wide and wish.person_id is not None:
        raise Invalid.field(
            "/assignee_id", "Omit `assignee_id`: the organisation that gets the appeal chooses the person"
        )
    if wish.person_id == appeal.assignee_id:
        return
    has_it = appeal.assignee_id is not None and not moved
    if has_it and str(appeal.assignee_id) != caller.subject and Right.ASSIGNEES_MANAGE not in caller.rights:
        raise Forbidden(
            f"The appeal is assigned to a colleague: reassigning it needs the right «{Right.ASSIGNEES_MANAGE}»"
        )
    if wish.person_id is not None:
        staff = await _load_staff(session, wish.person_id)
        owner = owner_of_next_step(appeal)
        if wish.person_id not in staff or not staff[wish.person_id].may_work_for(owner):
            whose = "the centre" if owner is None else "its organisation"
            raise Invalid.field(
                "/assignee_id", f"Choose a person of {whose} who has access and may work on the appeal"
            )
    recorder.change_assignee(appeal, wish.person_id, caller.actor)


async def take(session: WriteSession, appeal: Appeal, caller: Caller, recorder: AppealRecorder) -> None:
    """Assign an unassigned appeal to the caller who starts to work on it, if they belong to its organisation."""
    person_id = actor_id(caller.subject)
    staff = await _load_staff(session, person_id)
    if person_id in staff and staff[person_id].may_work_for(owner_of_next_step(appeal)):
        recorder.change_assignee(appeal, person_id, caller.actor)


async def _load_staff(session: WriteSession, person_id: UUID | None) -> dict[UUID, Staff]:
    # Without a flush, so that the move and the new assignee make one version of the appeal.
    with session.no_autoflush:
        return await load_staff(session, [person_id] if person_id is not None else [])
