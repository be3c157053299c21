"""The texts that graders read: the citizen's question and the answer, always masked."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ScalarSelect, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.masking import mask
from shared.tables.appeals import Appeal, AppealMessage
from shared.tables.appeals_classification import Topic
from shared.tables.appeals_replies import Reply, ReplyChange
from shared.tables.ingest import Message
from shared.tables.metrics_grading import GradingItem


@dataclass(frozen=True)
class AnswerTexts:
    """The masked texts of an item. `is_erased`: the citizen's data was erased, and the texts are empty."""

    appeal_id: UUID
    topic: str | None
    question: Sequence[str]
    answer: str
    attachment_ids: Sequence[UUID]
    is_erased: bool


async def answer_texts(session: AsyncSession, item_ids: Sequence[UUID]) -> Mapping[UUID, AnswerTexts]:
    """Return the texts of these items by id: the answer as it was when the sample was drawn."""
    rows = (
        await session.execute(
            select(
                GradingItem.id,
                Reply.id.label("reply_id"),
                Reply.appeal_id,
                Reply.text,
                Reply.attachment_ids,
                Topic.name.label("topic"),
                Appeal.text.label("appeal_text"),
                _sampled_text().label("sampled_text"),
            )
            .join(Reply, Reply.id == GradingItem.reply_id)
            .join(Appeal, Appeal.id == Reply.appeal_id)
            .outerjoin(Topic, Topic.id == Appeal.topic_id)
            .where(GradingItem.id.in_(item_ids))
        )
    ).all()
    questions = await _questions(session, [row.reply_id for row in rows])
    return {row.id: _texts(row, questions.get(row.reply_id)) for row in rows}


def _texts(row: Any, question: Sequence[str] | None) -> AnswerTexts:
    # An appeal that did not come from a network has no messages.
    asked = question or [row.appeal_text]
    answer = row.text if row.sampled_text is None else row.sampled_text
    return AnswerTexts(
        row.appeal_id,
        row.topic,
        [mask(text) for text in asked],
        mask(answer),
        row.attachment_ids,
        row.text == "",
    )


def _sampled_text() -> ScalarSelect[str | None]:
    """Return the SQL subquery for the text before the first edit after the draw; null if there is none.

    Edits are counted instead of comparing times, since the clocks of services differ.
    """
    numbered = (
        select(
            ReplyChange.former_text,
            func.row_number().over(order_by=(ReplyChange.requested_at, ReplyChange.id)).label("number"),
        )
        .where(ReplyChange.reply_id == Reply.id, ReplyChange.kind == "edit", ReplyChange.status == "applied")
        .correlate(Reply)
        .subquery()
    )
    return (
        select(numbered.c.former_text)
        .where(numbered.c.number == GradingItem.edits + 1)
        .correlate(GradingItem, Reply)
        .scalar_subquery()
    )


async def _questions(session: AsyncSession, reply_ids: Sequence[UUID]) -> Mapping[UUID, Sequence[str]]:
    """Return, for each reply, the citizen's messages in its appeal up to its publication, oldest first."""
    rows = await session.execute(
        select(Reply.id, Message.text)
        .join(AppealMessage, AppealMessage.appeal_id == Reply.appeal_id)
        .join(Message, Message.id == AppealMessage.message_id)
        .where(
            Reply.id.in_(reply_ids),
            Message.from_community.is_(False),
            Message.text != "",
            Message.written_at <= Reply.published_at,
        )
        .order_by(Message.written_at, Message.id)
    )
    found: dict[UUID, list[str]] = defaultdict(list)
    for reply_id, text in rows:
        found[reply_id].append(text)
    return found
