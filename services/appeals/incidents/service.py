"""Changes of incidents, which group appeals about one problem. Appeals join and leave; each keeps its author,
thread, organisation and deadline.

Code that changes members locks the incident first, then the appeals in id order. The unique index of current
members guarantees that an appeal is in one incident at most.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    func,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.actors import SYSTEM_ACTOR
from services.appeals.incidents import later_members
from services.appeals.incidents.incident_queries import is_current_member, is_lead, is_visible_to
from services.appeals.incidents.subject import IncidentSubject, incident_title, subject_of
from services.appeals.lifecycle.timeline import TimelineEntryKind
from shared import clock
from shared.api.preconditions import check_version
from shared.audit import recorder
from shared.auth.callers import Caller
from shared.contracts.appeal_events import IncidentClosed, IncidentGrown, IncidentOpened, IncidentSnapshot
from shared.database.bulk_insert import insert_missing, insert_rows
from shared.database.database_time import database_time
from shared.database.sessions import WriteSession
from shared.events.outbox import NewEvent, emit
from shared.http.problems import Conflict, FieldError, Forbidden, Invalid, NotFound
from shared.ids import new_id
from shared.tables.appeals import Appeal, TimelineEntry
from shared.tables.appeals_incidents import Incident, IncidentMember

# `incident.grown` is emitted only at these member counts.
GROWTH_MILESTONES = (10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)
MAX_APPEALS_PER_REQUEST = 200
JOINED_BY_PERSON = "Решение человека"


@dataclass(frozen=True, kw_only=True)
class NewMember:
    """An appeal about to join an incident: its similarity (None if not measured), and the reason."""

    appeal_id: UUID
    written_at: datetime
    urgency: str
    organisation_id: UUID | None = None
    similarity: float | None = None
    why: str = JOINED_BY_PERSON


@dataclass(frozen=True)
class MemberCounts:
    """The number of members, and when the first and the last of them were written; None without members."""

    member_count: int
    first_written_at: datetime | None
    last_written_at: datetime | None


# Changes. Each locks the incident first, then its appeals.


async def lock(session: WriteSession, caller: Caller, incident_id: UUID) -> Incident:
    """Return the incident, locked until the transaction ends.

    Raises `NotFound` also for an incident that is not visible to the caller.
    """
    incident = await session.scalar(
        select(Incident)
        .where(Incident.id == incident_id, is_visible_to(caller))
        .with_for_update(key_share=True, of=Incident)
        .execution_options(populate_existing=True)
    )
    if incident is None:
        raise NotFound("No such incident")
    return incident


async def _lock_appeals(session: WriteSession, caller: Caller, appeal_ids: Sequence[UUID]) -> list[Appeal]:
    """Lock the appeals in id order and return them. Raises `Invalid` naming each id that does not exist or is out
    of the caller's scope.
    """
    rows = await session.scalars(
        select(Appeal)
        .where(Appeal.id.in_(appeal_ids), caller.scope(Appeal.organisation_id))
        .order_by(Appeal.id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    appeals = {appeal.id: appeal for appeal in rows}
    errors = [
        FieldError(pointer=f"/appeal_ids/{index}", detail="No such appeal")
        for index, appeal_id in enumerate(appeal_ids)
        if appeal_id not in appeals
    ]
    if errors:
        raise Invalid(f"Invalid: {', '.join(error.pointer for error in errors)}", errors=errors)
    return list(appeals.values())


def _require_free(appeals: Iterable[Appeal], incident_id: UUID | None = None) -> None:
    taken = [appeal for appeal in appeals if appeal.incident_id not in (None, incident_id)]
    if taken:
        numbers = ", ".join(str(appeal.number) for appeal in taken)
        raise Conflict(
            f"These appeals are already in another incident: {numbers}. Remove them from that incident first",
            appeal_ids=[str(appeal.id) for appeal in taken],
        )


def _joined_by_person(appeal: Appeal) -> NewMember:
    return NewMember(
        appeal_id=appeal.id,
        written_at=appeal.written_at,
        urgency=appeal.urgency,
        organisation_id=appeal.organisation_id,
    )


async def open_manually(
    session: WriteSession, caller: Caller, appeal_ids: Sequence[UUID], title: str | None
) -> Incident:
    """Open an incident with these appeals, led by the caller's organisation, if any.

    Raises `Invalid` naming the appeals out of the caller's scope, `Conflict` if one is in another incident.
    """
    appeals = await _lock_appeals(session, caller, list(dict.fromkeys(appeal_ids)))
    _require_free(appeals)
    return await open_incident(
        session,
        subject_of(appeals),
        [_joined_by_person(appeal) for appeal in appeals],
        title=title,
        actor=caller.actor,
        organisation_id=caller.organisation_id,
    )


async def open_incident(
    session: WriteSession,
    subject: IncidentSubject,
    new_members: Sequence[NewMember],
    *,
    actor: str,
    origin: str = "person",
    title: str | None = None,
    organisation_id: UUID | None = None,
) -> Incident:
    """Open an incident with these locked appeals and emit `incident.opened`."""
    now = clock.now()
    incident = Incident(
        id=new_id(), origin=origin, title=title or await incident_title(session, subject),
        topic_id=subject.topic_id, utility_failure=subject.utility_failure, municipality=subject.municipality,
        settlement=subject.settlement, street=subject.street, urgency="normal", organisation_id=organisation_id,
        member_count=0,
        first_written_at=min(member.written_at for member in new_members),
        last_written_at=max(member.written_at for member in new_members),
        opened_at=now, opened_by=actor, closed_at=None, created_at=now, updated_at=now,
    )  # fmt: skip
    session.add(incident)
    await session.flush()
    await add_members(session, incident, new_members, actor=actor)
    await emit_incident_event(session, incident, IncidentOpened, actor)
    return incident


async def add_manually(
    session: WriteSession, caller: Caller, incident_id: UUID, appeal_ids: Sequence[UUID]
) -> Incident:
    """Add appeals to an incident; appeals that are already in it stay.

    Raises `NotFound`, the errors of `open_manually`, and `Conflict` for a closed incident.
    """
    incident = await lock(session, caller, incident_id)
    if incident.closed_at is not None:
        raise Conflict("The incident is closed: no appeal can join it")
    appeals = await _lock_appeals(session, caller, list(dict.fromkeys(appeal_ids)))
    _require_free(appeals, incident.id)
    fresh = [_joined_by_person(appeal) for appeal in appeals if appeal.incident_id is None]
    await add_members(session, incident, fresh, actor=caller.actor)
    return incident


async def add_members(
    session: WriteSession, incident: Incident, new_members: Sequence[NewMember], *, actor: str
) -> set[UUID]:
    """Add appeals to a locked incident; return those that joined. An appeal in another incident stays there. The
    incident's version is not raised, because it counts only changes by people. New members get the last final
    replies.
    """
    if not new_members:
        return set()
    # Compared with the times of replies, which other machines write.
    now = await database_time(session)
    rows = [
        {
            "id": new_id(), "incident_id": incident.id, "appeal_id": new_member.appeal_id,
            "similarity": new_member.similarity, "why": new_member.why, "joined_at": now, "joined_by": actor,
            "left_at": None, "left_by": None,
        }
        for new_member in new_members
    ]  # fmt: skip
    members = await insert_missing(session, IncidentMember, rows)
    joined = {member.appeal_id for member in members}
    if not joined:
        return joined
    await recorder.record(session, IncidentMember, (recorder.inserted(member) for member in members))
    await _set_incident_of_appeals(
        session,
        {
            new_member.appeal_id: new_member.organisation_id
            for new_member in new_members
            if new_member.appeal_id in joined
        },
        incident.id,
    )
    await _add_timeline_entries(session, joined, "incident_joined", actor, incident)
    joined_members = [new_member for new_member in new_members if new_member.appeal_id in joined]
    await _update_counts(session, incident, joined_members)
    if len(joined_members) < incident.member_count:
        await _emit_growth(session, incident, joined_members, actor)
    await later_members.reply_to_new_members(session, incident.id, now)
    return joined


async def _set_incident_of_appeals(
    session: WriteSession,
    appeals: dict[UUID, UUID | None],
    incident_id: UUID | None,
    previous_incident_id: UUID | None = None,
) -> None:
    """Set the incident of these appeals without changing their version and `updated_at`."""
    await session.execute(
        update(Appeal)
        .where(Appeal.id.in_(appeals))
        .values(incident_id=incident_id, updated_at=Appeal.updated_at)
        .execution_options(synchronize_session=False)
    )
    changes = (
        recorder.RowChange(
            subject_id=appeal_id,
            organisation_id=organisation_id,
            before={"incident_id": previous_incident_id},
            after={"incident_id": incident_id},
        )
        for appeal_id, organisation_id in appeals.items()
    )
    await recorder.record(session, Appeal, changes)


async def _add_timeline_entries(
    session: WriteSession, appeals: Collection[UUID], kind: TimelineEntryKind, actor: str, incident: Incident
) -> None:
    at = clock.now()
    data = {"incident_id": str(incident.id), "number": incident.number}
    await insert_rows(
        session,
        TimelineEntry,
        [
            {"id": new_id(), "appeal_id": found, "at": at, "kind": kind, "actor": actor, "data": data}
            for found in appeals
        ],
    )


async def _update_counts(session: WriteSession, incident: Incident, joined: Sequence[NewMember]) -> None:
    urgent = incident.urgency == "high" or any(new_member.urgency == "high" for new_member in joined)
    values = {
        "member_count": incident.member_count + len(joined),
        "first_written_at": min(incident.first_written_at, *(new_member.written_at for new_member in joined)),
        "last_written_at": max(incident.last_written_at, *(new_member.written_at for new_member in joined)),
        "urgency": "high" if urgent else "normal",
    }
    await _update_counted_columns(session, incident, values)


async def _update_counted_columns(session: WriteSession, incident: Incident, values: dict[str, Any]) -> None:
    """Update counted columns without raising the version.

    A raised version would give people who edit a growing incident a version conflict.
    """
    before = {name: getattr(incident, name) for name in values}
    await session.execute(
        update(Incident)
        .where(Incident.id == incident.id)
        .values(values | {"updated_at": clock.now()})
        .execution_options(synchronize_session=False)
    )
    change = recorder.RowChange(
        subject_id=incident.id, organisation_id=incident.organisation_id, before=before, after=values
    )
    await recorder.record(session, Incident, [change])
    await session.refresh(incident)


async def set_utility_failure(session: WriteSession, incident: Incident, utility_failure: str) -> None:
    """Set the utility failure of a locked incident; the title is adapted if a spike opened the incident and no
    person has edited it.
    """
    values: dict[str, Any] = {"utility_failure": utility_failure}
    if incident.origin == "spike" and incident.version == 1:
        location = {name: getattr(incident, name) for name in ("municipality", "settlement", "street")}
        values["title"] = await incident_title(
            session, IncidentSubject(utility_failure=utility_failure, **location)
        )
    await _update_counted_columns(session, incident, values)


async def remove_member(session: WriteSession, caller: Caller, incident_id: UUID, appeal_id: UUID) -> Incident:
    """Remove an appeal from the incident; clustering never adds it again.

    Raises `NotFound` for an incident that the caller may not see, and for an appeal that is not in it.
    """
    incident = await lock(session, caller, incident_id)
    row = (
        await session.execute(
            select(IncidentMember, Appeal.organisation_id)
            .join(Appeal, Appeal.id == IncidentMember.appeal_id)
            .where(
                IncidentMember.incident_id == incident.id,
                IncidentMember.appeal_id == appeal_id,
                IncidentMember.left_at.is_(None),
                caller.scope(Appeal.organisation_id),
            )
            .with_for_update(key_share=True)
        )
    ).one_or_none()
    if row is None:
        raise NotFound("No such appeal in this incident")
    member, organisation_id = row
    member.left_at, member.left_by = clock.now(), caller.actor
    await session.flush()
    await _set_incident_of_appeals(session, {appeal_id: organisation_id}, None, incident.id)
    await _add_timeline_entries(session, [appeal_id], "incident_left", caller.actor, incident)
    await _update_counted_columns(session, incident, {"member_count": incident.member_count - 1})
    return incident


async def close(session: WriteSession, caller: Caller, incident_id: UUID, version: int | None) -> Incident:
    """Close the incident: appeals can no longer join, and its appeals stay unchanged.

    Raises `NotFound`, `Forbidden` if the caller's organisation neither leads it nor has all of its appeals,
    `Conflict` for a closed one, and the errors of `check_version`.
    """
    incident = await lock(session, caller, incident_id)
    await _require_authority(session, caller, incident)
    check_version(incident.version, version)
    if incident.closed_at is not None:
        raise Conflict("The incident is already closed")
    incident.closed_at = clock.now()
    await session.flush()
    await emit_incident_event(session, incident, IncidentClosed, caller.actor)
    return incident


async def update_incident(
    session: WriteSession,
    caller: Caller,
    incident_id: UUID,
    version: int | None,
    values: dict[str, Any],
) -> Incident:
    """Set the title or the leading organisation, which must exist. Raises the errors of `close` except `Conflict`,
    because closed incidents can be changed too, and `Forbidden` if staff of an organisation change who leads: only
    the centre may.
    """
    incident = await lock(session, caller, incident_id)
    await _require_authority(session, caller, incident)
    check_version(incident.version, version)
    if "organisation_id" in values and not caller.is_region_wide:
        raise Forbidden("Only the centre may choose the organisation that leads an incident")
    for name, value in values.items():
        setattr(incident, name, value)
    await session.flush()
    return incident


async def _require_authority(session: AsyncSession, caller: Caller, incident: Incident) -> None:
    """Raise `Forbidden` unless the caller's organisation leads the incident or has all of its appeals."""
    if await session.scalar(select(Incident.id).where(Incident.id == incident.id, is_lead(caller))) is not None:
        return
    own = await session.scalar(
        select(func.count())
        .select_from(IncidentMember)
        .join(Appeal, Appeal.id == IncidentMember.appeal_id)
        .where(*is_current_member(incident.id), caller.scope(Appeal.organisation_id))
    )
    if own != incident.member_count:
        raise Forbidden(
            "The incident has appeals of other organisations: only the centre or the leading "
            "organisation may change it"
        )


