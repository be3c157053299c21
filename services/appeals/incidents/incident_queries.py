"""Queries of incidents. Staff of an organisation see incidents that it leads or has an appeal in, and only its own
appeals in them.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import Field
from sqlalchemy import ColumnElement, Select, Text, exists, func, or_, select, true, type_coerce
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import raiseload

from services.appeals.field_types import OKTMO_PATTERN
from shared.api.pagination import Paging
from shared.api.query_parameters import ListFilter
from shared.auth.callers import Caller
from shared.http.problems import NotFound
from shared.tables.appeals import Appeal
from shared.tables.appeals_classification import Topic
from shared.tables.appeals_incidents import Incident, IncidentMember
from shared.tables.registry import Organisation


class IncidentFilter(ListFilter):
    """Filter of a list of incidents."""

    open: bool | None = Field(default=None, description="`true`: open incidents; `false`: closed ones")
    municipality: str | None = Field(default=None, pattern=OKTMO_PATTERN, description="OKTMO of the location")
    topic_id: UUID | None = None
    q: str | None = Field(default=None, max_length=200, description="Part of the title")


def is_current_member(incident_id: Any) -> tuple[ColumnElement[bool], ...]:
    """Return the SQL conditions of the incident's current members."""
    return IncidentMember.incident_id == incident_id, IncidentMember.left_at.is_(None)


def is_lead(caller: Caller) -> ColumnElement[bool]:
    """Return the SQL condition that the caller's organisation leads the incident; always true for the centre."""
    return caller.scope(Incident.organisation_id)


def is_visible_to(caller: Caller) -> ColumnElement[bool]:
    """Return the SQL condition of the incidents that are visible to the caller."""
    if caller.is_region_wide:
        return true()
    has_own_appeal = exists(
        select(IncidentMember.id)
        .join(Appeal, Appeal.id == IncidentMember.appeal_id)
        .where(*is_current_member(Incident.id), caller.scope(Appeal.organisation_id))
    )
    return or_(is_lead(caller), has_own_appeal)


_ORGANISATION = type_coerce(Organisation.name, Text).label("organisation")
_TOPIC = type_coerce(Topic.name, Text).label("topic")
# Incident, name of the leading organisation, name of the topic; count, first and last time of the visible members.
IncidentRow = Any


def _query(caller: Caller) -> Select[Any]:
    seen: Any = Incident.member_count
    first: Any = Incident.first_written_at
    last: Any = Incident.last_written_at
    query: Select[Any] = select(Incident).select_from(Incident)
    if not caller.is_region_wide:
        own = (
            select(
                func.count().label("seen"),
                func.min(Appeal.written_at).label("first"),
                func.max(Appeal.written_at).label("last"),
            )
            .select_from(IncidentMember)
            .join(Appeal, Appeal.id == IncidentMember.appeal_id)
            .where(*is_current_member(Incident.id), caller.scope(Appeal.organisation_id))
            .lateral()
        )
        query = query.join(own, true())
        seen, first, last = own.c.seen, own.c.first, own.c.last
    return (
        query.add_columns(_ORGANISATION, _TOPIC, seen, first, last)
        .outerjoin(Organisation, Organisation.id == Incident.organisation_id)
        .outerjoin(Topic, Topic.id == Incident.topic_id)
        .where(is_visible_to(caller))
        .execution_options(populate_existing=True)
    )


async def find(
    session: AsyncSession, caller: Caller, filters: IncidentFilter, paging: Paging
) -> Sequence[IncidentRow]:
    """Return incidents, newest first: one page plus one row."""
    query = _query(caller).order_by(Incident.opened_at.desc(), Incident.id.desc()).limit(paging.limit + 1)
    if filters.open is not None:
        query = query.where(Incident.closed_at.is_(None) if filters.open else Incident.closed_at.is_not(None))
    if filters.municipality is not None:
        query = query.where(Incident.municipality == filters.municipality)
    if filters.topic_id is not None:
        query = query.where(Incident.topic_id == filters.topic_id)
    if filters.q:
        query = query.where(Incident.title.icontains(filters.q, autoescape=True))
    after = paging.after((Incident.opened_at, Incident.id), (datetime.fromisoformat, UUID))
    if after is not None:
        query = query.where(after)
    rows: Sequence[IncidentRow] = (await session.execute(query)).all()
    return rows


async def get_incident_row(session: AsyncSession, caller: Caller, incident_id: UUID) -> IncidentRow:
    """Return the incident as the caller sees it. Raises `NotFound` if there is none that the caller may see."""
    row = (await session.execute(_query(caller).where(Incident.id == incident_id))).one_or_none()
    if row is None:
        raise NotFound("No such incident")
    return row


async def require_visible_incident(session: AsyncSession, caller: Caller, incident_id: UUID) -> None:
    """Raise `NotFound` unless the incident is visible to the caller."""
    if await session.scalar(select(Incident.id).where(Incident.id == incident_id, is_visible_to(caller))) is None:
        raise NotFound("No such incident")


async def members(session: AsyncSession, caller: Caller, incident_id: UUID, paging: Paging) -> Sequence[Any]:
    """Return the visible members (member, appeal, organisation's name, topic's name), last joined first: one page
    plus one row. Raises `NotFound` for an incident that the caller may not see.
    """
    await require_visible_incident(session, caller, incident_id)
    query = (
        select(IncidentMember, Appeal, _ORGANISATION, _TOPIC)
        .options(raiseload(Appeal.clocks))
        .join(Appeal, Appeal.id == IncidentMember.appeal_id)
        .outerjoin(Organisation, Organisation.id == Appeal.organisation_id)
        .outerjoin(Topic, Topic.id == Appeal.topic_id)
        .where(*is_current_member(incident_id), caller.scope(Appeal.organisation_id))
        .order_by(IncidentMember.joined_at.desc(), IncidentMember.id.desc())
        .limit(paging.limit + 1)
    )
    after = paging.after((IncidentMember.joined_at, IncidentMember.id), (datetime.fromisoformat, UUID))
    if after is not None:
        query = query.where(after)
    return (await session.execute(query)).all()
