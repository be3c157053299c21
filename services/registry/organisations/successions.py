"""Successions of organisations: renamed, merged, split or reorganised.

Old appeals stay with the predecessor, new ones go to its successors.

An organisation's last day is the day before the first day of its successors. After that day it is deactivated;
pages stay with it until somebody moves them.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from uuid import UUID

from sqlalchemy import Row, Select, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from services.registry.organisations.organisations import lock_tree, organisation_event
from services.registry.persistence import versioned_update
from services.registry.schemas.successions import SuccessionCreate, SuccessionKind
from shared import clock
from shared.api.pagination import Paging
from shared.contracts.registry_events import OrganisationChanged, SuccessionRecorded
from shared.database.sessions import WriteSession
from shared.events.outbox import emit
from shared.http.problems import Conflict, Duplicate, FieldError, Invalid, NotFound
from shared.tables.registry import Organisation, Succession

DEACTIVATION_BATCH_SIZE = 200
SERVICE_NAME = "registry"

NamedSuccession = Row[Succession, str, str]


async def list_successions(
    session: AsyncSession, organisation_id: UUID, paging: Paging
) -> Sequence[NamedSuccession]:
    """Return successions in both directions, latest first (page size plus one).

    Raises `NotFound` for an unknown organisation.
    """
    if await session.get(Organisation, organisation_id) is None:
        raise NotFound("No such organisation")
    about = or_(Succession.predecessor_id == organisation_id, Succession.successor_id == organisation_id)
    newest_first = (Succession.effective_on.desc(), Succession.id.desc())
    query = _named().where(about).order_by(*newest_first).limit(paging.limit + 1)
    after = paging.after((Succession.effective_on, Succession.id), (date.fromisoformat, UUID))
    return (await session.execute(query if after is None else query.where(after))).all()


async def record(
    session: WriteSession, organisation_id: UUID, new: SuccessionCreate, actor: str
) -> Sequence[NamedSuccession]:
    """Record the successors of an organisation and its last day.

    Raises `NotFound` for an unknown organisation, `Conflict` if it ended on another day or in another way,
    `Duplicate` for a succession that is already recorded, and `Invalid` for a wrong number of successors, an end
    before the beginning, an unknown successor or a cycle.

    A later call for the same day and kind adds successors.
    """
    # Without the lock, two concurrent transactions could close a cycle that neither of them sees.
    await lock_tree(session)
    body = await session.get(Organisation, organisation_id, with_for_update=versioned_update.FOR_NO_KEY_UPDATE)
    if body is None:
        raise NotFound("No such organisation")
    successor_ids = [successor.organisation_id for successor in new.successors]
    earlier = list(await session.scalars(select(Succession).where(Succession.predecessor_id == organisation_id)))
    _check_ended_once(earlier, new, successor_ids)
    _check_count(new.kind, len(earlier) + len(successor_ids))
    if body.valid_from is not None and new.effective_on <= body.valid_from:
        raise Invalid.field("/effective_on", "The successors must begin after the organisation's first day")
    await _check_successors(session, organisation_id, successor_ids)
    rows = [
        Succession(
            predecessor_id=organisation_id,
            successor_id=successor,
            kind=new.kind.value,
            effective_on=new.effective_on,
            document=new.document,
        )
        for successor in successor_ids
    ]
    session.add_all(rows)
    last = new.effective_on - timedelta(days=1)
    ended = {"valid_to": last} | ({"active": False} if last < clock.today() else {})
    changed = versioned_update.apply_changes(body, ended)
    await session.flush()
    event = organisation_event(
        SuccessionRecorded,
        body,
        actor,
        kind=new.kind.value,
        effective_on=new.effective_on,
        successor_ids=successor_ids,
    )
    await emit(session, event)
    if changed:
        await emit(session, organisation_event(OrganisationChanged, body, actor, changed=changed))
    made = Succession.id.in_([row.id for row in rows])
    return (await session.execute(_named().where(made).order_by(Succession.id))).all()


async def remove(session: WriteSession, organisation_id: UUID, succession_id: UUID, actor: str) -> None:
    """Delete a succession that was recorded by mistake; the organisation's last day does not change.

    Raises `NotFound` if the organisation has no succession with this id as predecessor.
    """
    body = await session.get(Organisation, organisation_id, with_for_update=versioned_update.FOR_NO_KEY_UPDATE)
    row = await session.get(Succession, succession_id)
    if body is None or row is None or row.predecessor_id != organisation_id:
        raise NotFound("This organisation has no such succession as the predecessor")
    await session.delete(row)
    await session.flush()
    await emit(session, organisation_event(OrganisationChanged, body, actor, changed=["successions"]))


async def deactivate_ended(session: WriteSession) -> int:
    """Deactivate a batch of organisations whose last day has passed; return how many. Call until it returns 0."""
    ended = await session.scalars(
        select(Organisation)
        .where(Organisation.active, Organisation.valid_to < clock.today())
        .order_by(Organisation.id)
        .limit(DEACTIVATION_BATCH_SIZE)
        .with_for_update(skip_locked=True, **versioned_update.FOR_NO_KEY_UPDATE)
    )
    events = []
    for body in ended:
        changed = versioned_update.apply_changes(body, {"active": False})
        events.append(organisation_event(OrganisationChanged, body, SERVICE_NAME, changed=changed))
    await session.flush()
    await emit(session, *events)
    return len(events)


def _named() -> Select[Succession, str, str]:
    before, after = aliased(Organisation), aliased(Organisation)
    return (
        select(Succession, before.name.label("predecessor_name"), after.name.label("successor_name"))
        .join(before, before.id == Succession.predecessor_id)
        .join(after, after.id == Succession.successor_id)
    )


def _check_ended_once(earlier: Sequence[Succession], new: SuccessionCreate, wanted: Sequence[UUID]) -> None:
    for row in earlier:
        if (row.effective_on, row.kind) != (new.effective_on, new.kind.value):
            raise Conflict(f"The organisation was already {row.kind} on {row.effective_on}: it can end only once")
        if row.successor_id in wanted:
            at = f"/successors/{wanted.index(row.successor_id)}/organisation_id"
            detail = "This succession is already recorded"
            raise Duplicate(detail, errors=[FieldError(pointer=at, detail=detail)])


def _check_count(kind: SuccessionKind, count: int) -> None:
    if kind in {SuccessionKind.RENAMED, SuccessionKind.MERGED} and count > 1:
        raise Invalid.field("/successors", f"An organisation that is {kind} has exactly one successor")
    if kind is SuccessionKind.SPLIT and count < 2:
        raise Invalid.field("/successors", "A split organisation must have at least two successors")


async def _check_successors(session: AsyncSession, organisation_id: UUID, successor_ids: Sequence[UUID]) -> None:
    known = set(await session.scalars(select(Organisation.id).where(Organisation.id.in_(successor_ids))))
    before = await _all_predecessors(session, organisation_id)
    errors = []
    for index, successor in enumerate(successor_ids):
        detail = None
        if successor not in known:
            detail = "No such organisation"
        elif successor == organisation_id:
            detail = "An organisation cannot succeed itself"
        elif successor in before:
            detail = "The other organisation is a predecessor of this one: the succession would form a cycle"
        if detail is not None:
            errors.append(FieldError(pointer=f"/successors/{index}/organisation_id", detail=detail))
    if errors:
        raise Invalid("; ".join(f"{error.pointer}: {error.detail}" for error in errors), errors=errors)


async def _all_predecessors(session: AsyncSession, organisation_id: UUID) -> set[UUID]:
    """Return all predecessors of the organisation, direct and indirect."""
    chain = (
        select(Succession.predecessor_id)
        .where(Succession.successor_id == organisation_id)
        .cte("before", recursive=True)
    )
    chain = chain.union(
        select(Succession.predecessor_id).join(chain, Succession.successor_id == chain.c.predecessor_id)
    )
    return set(await session.scalars(select(chain.c.predecessor_id)))
