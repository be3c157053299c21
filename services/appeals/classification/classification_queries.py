"""Judgements as a list: what was judged of every message, also of those that opened no case.

What a machine called `no` stands nowhere else: here its misses are found, and put right by a decision about the
message.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Boolean, ColumnElement, Select, and_, literal_column, not_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.api.pagination import Paging, inline_literal
from shared.auth.callers import Caller
from shared.tables.appeals import BY_PEOPLE, AppealMessage, Topic, Triage
from shared.tables.ingest import Message
from shared.tables.registry import Organisation

# Whoever judged, by kind instead of by name.
MACHINE, PERSON = "machine", "person"
_OF_MESSAGE = (
    "network", "kind", "page_id", "organisation_id", "url", "text", "written_at", "received_at", "deleted_at",
)  # fmt: skip
# A judgement, what is shown of its message, the name of whose page it is, the case.
Found = Any


@dataclass(frozen=True)
class Filter:
    """What a list of judgements is narrowed to; null means everything.

    `judged_by`: `machine`, `person`, or a name as judgements hold it.
    """

    needs_answer: str | None = None
    language: str | None = None
    urgency: str | None = None
    judged_by: str | None = None
    topic_id: UUID | None = None
    page_id: UUID | None = None
    organisation_id: UUID | None = None
    judged_from: datetime | None = None
    judged_to: datetime | None = None


async def _conditions(session: AsyncSession, wanted: Filter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    for few, value in (
        (Triage.needs_answer, wanted.needs_answer),
        (Triage.language, wanted.language),
        (Triage.urgency, wanted.urgency),
    ):
        if value is not None:
            found.append(and_(few == inline_literal(value)))
    if wanted.judged_by in {MACHINE, PERSON}:
        by_people = literal_column(BY_PEOPLE, Boolean())
        found.append(by_people if wanted.judged_by == PERSON else not_(by_people))
    elif wanted.judged_by is not None:
        found.append(Triage.judged_by == wanted.judged_by)
    if wanted.topic_id is not None:
        # Asked apart: how many messages are about so many topics is planned for by their ids.
        beneath = select(Topic.id).where(or_(Topic.id == wanted.topic_id, Topic.group_id == wanted.topic_id))
        found.append(Triage.topic_id.in_((await session.scalars(beneath)).all()))
    if wanted.page_id is not None:
        found.append(Message.page_id == wanted.page_id)
    if wanted.organisation_id is not None:
        found.append(Message.organisation_id == wanted.organisation_id)
    if wanted.judged_from is not None:
        found.append(Triage.created_at >= wanted.judged_from)
    if wanted.judged_to is not None:
        found.append(Triage.created_at < wanted.judged_to)
    return found


async def query(session: AsyncSession, caller: Caller, wanted: Filter, paging: Paging) -> Select[Any]:
    """What finds judgements by when they were first made, newest first; one more than the page takes."""
    found: Select[Any] = (
        select(
            Triage,
            *(getattr(Message, name) for name in _OF_MESSAGE),
            Organisation.name.label("organisation"),
            AppealMessage.appeal_id,
        )
        .join(Message, Message.id == Triage.message_id)
        .join(Organisation, Organisation.id == Message.organisation_id)
        .outerjoin(AppealMessage, AppealMessage.message_id == Triage.message_id)
        .where(caller.scope(Message.organisation_id), *await _conditions(session, wanted))
        .order_by(Triage.created_at.desc(), Triage.message_id.desc())
        .limit(paging.limit + 1)
    )
    after = paging.after((Triage.created_at, Triage.message_id), (datetime.fromisoformat, UUID))
    return found if after is None else found.where(after)


async def find(session: AsyncSession, caller: Caller, wanted: Filter, paging: Paging) -> Sequence[Found]:
    """A page of judgements and one more."""
    rows: Sequence[Found] = (await session.execute(await query(session, caller, wanted, paging))).all()
    return rows
