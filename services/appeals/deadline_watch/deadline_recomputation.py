"""Recomputation of running deadlines after a working calendar changed or an organisation got another calendar.
Stopped clocks keep the counted time; clocks of an ended appeal are computed when it is reopened. Work is done in
batches, each in one transaction, and is idempotent.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Select, exists, or_, select

from services.appeals import jobs
from services.appeals.actors import SYSTEM_ACTOR
from services.appeals.deadline_watch.deadline_changes import due_dates, record_changed_deadline
from services.appeals.deadline_watch.escalations import store_next_escalations
from services.appeals.lifecycle.timeline import AppealRecorder
from services.appeals.lifecycle.workflow import FINAL_STATUSES
from services.appeals.sla import clocks
from services.appeals.sla.clock_rows import STARTED_STATES
from services.appeals.sla.due_dates import awaited_deadlines
from services.appeals.sla.escalation_steps import first_moment
from services.appeals.sla.sla_context import SlaContext
from shared import clock
from shared.api.pagination import inline_literal
from shared.contracts.registry_events import CalendarChanged, OrganisationChanged
from shared.contracts.stored_events import parse_event
from shared.database.sessions import Database, WriteSession
from shared.tables.appeals import Appeal
from shared.tables.appeals_sla import SlaClock, SlaClockEvent
from shared.tables.common import Event
from shared.tables.registry import Calendar

RECOMPUTE_BATCH = 200
# A transaction that read the calendars before the change may commit after the first recomputation, with clocks
# computed by the former calendar. This is longer than any batch of messages takes.
RECOMPUTE_AGAIN_AFTER = timedelta(minutes=2)
REGISTRY_EVENT_TYPES = (CalendarChanged.event_type, OrganisationChanged.event_type)
# Changes of other fields, such as the name, move no deadline.
_COUNTING_FIELDS = frozenset({"weekly", "time_zone"})


async def handle_registry_events(session: WriteSession, events: Sequence[Event]) -> None:
    """Enqueue the recomputation of the clocks that these changes may affect: at once, and again after
    `RECOMPUTE_AGAIN_AFTER`.
    """
    calendars: set[UUID] = set()
    organisations: set[UUID] = set()
    for event in events:
        data = parse_event(event)
        if isinstance(data, CalendarChanged) and (
            data.start is not None or not _COUNTING_FIELDS.isdisjoint(data.changed or ())
        ):
            calendars.add(event.subject_id)
        elif isinstance(data, OrganisationChanged) and not {"calendar_id", "kind"}.isdisjoint(data.changed):
            organisations.add(event.subject_id)
    if calendars or organisations:
        payload = {
            "calendars": sorted(str(found) for found in calendars),
            "organisations": sorted(str(found) for found in organisations),
        }
        for delay in (None, RECOMPUTE_AGAIN_AFTER):
            await jobs.queue.enqueue(session, jobs.RECOMPUTE_DEADLINES, payload, delay=delay)


async def recompute_deadlines(
    database: Database, calendars: Collection[UUID], organisations: Collection[UUID]
) -> int:
    """Recompute the running and paused clocks that used these calendars or calendars based on them, and switch
    the clocks of these organisations to their current calendar; return how many appeals got another deadline.
    """
    changed, position = 0, UUID(int=0)
    while True:
        async with database.write() as session:
            found, last = await recompute_batch(session, calendars, organisations, after=position)
        changed += found
        if last is None:
            return changed
        position = last


async def recompute_batch(
    session: WriteSession, calendars: Collection[UUID], organisations: Collection[UUID], *, after: UUID
) -> tuple[int, UUID | None]:
    """Recompute the clocks of the next appeals after the id `after`; return how many appeals got another deadline,
    and the id of the last one if more may follow.
    """
    dependents = await _with_dependents(session, calendars)
    ids = list(await session.scalars(_affected(dependents, organisations, after=after)))
    # Lock in id order, like all code that waits for several appeals, to avoid deadlocks.
    appeals = await session.scalars(
        select(Appeal)
        .where(Appeal.id.in_(ids), Appeal.status.not_in(FINAL_STATUSES))
        .order_by(Appeal.id)
        .with_for_update()
    )
    changed = await _recompute(session, appeals.all(), organisations)
    return changed, ids[-1] if len(ids) == RECOMPUTE_BATCH else None


def _affected(calendars: Collection[UUID], organisations: Collection[UUID], *, after: UUID) -> Select[UUID]:
    """Return the query of the ids of the next appeals with a running or paused clock that may be affected. It
    reads only unfinished clocks, through their partial index.
    """
    counted = exists().where(SlaClockEvent.clock_id == SlaClock.id, SlaClockEvent.calendar_id.in_(calendars))
    owned = exists().where(Appeal.id == SlaClock.appeal_id, Appeal.organisation_id.in_(organisations))
    return (
        select(SlaClock.appeal_id)
        .distinct()
        .where(
            SlaClock.state.in_([inline_literal(state) for state in STARTED_STATES]),
            SlaClock.appeal_id > after,
            or_(SlaClock.calendar_id.in_(calendars), counted, owned),
        )
        .order_by(SlaClock.appeal_id)
        .limit(RECOMPUTE_BATCH)
    )


async def _with_dependents(session: WriteSession, calendars: Collection[UUID]) -> set[UUID]:
    """Return the calendars and all calendars based on them, directly or not, because these inherit days."""
    found = set(calendars)
    added = set(calendars)
    while added:
        based = await session.scalars(select(Calendar.id).where(Calendar.base_id.in_(added)))
        added = set(based) - found
        found |= added
    return found


async def _recompute(session: WriteSession, appeals: Sequence[Appeal], organisations: Collection[UUID]) -> int:
    sla = await SlaContext.load(session, {appeal.organisation_id for appeal in appeals})
    recorder = AppealRecorder()
    changed = 0
    # The steps of a passed deadline, which does not move, count in the changed calendar from now on. The job that
    # takes the steps leaves out those that were taken.
    first_steps: dict[UUID, datetime | None] = {}
    for appeal in appeals:
        before = due_dates(appeal)
        if appeal.organisation_id in organisations:
            clocks.follow_appeal(appeal, sla, SYSTEM_ACTOR)
        else:
            clocks.recompute_clocks(appeal, sla)
            first_step = first_moment(awaited_deadlines(appeal, sla))
            if first_step != appeal.next_escalation_at:
                first_steps[appeal.id] = first_step
        if record_changed_deadline(recorder, appeal, before, sla):
            changed += 1
            appeal.updated_at = clock.now()
    await recorder.write(session)
    await store_next_escalations(session, first_steps)
    return changed
