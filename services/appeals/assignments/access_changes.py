"""Release of open appeals whose assignee may no longer work on them, because the account was deactivated, locked
or moved, or has another role.
"""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, case, or_, select

from services.appeals import jobs
from services.appeals.assignees.directory import CENTRE_WORK_ROLES, STAFF_ROLES, has_access
from services.appeals.lifecycle.timeline import AppealRecorder
from shared.api.pagination import inline_literal
from shared.contracts.registry_events import PersonChanged
from shared.contracts.stored_events import parse_event
from shared.database.sessions import Database, WriteSession
from shared.tables.appeals import OPEN_APPEAL_STATUSES, Appeal
from shared.tables.common import Event
from shared.tables.registry import Person

PERSON_EVENT_TYPES = (PersonChanged.event_type,)
RELEASE_BATCH = 200
_ACCESS_FIELDS = frozenset({"active", "locked_at", "role", "organisation_id"})


async def handle_person_events(session: WriteSession, events: Sequence[Event]) -> None:
    """Enqueue the release of the appeals of each person whose access changed."""
    for event in events:
        data = parse_event(event)
        if isinstance(data, PersonChanged) and not _ACCESS_FIELDS.isdisjoint(data.changed):
            await jobs.queue.enqueue(session, jobs.RELEASE_APPEALS, {"person_id": str(event.subject_id)})


async def release_appeals(database: Database, person_id: UUID | None = None) -> int:
    """Reassign open appeals whose assignee may no longer work on them, or release them if no rule names another
    person; return how many appeals were changed. `person_id`: only appeals of this person. Work is done in
    batches, each in one transaction, and is idempotent.
    """
    released = 0
    while True:
        async with database.write() as session:
            changed = await release_batch(session, person_id)
        if not changed:
            return released
        released += changed


async def release_batch(session: WriteSession, person_id: UUID | None = None) -> int:
    """Reassign or release at most `RELEASE_BATCH` appeals; return how many were changed."""
    condition = (
        Appeal.assignee_id.is_not(None),
        Appeal.status.in_([inline_literal(status) for status in OPEN_APPEAL_STATUSES]),
        _may_not_work(),
        *([Appeal.assignee_id == person_id] if person_id is not None else []),
    )
    # Without ORDER BY: ordering by id would read closed appeals too.
    found = select(Appeal.id).join(Person, Person.id == Appeal.assignee_id).where(*condition).limit(RELEASE_BATCH)
    ids = (await session.scalars(found)).all()
    # Lock in id order, like all code that waits for several appeals, to avoid deadlocks.
    appeals = await session.scalars(
        select(Appeal)
        .join(Person, Person.id == Appeal.assignee_id)
        .where(Appeal.id.in_(ids), *condition)
        .order_by(Appeal.id)
        .with_for_update(of=Appeal)
        .execution_options(populate_existing=True)
    )
    former = {appeal: appeal.assignee_id for appeal in appeals}
    recorder = AppealRecorder()
    for appeal in former:
        recorder.queue_assignee_choice(appeal)
    await recorder.write(session)
    return sum(appeal.assignee_id != person for appeal, person in former.items())


def _may_not_work() -> ColumnElement[bool]:
    """Return the SQL condition that the assignee may not do the next step; corresponds to `Staff.may_work_for`."""
    elsewhere = case(
        (Appeal.status == "triage", Person.role.not_in(CENTRE_WORK_ROLES)),
        else_=or_(
            Person.role.not_in(STAFF_ROLES), Person.organisation_id.is_distinct_from(Appeal.organisation_id)
        ),
    )
    return or_(~has_access(), elsewhere)
