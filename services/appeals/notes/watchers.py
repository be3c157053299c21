"""Watchers: people who follow an appeal, and the check that they may still read it."""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import Uuid, bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.assignees.directory import STAFF_COLUMNS, Staff, actor_id, has_access, load_staff, staff_of
from services.appeals.lifecycle import appeal_queries
from shared import clock
from shared.audit import recorder
from shared.auth.callers import Caller
from shared.auth.rights import Right
from shared.database.bulk_insert import insert_missing
from shared.database.sessions import WriteSession
from shared.http.problems import Invalid, NotFound
from shared.tables.appeals import Appeal
from shared.tables.appeals_work import AppealWatcher
from shared.tables.registry import Organisation, Person

# Built once: building the statement takes longer than executing it.
_WATCHERS = (
    select(*STAFF_COLUMNS, Organisation.lineage)
    .join(AppealWatcher, AppealWatcher.person_id == Person.id)
    .outerjoin(Organisation, Organisation.id == bindparam("organisation_id", type_=Uuid))
    .where(AppealWatcher.appeal_id == bindparam("appeal_id"), has_access())
    .order_by(AppealWatcher.created_at, AppealWatcher.person_id)
)


async def may_read(
    session: AsyncSession, organisation_id: UUID | None, people: Collection[UUID]
) -> dict[UUID, Staff]:
    """Return the people among these who may now read appeals of an organisation; None means the centre."""
    staff = await load_staff(session, people)
    if not staff:
        return {}
    query = select(Organisation.lineage).where(Organisation.id == organisation_id)
    lineage = await session.scalar(query) if organisation_id is not None else None
    return {
        person_id: found
        for person_id, found in staff.items()
        if found.has_right(Right.APPEALS_READ, organisation_id, lineage or [])
    }


async def watchers_of(session: AsyncSession, appeal: Appeal) -> list[UUID]:
    """Return the watchers who may read the appeal now, in the order in which they began to watch."""
    organisation_id = appeal.organisation_id
    rows = await session.execute(_WATCHERS, {"appeal_id": appeal.id, "organisation_id": organisation_id})
    found = [(staff_of(row), row.lineage or []) for row in rows]
    return [
        person.id for person, lineage in found if person.has_right(Right.APPEALS_READ, organisation_id, lineage)
    ]


async def add_watcher(
    session: WriteSession, caller: Caller, appeal_id: UUID, person_id: UUID | None
) -> tuple[AppealWatcher, bool]:
    """Add a person, by default the caller, as a watcher; return the watcher and whether it is new.

    Raises `NotFound`, and `Invalid` for a person who may not read the appeal or whom the caller may not see.
    """
    appeal = await appeal_queries.lock(session, caller, appeal_id)
    wanted = person_id or actor_id(caller.subject)
    allowed = wanted is not None and await _is_colleague(session, caller, wanted)
    if wanted is None or not allowed or wanted not in await may_read(session, appeal.organisation_id, [wanted]):
        raise Invalid.field(
            "/person_id", "This person cannot watch the appeal: choose a colleague who may read it"
        )
    new = await add_watchers(session, appeal_id, [wanted], caller.actor)
    if new:
        return new[0], True
    return await session.get_one(AppealWatcher, (appeal_id, wanted)), False


async def add_watchers(
    session: WriteSession, appeal_id: UUID, people: Collection[UUID], actor: str
) -> Sequence[AppealWatcher]:
    """Add these people as watchers; return the new watchers."""
    now = clock.now()
    rows = [
        {"appeal_id": appeal_id, "person_id": person_id, "added_by": actor, "created_at": now}
        for person_id in sorted(people)
    ]
    new = await insert_missing(session, AppealWatcher, rows)
    await recorder.record(session, AppealWatcher, (recorder.inserted(row) for row in new))
    return new


async def remove_watcher(session: WriteSession, caller: Caller, appeal_id: UUID, person_id: UUID) -> None:
    """Remove a watcher. Raises `NotFound` also for a person whom the caller may not see."""
    # Locked as in `add_watcher`, which would fail if the row that it found were deleted before it is read.
    await appeal_queries.lock(session, caller, appeal_id)
    row = await session.get(AppealWatcher, (appeal_id, person_id))
    if row is None or not await _is_colleague(session, caller, person_id):
        raise NotFound("No such watcher")
    await session.delete(row)
    await session.flush()


async def _is_colleague(session: AsyncSession, caller: Caller, person_id: UUID) -> bool:
    if str(person_id) == caller.subject:
        return True
    query = select(Person.id).where(Person.id == person_id, caller.scope(Person.organisation_id))
    return await session.scalar(query) is not None
