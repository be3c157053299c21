"""Incidents: one trouble told by many. Cases are joined and parted; each keeps author, thread, owner and deadline.

Who changes an incident's members locks the incident first, then the cases in the order of their ids. That a case
is in one incident at most is the database's word: the unique index of present members.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals import jobs
from services.appeals.incidents.incident_queries import led_by, present_in, seen_by
from services.appeals.incidents.subject import Matter, matter_of, title_of
from services.appeals.lifecycle.actors import SYSTEM
from shared import clock
from shared.api.preconditions import check_version
from shared.audit import recorder
from shared.auth.callers import Caller
from shared.database.sessions import WriteSession
from shared.events.outbox import NewEvent, emit
from shared.http.problems import Conflict, FieldError, Forbidden, Invalid, NotFound
from shared.ids import new_id
from shared.tables.appeals import Appeal, Incident, IncidentMember, IncidentReply, TimelineEntry

# `incident.grown` is told at these counts of members, not at each.
GROWN_AT = (10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)
MAX_AT_ONCE = 200
BY_HAND = "Решение человека"


@dataclass(frozen=True, kw_only=True)
class Voice:
    """A case on its way into an incident: how alike it is (null: nobody measured), and why it belongs there."""

    appeal_id: UUID
    written_at: datetime
    urgency: str
    organisation_id: UUID | None = None
    likeness: float | None = None
    why: str = BY_HAND


@dataclass(frozen=True)
class Counted:
    """How many cases, and when the first and the last of them were written; null: there are none."""

    members: int
    first_at: datetime | None
    last_at: datetime | None


# Changing: the incident first, then its cases.


async def lock(session: WriteSession, caller: Caller, incident_id: UUID) -> Incident:
    """The incident, locked until the transaction ends. Raises `NotFound` also for what the caller does not see."""
    incident = await session.scalar(
        select(Incident)
        .where(Incident.id == incident_id, seen_by(caller))
        .with_for_update(key_share=True, of=Incident)
        .execution_options(populate_existing=True)
    )
    if incident is None:
        raise NotFound("No such incident")
    return incident


async def _lock_cases(session: WriteSession, caller: Caller, appeal_ids: Sequence[UUID]) -> list[Appeal]:
    """Raises `Invalid` naming each id that is of no case, or of none that the caller sees."""
    found = await session.scalars(
        select(Appeal)
        .where(Appeal.id.in_(appeal_ids), caller.scope(Appeal.organisation_id))
        .order_by(Appeal.id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    cases = {case.id: case for case in found}
    errors = [
        FieldError(pointer=f"/appeal_ids/{place}", detail="No such case")
        for place, appeal_id in enumerate(appeal_ids)
        if appeal_id not in cases
    ]
    if errors:
        raise Invalid(f"Wrong: {', '.join(error.pointer for error in errors)}", errors=errors)
    return list(cases.values())


def _refuse_taken(cases: Iterable[Appeal], incident_id: UUID | None = None) -> None:
    taken = [case for case in cases if case.incident_id not in (None, incident_id)]
    if taken:
        numbers = ", ".join(str(case.number) for case in taken)
        raise Conflict(
            f"In another incident already: cases {numbers}. Take them out of it first",
            appeal_ids=[str(case.id) for case in taken],
        )


def _by_hand(case: Appeal) -> Voice:
    return Voice(
        appeal_id=case.id,
        written_at=case.written_at,
        urgency=case.urgency,
        organisation_id=case.organisation_id,
    )


async def open_by_person(
    session: WriteSession, caller: Caller, appeal_ids: Sequence[UUID], title: str | None
) -> Incident:
    """Join these cases into a new incident, led by the caller's organisation, if they have one.

    Raises `Invalid` naming the cases that are not the caller's, `Conflict` when one is in another incident.
    """
    cases = await _lock_cases(session, caller, list(dict.fromkeys(appeal_ids)))
    _refuse_taken(cases)
    return await open_about(
        session,
        matter_of(cases),
        [_by_hand(case) for case in cases],
        title=title,
        by=caller.actor,
        organisation_id=caller.organisation_id,
    )


async def open_about(
    session: WriteSession,
    matter: Matter,
    voices: Sequence[Voice],
    *,
    by: str,
    origin: str = "person",
    title: str | None = None,
    organisation_id: UUID | None = None,
) -> Incident:
    """A new incident with these cases, told by `incident.opened`. The cases are locked."""
    now = clock.now()
    incident = Incident(
        id=new_id(), origin=origin, title=title or await title_of(session, matter), topic_id=matter.topic_id,
        fault=matter.fault, municipality=matter.municipality, settlement=matter.settlement, street=matter.street,
        urgency="normal", organisation_id=organisation_id, members=0,
        first_at=min(voice.written_at for voice in voices), last_at=max(voice.written_at for voice in voices),
        opened_at=now, opened_by=by, closed_at=None, created_at=now, updated_at=now,
    )  # fmt: skip
    session.add(incident)
    await session.flush()
    await join(session, incident, voices, by=by)
    await tell(session, incident, "incident.opened", by)
    return incident


async def add_by_person(
    session: WriteSession, caller: Caller, incident_id: UUID, appeal_ids: Sequence[UUID]
) -> Incident:
    """Join further cases; those that are in it already stay. Raises as `open_by_person`, and for a closed one."""
    incident = await lock(session, caller, incident_id)
    if incident.closed_at is not None:
        raise Conflict("The incident is closed")
    cases = await _lock_cases(session, caller, list(dict.fromkeys(appeal_ids)))
    _refuse_taken(cases, incident.id)
    fresh = [_by_hand(case) for case in cases if case.incident_id is None]
    await join(session, incident, fresh, by=caller.actor)
    return incident


async def join(session: WriteSession, incident: Incident, voices: Sequence[Voice], *, by: str) -> set[UUID]:
    """Put cases into a locked incident; gives those that came in: who is in another incident stays there.

    The incident's version is not raised: it counts what people change. Newcomers get the last final answers.
    """
    if not voices:
        return set()
    now = clock.now()
    rows = [
        {
            "id": new_id(), "incident_id": incident.id, "appeal_id": voice.appeal_id, "likeness": voice.likeness,
            "why": voice.why, "joined_at": now, "joined_by": by, "left_at": None, "left_by": None,
        }
        for voice in voices
    ]  # fmt: skip
    made = await session.scalars(
        upsert(IncidentMember)
        .on_conflict_do_nothing(index_elements=["appeal_id"], index_where=IncidentMember.left_at.is_(None))
        .returning(IncidentMember),
        rows,
        execution_options={"render_nulls": True},
    )
    members = list(made)
    came = {member.appeal_id for member in members}
    if not came:
        return came
    await recorder.record(session, IncidentMember, (recorder.made(member) for member in members))
    await _point(
        session,
        {voice.appeal_id: voice.organisation_id for voice in voices if voice.appeal_id in came},
        incident.id,
    )
    await _note(session, came, "incident_joined", by, incident)
    newcomers = [voice for voice in voices if voice.appeal_id in came]
    await _count(session, incident, newcomers)
    if len(newcomers) < incident.members:
        await _tell_growth(session, incident, newcomers, by)
    await _answer_newcomers(session, incident, now)
    return came


async def _point(
    session: WriteSession, cases: dict[UUID, UUID | None], incident_id: UUID | None, former: UUID | None = None
) -> None:
    """Write in the cases where they are. They stay what they were: neither version nor time of change moves."""
    await session.execute(
        update(Appeal)
        .where(Appeal.id.in_(cases))
        .values(incident_id=incident_id, updated_at=Appeal.updated_at)
        .execution_options(synchronize_session=False)
    )
    changes = (
        recorder.Change(
            subject_id=appeal_id,
            organisation_id=organisation_id,
            before={"incident_id": former},
            after={"incident_id": incident_id},
        )
        for appeal_id, organisation_id in cases.items()
    )
    await recorder.record(session, Appeal, changes)


async def _note(session: WriteSession, cases: Collection[UUID], kind: str, by: str, incident: Incident) -> None:
    at = clock.now()
    data = {"incident_id": str(incident.id), "number": incident.number}
    await session.execute(
        insert(TimelineEntry),
        [
            {"id": new_id(), "appeal_id": found, "at": at, "kind": kind, "actor": by, "data": data}
            for found in cases
        ],
    )


async def _count(session: WriteSession, incident: Incident, came: Sequence[Voice]) -> None:
    urgent = incident.urgency == "high" or any(voice.urgency == "high" for voice in came)
    values = {
        "members": incident.members + len(came),
        "first_at": min(incident.first_at, *(voice.written_at for voice in came)),
        "last_at": max(incident.last_at, *(voice.written_at for voice in came)),
        "urgency": "high" if urgent else "normal",
    }
    await _set(session, incident, values)


async def _set(session: WriteSession, incident: Incident, values: dict[str, Any]) -> None:
    """Write what is counted, past the version: a growing incident must not refuse those who edit it."""
    before = {name: getattr(incident, name) for name in values}
    await session.execute(
        update(Incident)
        .where(Incident.id == incident.id)
        .values(values | {"updated_at": clock.now()})
        .execution_options(synchronize_session=False)
    )
    change = recorder.Change(
        subject_id=incident.id, organisation_id=incident.organisation_id, before=before, after=values
    )
    await recorder.record(session, Incident, [change])
    await session.refresh(incident)


async def learn(session: WriteSession, incident: Incident, fault: str) -> None:
    """It turns out what is out; a locked incident that nobody has edited is called by it."""
    values: dict[str, Any] = {"fault": fault}
    if incident.origin == "burst" and incident.version == 1:
        place = {name: getattr(incident, name) for name in ("municipality", "settlement", "street")}
        values["title"] = await title_of(session, Matter(fault=fault, **place))
    await _set(session, incident, values)


async def _answer_newcomers(session: WriteSession, incident: Incident, joined_at: datetime) -> None:
    """Cases that join later get the last final answer too: the centre's, and that of their organisation."""
    last = await session.scalars(
        select(IncidentReply.id)
        .where(IncidentReply.incident_id == incident.id, IncidentReply.kind == "final", IncidentReply.also_later)
        .ext(distinct_on(IncidentReply.organisation_id))
        .order_by(IncidentReply.organisation_id, IncidentReply.created_at.desc(), IncidentReply.id.desc())
    )
    for reply_id in last:
        payload = {"incident_reply_id": str(reply_id), "joined_from": joined_at.isoformat()}
        await jobs.jobs.enqueue(session, jobs.ANSWER_INCIDENT, payload)