async def emit_incident_event(
    session: WriteSession, incident: Incident, model: type[IncidentSnapshot], actor: str = SYSTEM_ACTOR
) -> None:
    """Emit an event with the incident's current state for the centre, and another for the leading organisation, if
    any, about its own appeals. The title is left out, because a person may have written it.
    """
    await emit(
        session,
        _incident_event(
            incident,
            model,
            actor,
            MemberCounts(incident.member_count, incident.first_written_at, incident.last_written_at),
        ),
    )
    if incident.organisation_id is not None:
        await emit(
            session, _incident_event(incident, model, actor, await _own_counts(session, incident), own=True)
        )


async def _emit_growth(session: WriteSession, incident: Incident, joined: Sequence[NewMember], actor: str) -> None:
    """Emit `incident.grown` at the milestones: of all members for the centre, of its own members for the leading
    organisation.
    """
    everyone = MemberCounts(incident.member_count, incident.first_written_at, incident.last_written_at)
    if _reaches_milestone(everyone.member_count, len(joined)):
        await emit(session, _incident_event(incident, IncidentGrown, actor, everyone))
    own_joined = sum(new_member.organisation_id == incident.organisation_id for new_member in joined)
    if incident.organisation_id is None or not own_joined:
        return
    own = await _own_counts(session, incident)
    if _reaches_milestone(own.member_count, own_joined):
        await emit(session, _incident_event(incident, IncidentGrown, actor, own, own=True))


