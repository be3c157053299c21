"""Rerouting of existing appeals after another set is activated or the registry changes. Unassigned appeals are
always routed again; appeals that the rules assigned only if the activation requests it. Decisions and work of
people are kept. Work is done in batches, each in one transaction, and is idempotent.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, and_, literal_column, select, tuple_

from services.appeals import jobs
from services.appeals.actors import SYSTEM_ACTOR
from services.appeals.lifecycle import transitions
from services.appeals.lifecycle.route_snapshot import route_of
from services.appeals.lifecycle.timeline import AppealRecorder
from services.appeals.routing import dry_run, repository
from services.appeals.routing.context import RoutingContext
from services.appeals.routing.engine import Route
from services.appeals.routing.triage import stored_unclear_need_reason
from shared import clock
from shared.contracts.event_base import EventData
from shared.contracts.registry_events import (
    OrganisationChanged,
    OrganisationRegistered,
    PageChanged,
    PageRegistered,
)
from shared.contracts.stored_events import parse_event
from shared.database.sessions import Database, WriteSession
from shared.tables.appeals import Appeal
from shared.tables.common import Event

REROUTE_BATCH = 200
REGISTRY_EVENT_TYPES = (
    OrganisationRegistered.event_type,
    OrganisationChanged.event_type,
    PageRegistered.event_type,
    PageChanged.event_type,
)
# Fields of a page and of an organisation whose change affects routing. `name` is one of them, because the name of
# an administration says which settlement it governs.
_PAGE_FIELDS = frozenset({"active", "organisation_id"})
_ORGANISATION_FIELDS = frozenset(
    {"active", "valid_to", "name", "kind", "municipality", "sphere", "other_spheres", "parent_id"}
)

AppealPosition = tuple[datetime, UUID]


async def handle_registry_events(session: WriteSession, events: Sequence[Event]) -> None:
    """Enqueue the rerouting of unassigned appeals if one of these changes may give them an organisation."""
    if any(_affects_routing(parse_event(event)) for event in events):
        await jobs.queue.enqueue(session, jobs.REROUTE_APPEALS, {"include_untouched": False})


def _affects_routing(data: EventData) -> bool:
    if isinstance(data, PageChanged):
        return not _PAGE_FIELDS.isdisjoint(data.changed)
    return not isinstance(data, OrganisationChanged) or not _ORGANISATION_FIELDS.isdisjoint(data.changed)


async def reroute_appeals(database: Database, *, include_untouched: bool, rule_set_id: UUID | None = None) -> int:
    """Route unassigned appeals by the active set, and with `include_untouched` also appeals that nobody has moved
    or started to work on. Return how many appeals got another organisation. With `rule_set_id` it stops once that
    set is no longer active: the next set is applied by its own job.
    """
    moved, position = 0, None
    while True:
        async with database.write() as session:
            # An activation waits for this batch. Otherwise its own reroute may miss an appeal that this batch
            # assigns by the former set: the statement that waits for the row sees no assignment made meanwhile.
            await repository.lock_active_set_shared(session)
            active = await repository.active_set(session)
            if rule_set_id is not None and active.id != rule_set_id:
                return moved
            changed, position = await _apply_batch(session, position, untouched=include_untouched)
            moved += changed
        if position is None:
            return moved


async def _apply_batch(
    session: WriteSession, after: AppealPosition | None, *, untouched: bool
) -> tuple[int, AppealPosition | None]:
    condition = dry_run.untouched() if untouched else dry_run.unassigned()
    # The next rows are found by an index alone; the full condition is checked when the batch locks the rows.
    walk_condition: ColumnElement[bool] = Appeal.status.in_(("triage", "assigned"))
    if not untouched:
        walk_condition = and_(Appeal.organisation_id.is_(None), Appeal.status == literal_column("'triage'"))
    query = (
        select(Appeal.opened_at, Appeal.id)
        .where(walk_condition)
        .order_by(Appeal.opened_at, Appeal.id)
        .limit(REROUTE_BATCH)
    )
    if after is not None:
        query = query.where(tuple_(Appeal.opened_at, Appeal.id) > tuple_(*after))
    rows = (await session.execute(query)).all()
    if not rows:
        return 0, None
    moved = await _route(session, [row.id for row in rows], condition)
    return moved, (rows[-1].opened_at, rows[-1].id) if len(rows) == REROUTE_BATCH else None


async def _route(session: WriteSession, ids: Sequence[UUID], condition: ColumnElement[bool]) -> int:
    # Lock in id order, like all code that waits for several appeals, to avoid deadlocks.
    locked = await session.scalars(
        select(Appeal.id).where(Appeal.id.in_(ids), condition).order_by(Appeal.id).with_for_update()
    )
    # The condition is checked again: a statement that waited for a lock sees assignments and replies as of its
    # start.
    rows = (
        await session.execute(
            select(Appeal, dry_run.needs_answer_decided())
            .where(Appeal.id.in_(locked.all()), condition)
            .order_by(Appeal.id)
        )
    ).all()
    routing_context = await RoutingContext.load(
        session,
        {appeal.page_id for appeal, _ in rows if appeal.page_id},
        {appeal.organisation_id for appeal, _ in rows if appeal.organisation_id},
    )
    recorder = AppealRecorder()
    moved = sum(reroute_appeal(appeal, routing_context, recorder, clear=clear) for appeal, clear in rows)
    await recorder.write(session)
    return moved


def reroute_appeal(
    appeal: Appeal, routing_context: RoutingContext, recorder: AppealRecorder, *, clear: bool
) -> bool:
    """Assign the locked appeal to the organisation that the rules now give; return whether it is another one.
    `clear`: an answer is due; if false, only the suggestions for moderators change.
    """
    route = routing_context.route_appeal(appeal)
    if not clear or (route.organisation_id is None and appeal.organisation_id is None):
        triage = route.to_triage_snapshot(None if clear else stored_unclear_need_reason(appeal))
        waiting = route_of(appeal).replaced_by(triage).dump()
        if waiting != appeal.route:
            appeal.route = waiting
        return False
    if route.organisation_id == appeal.organisation_id:
        return False
    _note(appeal, route, recorder)
    if route.organisation_id is not None:
        transitions.assign(
            appeal,
            route.organisation_id,
            routing_context.sla,
            recorder,
            SYSTEM_ACTOR,
            route=route.to_snapshot(),
            assignment_kind="rerouted",
        )
    else:
        transitions.unassign(appeal, routing_context.sla, recorder, SYSTEM_ACTOR, route=route.to_triage_snapshot())
    appeal.updated_at = clock.now()
    return True


def _note(appeal: Appeal, route: Route, recorder: AppealRecorder) -> None:
    recorder.add_timeline_entry(
        appeal,
        "rerouted",
        from_organisation_id=str(appeal.organisation_id) if appeal.organisation_id else None,
        to_organisation_id=str(route.organisation_id) if route.organisation_id else None,
        rule_set=route.rule_set,
        rule=route.rule,
        reason=route.reason,
    )
