"""Queries of reads of citizens' unmasked texts, newest first."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import Field
from sqlalchemy import ColumnElement, Row, Select, Uuid, case, func, or_, select, true
from sqlalchemy.dialects.postgresql import ARRAY, array
from sqlalchemy.ext.asyncio import AsyncSession

from services.registry.schemas.fields import FilterText, Moment
from shared.api.pagination import Paging
from shared.api.query_parameters import ListFilter
from shared.auth.callers import Caller
from shared.database.id_conditions import is_one_of_query
from shared.tables.appeals import AppealMessage
from shared.tables.common import PersonalDataRead
from shared.tables.ingest import Message
from shared.tables.registry import ApiClient, Organisation, Person

# A read of more subjects is shown without their ids: an export may contain a hundred thousand appeals.
MAX_SHOWN_SUBJECTS = 100
# These filters leave few rows, or have an index in the order of the list.
_SELECTIVE = ("author_key", "subject_id", "actor", "organisation_id")

_SHOWN = select(
    *(column for column in PersonalDataRead.__table__.columns if column.name != "subject_ids"),
    # The many ids of an export are not even read from the table.
    case((PersonalDataRead.subject_count <= MAX_SHOWN_SUBJECTS, PersonalDataRead.subject_ids)).label(
        "subject_ids"
    ),
)


class PersonalDataReadFilter(ListFilter):
    """Filter of reads of personal data."""

    author_key: FilterText = Field(default=None, description="The citizen whose appeals or messages were read")
    subject_id: UUID | None = Field(default=None, description="The appeal or message that was read")
    actor: FilterText = None
    organisation_id: UUID | None = Field(default=None, description="The organisation of the person who read")
    action: FilterText = None
    start: Moment | None = Field(default=None, alias="from", description="Start of the period, included")
    end: Moment | None = Field(default=None, alias="to", description="End of the period, not included")


async def list_reads(
    session: AsyncSession, caller: Caller, filters: PersonalDataReadFilter, paging: Paging
) -> Sequence[Row[Any]]:
    """Return reads by people of organisations within the caller's scope, newest first (page size plus one).

    `subject_ids` is null for more than `MAX_SHOWN_SUBJECTS`.
    """
    conditions = _conditions(filters)
    after = paging.after([PersonalDataRead.read_at, PersonalDataRead.id], [datetime.fromisoformat, UUID])
    if after is not None:
        conditions.append(after)
    selective = any(getattr(filters, name) is not None for name in _SELECTIVE)
    if selective or caller.is_region_wide or not caller.include_subordinates:
        conditions.append(caller.scope(PersonalDataRead.organisation_id))
    else:
        conditions = [PersonalDataRead.id.in_(_newest(caller, conditions, paging.limit + 1))]
    found = await session.execute(_in_order(_SHOWN, conditions, paging.limit + 1))
    return found.all()


async def names_of(session: AsyncSession, actors: Collection[str]) -> dict[str, str]:
    """Return the names of those actors that are people or API clients, by id."""
    ids = [found for actor in actors if (found := _uuid(actor)) is not None]
    people = select(Person.id, Person.full_name).where(Person.id.in_(ids))
    clients = select(ApiClient.id, ApiClient.name).where(ApiClient.id.in_(ids))
    return {str(found_id): name for found_id, name in await session.execute(people.union_all(clients))}


def _conditions(filters: PersonalDataReadFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [
        getattr(PersonalDataRead, name) == value
        for name in ("actor", "organisation_id", "action")
        if (value := getattr(filters, name)) is not None
    ]
    subjects = PersonalDataRead.subject_ids
    if filters.subject_id is not None:
        conditions.append(_meeting(subjects.contains(array([filters.subject_id], type_=Uuid))))
    if filters.author_key is not None:
        of_author = select(Message.id).where(Message.author_key == filters.author_key)
        opened_or_joined = select(AppealMessage.appeal_id).where(AppealMessage.message_id.in_(of_author))
        found = (func.array(ids.scalar_subquery(), type_=ARRAY(Uuid)) for ids in (of_author, opened_or_joined))
        conditions.append(_meeting(or_(*(subjects.overlap(ids) for ids in found))))
    if filters.start is not None:
        conditions.append(PersonalDataRead.read_at >= filters.start)
    if filters.end is not None:
        conditions.append(PersonalDataRead.read_at < filters.end)
    return conditions


def _meeting(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return an SQL condition equivalent to `condition` that makes the planner use the index of `condition`."""
    return is_one_of_query(PersonalDataRead.id, select(PersonalDataRead.id).where(condition))


def _in_order(
    query: Select[*tuple[Any, ...]], conditions: Sequence[ColumnElement[bool]], limit: int
) -> Select[*tuple[Any, ...]]:
    return (
        query.where(*conditions).order_by(PersonalDataRead.read_at.desc(), PersonalDataRead.id.desc()).limit(limit)
    )


def _newest(caller: Caller, conditions: Sequence[ColumnElement[bool]], limit: int) -> Select[Any]:
    """Return the query of the newest ids within the caller's scope, merged from the newest of each organisation.

    A single scan in order of time would read many rows of other organisations if these have few.
    """
    of_each = _in_order(
        select(PersonalDataRead.id, PersonalDataRead.read_at),
        [PersonalDataRead.organisation_id == Organisation.id, *conditions],
        limit,
    ).lateral("of_each")
    return (
        select(of_each.c.id)
        .join_from(Organisation, of_each, true())
        .where(caller.scope(Organisation.id))
        .order_by(of_each.c.read_at.desc(), of_each.c.id.desc())
        .limit(limit)
    )


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