def _reaches_milestone(member_count: int, joined: int) -> bool:
    return any(member_count - joined < mark <= member_count for mark in GROWTH_MILESTONES)


async def _own_counts(session: AsyncSession, incident: Incident) -> MemberCounts:
    """Return the counts of the incident's appeals that belong to the leading organisation."""
    row = await session.execute(
        select(func.count(), func.min(Appeal.written_at), func.max(Appeal.written_at))
        .select_from(IncidentMember)
        .join(Appeal, Appeal.id == IncidentMember.appeal_id)
        .where(*is_current_member(incident.id), Appeal.organisation_id == incident.organisation_id)
    )
    return MemberCounts(*row.one())


def _incident_event(
    incident: Incident, model: type[IncidentSnapshot], actor: str, counted: MemberCounts, *, own: bool = False
) -> NewEvent:
    data = model(
        number=incident.number,
        origin=incident.origin,
        topic_id=incident.topic_id,
        utility_failure=incident.utility_failure,
        municipality=incident.municipality,
        settlement=incident.settlement,
        urgency=incident.urgency,
        own_appeals_only=own,
        member_count=counted.member_count,
        first_written_at=counted.first_written_at,
        last_written_at=counted.last_written_at,
        closed_at=incident.closed_at,
    )
    return NewEvent(
        data=data, subject_id=incident.id, organisation_id=incident.organisation_id if own else None, actor=actor
    )