async def part(session: WriteSession, caller: Caller, incident_id: UUID, appeal_id: UUID) -> Incident:
    """Take a case out: it is what it was before, and is never joined again by itself. Raises `NotFound`."""
    incident = await lock(session, caller, incident_id)
    found = (
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
    if found is None:
        raise NotFound("No such case in this incident")
    member, organisation_id = found
    member.left_at, member.left_by = clock.now(), caller.actor
    await session.flush()
    await _point(session, {appeal_id: organisation_id}, None, incident.id)
    await _note(session, [appeal_id], "incident_left", caller.actor, incident)
    await _set(session, incident, {"members": incident.members - 1})
    return incident


async def close(session: WriteSession, caller: Caller, incident_id: UUID, version: int | None) -> Incident:
    """The trouble is over: nothing joins any more; the cases stay what they are.

    Raises `NotFound`, `Forbidden` for another's incident, `Conflict` for one that is closed, and of `If-Match`.
    """
    incident = await lock(session, caller, incident_id)
    await _require_hand(session, caller, incident)
    check_version(incident.version, version)
    if incident.closed_at is not None:
        raise Conflict("The incident is closed already")
    incident.closed_at = clock.now()
    await session.flush()
    await tell(session, incident, "incident.closed", caller.actor)
    return incident


async def change(
    session: WriteSession,
    caller: Caller,
    incident_id: UUID,
    version: int | None,
    values: dict[str, Any],
) -> Incident:
    """Set the title or who leads; `organisation_id` is known to exist. Raises as `close`, and `Forbidden` when an
    organisation names who leads: the centre does.
    """
    incident = await lock(session, caller, incident_id)
    await _require_hand(session, caller, incident)
    check_version(incident.version, version)
    if "organisation_id" in values and not caller.reaches_region:
        raise Forbidden("The centre says who leads an incident")
    for name, value in values.items():
        setattr(incident, name, value)
    await session.flush()
    return incident


async def _require_hand(session: AsyncSession, caller: Caller, incident: Incident) -> None:
    """An organisation decides about an incident that it leads, or that holds its own cases alone."""
    if await session.scalar(select(Incident.id).where(Incident.id == incident.id, led_by(caller))) is not None:
        return
    own = await session.scalar(
        select(func.count())
        .select_from(IncidentMember)
        .join(Appeal, Appeal.id == IncidentMember.appeal_id)
        .where(*present_in(incident.id), caller.scope(Appeal.organisation_id))
    )
    if own != incident.members:
        raise Forbidden("The incident holds cases of others: the centre, or who leads it, decides")


async def tell(session: WriteSession, incident: Incident, event: str, by: str = SYSTEM) -> None:
    """Events about the incident as it is now: one for the centre, one for who leads it, of its own cases alone.

    Its title, which a person may have written, stays here.
    """
    await emit(session, _told(incident, event, by, Counted(incident.members, incident.first_at, incident.last_at)))
    if incident.organisation_id is not None:
        await emit(session, _told(incident, event, by, await _own(session, incident), own=True))


async def _tell_growth(session: WriteSession, incident: Incident, came: Sequence[Voice], by: str) -> None:
    """`incident.grown` at marked counts: of all members for the centre, of its own for who leads it."""
    everyone = Counted(incident.members, incident.first_at, incident.last_at)
    if _reaches(everyone.members, len(came)):
        await emit(session, _told(incident, "incident.grown", by, everyone))
    theirs = sum(voice.organisation_id == incident.organisation_id for voice in came)
    if incident.organisation_id is None or not theirs:
        return
    own = await _own(session, incident)
    if _reaches(own.members, theirs):
        await emit(session, _told(incident, "incident.grown", by, own, own=True))


def _reaches(members: int, came: int) -> bool:
    return any(members - came < mark <= members for mark in GROWN_AT)


async def _own(session: AsyncSession, incident: Incident) -> Counted:
    """Of the cases that are of who leads the incident."""
    row = await session.execute(
        select(func.count(), func.min(Appeal.written_at), func.max(Appeal.written_at))
        .select_from(IncidentMember)
        .join(Appeal, Appeal.id == IncidentMember.appeal_id)
        .where(*present_in(incident.id), Appeal.organisation_id == incident.organisation_id)
    )
    return Counted(*row.one())


def _told(incident: Incident, event: str, by: str, counted: Counted, *, own: bool = False) -> NewEvent:
    return NewEvent(
        type=event,
        subject_id=incident.id,
        organisation_id=incident.organisation_id if own else None,
        actor=by,
        data={
            "number": incident.number,
            "origin": incident.origin,
            "topic_id": str(incident.topic_id) if incident.topic_id else None,
            "fault": incident.fault,
            "municipality": incident.municipality,
            "settlement": incident.settlement,
            "urgency": incident.urgency,
            "own": own,
            "members": counted.members,
            "first_at": counted.first_at.isoformat() if counted.first_at else None,
            "last_at": counted.last_at.isoformat() if counted.last_at else None,
            "closed_at": incident.closed_at.isoformat() if incident.closed_at else None,
        },
    )
