"""Export of a training set as CSV: messages with people's decisions, personal data masked. Columns that exports of
«Инцидент Менеджмент» also have keep their names; the other columns are those that `gospablik classify` writes. The
cell of a field that people did not decide is empty.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Text, Uuid, and_, cast, or_, select, tuple_, type_coerce
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.concurrency import run_in_threadpool

from services.appeals.classification.topics import TopicAndMunicipalityNames
from services.appeals.classification.types import LOCATION_PARTS
from shared.clock import REGION_TIME_ZONE
from shared.database.sessions import Database
from shared.masking import mask
from shared.tables.appeals import Appeal, AppealMessage
from shared.tables.appeals_classification import Classification, Review
from shared.tables.ingest import Message
from shared.tables.registry import Organisation
from shared.tabular.writer import csv_bytes

CHUNK_ROWS = 500
TRAINING_COLUMNS = (
    "Номер инцидента", "Дата создания", "Группа тем", "Тема", "Муниципалитет", "Населённый пункт", "Улица", "Дом",
    "Текст инцидента", "Исполнитель", "needs_answer", "type", "urgency", "language", "network",
)  # fmt: skip

TrainingRow = Row[Review, str, datetime, str, str | None, int | None, str | None]


async def csv_chunks(database: Database, *, labelled: bool) -> AsyncIterator[bytes]:
    """Yield the table as CSV in chunks, ordered by the first review; with `labelled` only rows whose topic people
    decided.

    Messages that their authors deleted or may have deleted, erased messages, and messages edited after the review
    are left out. Each chunk has its own transaction, so that a slow client keeps no transaction open.
    """
    yield csv_bytes([TRAINING_COLUMNS], with_mark=True)
    after: tuple[datetime, UUID] | None = None
    while True:
        async with database.read() as session:
            rows = await _rows(session, after, labelled=labelled)
            names = await _names(session, rows)
        if not rows:
            return
        yield await run_in_threadpool(_table, rows, names)
        after = rows[-1][0].created_at, rows[-1][0].message_id


async def _rows(
    session: AsyncSession, after: tuple[datetime, UUID] | None, *, labelled: bool
) -> Sequence[TrainingRow]:
    query = (
        select(
            Review,
            Message.text,
            Message.written_at,
            Message.network,
            Classification.language,
            Appeal.number,
            type_coerce(Organisation.name, Text),
        )
        .join(Message, Message.id == Review.message_id)
        .outerjoin(Classification, Classification.message_id == Review.message_id)
        .outerjoin(AppealMessage, AppealMessage.message_id == Review.message_id)
        .outerjoin(Appeal, Appeal.id == AppealMessage.appeal_id)
        .outerjoin(Organisation, Organisation.id == cast(Review.decided["organisation_id"].astext, Uuid))
        .where(_is_exportable())
        .order_by(Review.created_at, Review.message_id)
        .limit(CHUNK_ROWS)
    )
    if labelled:
        query = query.where(Review.decided["topic_id"].astext.is_not(None))
    if after is not None:
        query = query.where(tuple_(Review.created_at, Review.message_id) > tuple_(*after))
    return (await session.execute(query)).all()


def _is_exportable() -> ColumnElement[bool]:
    return and_(
        Message.erased_at.is_(None),
        # A message that the page removed is included; a message that its author may have deleted is left out.
        or_(Message.deleted_at.is_(None), Message.deleted_by == "community"),
        or_(Message.edited_at.is_(None), Message.edited_at <= Review.updated_at),
    )


async def _names(session: AsyncSession, rows: Sequence[TrainingRow]) -> TopicAndMunicipalityNames:
    decided = [row[0].decided for row in rows]
    municipalities = {
        location["municipality"]
        for one in decided
        if (location := one.get("location")) and location["municipality"]
    }
    return await TopicAndMunicipalityNames.load(
        session, {UUID(one["topic_id"]) for one in decided if one.get("topic_id")}, municipalities
    )


def _table(rows: Sequence[TrainingRow], names: TopicAndMunicipalityNames) -> bytes:
    return csv_bytes(_line(row, names) for row in rows)


def _line(row: TrainingRow, names: TopicAndMunicipalityNames) -> list[Any]:
    review, text, written_at, network, language, number, organisation = row
    decided = review.decided
    topic = names.topics.get(UUID(decided["topic_id"])) if decided.get("topic_id") else None
    group = (topic.group or topic.name) if topic else None
    location = decided.get("location") or dict.fromkeys(LOCATION_PARTS)
    return [
        number,
        written_at.astimezone(REGION_TIME_ZONE).isoformat(timespec="seconds"),
        group,
        topic.name if topic and topic.group else None,
        names.municipalities.get(location["municipality"] or ""),
        location["settlement"],
        location["street"],
        location["house"],
        mask(text),
        organisation,
        decided["needs_answer"],
        decided.get("type"),
        decided.get("urgency"),
        language,
        network,
    ]
