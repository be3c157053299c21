"""Queries of classified messages, including those that opened no appeal.

Messages classified as `no` appear in no other list: here moderators find missed appeals and correct the
classification by a decision about the message.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import Field
from sqlalchemy import Boolean, ColumnElement, Select, and_, literal_column, not_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.classification.types import NeedsAnswer
from services.appeals.field_types import BoundedDatetime, SingleLine
from shared.api.pagination import Paging, inline_literal
from shared.api.query_parameters import ListFilter
from shared.auth.callers import Caller
from shared.contracts.values import Language, Urgency
from shared.tables.appeals import AppealMessage
from shared.tables.appeals_classification import CLASSIFIED_BY_PERSON, Classification, Topic
from shared.tables.ingest import Message
from shared.tables.registry import Organisation

# Filter values: classified automatically (by a model or a rule), or by a person.
AUTOMATIC, PERSON = "automatic", "person"
_OF_MESSAGE = (
    "network", "kind", "page_id", "organisation_id", "url", "text", "written_at", "received_at", "deleted_at",
)  # fmt: skip
# A classification, fields of its message, the name of the page's organisation, and the appeal's id.
ClassificationRow = Any


class ClassificationFilter(ListFilter):
    """Filter of a list of classifications."""

    needs_answer: NeedsAnswer | None = Field(default=None, description="Messages with `no` opened no appeal")
    language: Language | None = None
    urgency: Urgency | None = None
    classified_by: SingleLine | None = Field(
        default=None,
        description="`automatic`, `person`, or the exact value of `classification.classified_by`",
        examples=["automatic"],
    )
    topic_id: UUID | None = Field(default=None, description="A topic, or a group with all its topics")
    page_id: UUID | None = None
    organisation_id: UUID | None = Field(default=None, description="The organisation that owns the page")
    classified_from: BoundedDatetime | None = Field(
        default=None, description="First classified at or after this moment"
    )
    classified_to: BoundedDatetime | None = Field(default=None, description="First classified before this moment")


async def _conditions(session: AsyncSession, filters: ClassificationFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    for few, value in (
        (Classification.needs_answer, filters.needs_answer),
        (Classification.language, filters.language),
        (Classification.urgency, filters.urgency),
    ):
        if value is not None:
            conditions.append(and_(few == inline_literal(value)))
    if filters.classified_by in {AUTOMATIC, PERSON}:
        by_people = literal_column(CLASSIFIED_BY_PERSON, Boolean())
        conditions.append(by_people if filters.classified_by == PERSON else not_(by_people))
    elif filters.classified_by is not None:
        conditions.append(Classification.classified_by == filters.classified_by)
    if filters.topic_id is not None:
        # Load the ids in a separate statement: as literals they let the planner estimate how many messages are
        # about these topics.
        beneath = select(Topic.id).where(or_(Topic.id == filters.topic_id, Topic.group_id == filters.topic_id))
        conditions.append(Classification.topic_id.in_((await session.scalars(beneath)).all()))
    if filters.page_id is not None:
        conditions.append(Message.page_id == filters.page_id)
    if filters.organisation_id is not None:
        conditions.append(Message.organisation_id == filters.organisation_id)
    if filters.classified_from is not None:
        conditions.append(Classification.created_at >= filters.classified_from)
    if filters.classified_to is not None:
        conditions.append(Classification.created_at < filters.classified_to)
    return conditions


async def list_query(
    session: AsyncSession, caller: Caller, filters: ClassificationFilter, paging: Paging
) -> Select[Any]:
    """Return the query for one page of classifications plus one row, newest first."""
    found: Select[Any] = (
        select(
            Classification,
            *(getattr(Message, name) for name in _OF_MESSAGE),
            Organisation.name.label("organisation"),
            AppealMessage.appeal_id,
        )
        .join(Message, Message.id == Classification.message_id)
        .join(Organisation, Organisation.id == Message.organisation_id)
        .outerjoin(AppealMessage, AppealMessage.message_id == Classification.message_id)
        .where(caller.scope(Message.organisation_id), *await _conditions(session, filters))
        .order_by(Classification.created_at.desc(), Classification.message_id.desc())
        .limit(paging.limit + 1)
    )
    after = paging.after((Classification.created_at, Classification.message_id), (datetime.fromisoformat, UUID))
    return found if after is None else found.where(after)


async def find(
    session: AsyncSession, caller: Caller, filters: ClassificationFilter, paging: Paging
) -> Sequence[ClassificationRow]:
    """Return one page of classifications plus one row."""
    rows: Sequence[ClassificationRow] = (
        await session.execute(await list_query(session, caller, filters, paging))
    ).all()
    return rows
