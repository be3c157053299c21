"""Messages of an appeal that await a reply, and the clocks that count from one of them. Callers must have locked
the row of the appeal.
"""

from uuid import UUID

from sqlalchemy import ColumnElement, Row, func, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.lifecycle.message_queries import WITHOUT_RAW_PAYLOAD
from services.appeals.sla import clocks
from services.appeals.sla.sla_context import SlaContext
from shared.database.sessions import WriteSession
from shared.tables.appeals import Appeal, AppealMessage
from shared.tables.appeals_classification import Classification
from shared.tables.appeals_replies import Reply
from shared.tables.ingest import Message


def received_after(reply: Reply) -> ColumnElement[bool]:
    """Return the SQL condition of messages of the appeal that were received after a reply written here was
    submitted. Both times are the database's, read while the appeal is locked, so clocks of different machines are
    never compared.
    """
    return AppealMessage.created_at > (reply.submitted_at or reply.created_at)


async def first_waiting(
    session: AsyncSession, appeal: Appeal, is_later: ColumnElement[bool]
) -> Row[Message, str, str] | None:
    """Return the first later message of the appeal that awaits a reply, with its need for an answer and its
    language. A message that certainly needs an answer takes precedence over one that a person has to review.
    """
    rows = await session.execute(
        select(Message, Classification.needs_answer, Classification.language)
        .join(AppealMessage, AppealMessage.message_id == Message.id)
        .join(Classification, Classification.message_id == Message.id)
        .options(WITHOUT_RAW_PAYLOAD)
        .where(
            AppealMessage.appeal_id == appeal.id,
            is_later,
            Classification.needs_answer != "no",
            Message.deleted_at.is_(None),
        )
        .order_by(
            Classification.needs_answer != "yes", Message.written_at, func.length(Message.external_id), Message.id
        )
        .limit(1)
    )
    return rows.first()


async def after_last_reply(session: AsyncSession, appeal: Appeal) -> ColumnElement[bool]:
    """Return the SQL condition of messages of the appeal that its last public reply does not answer: those that
    its author could not have seen. Without a public reply it is true for all of them.
    """
    last = await session.scalar(
        select(Reply)
        .where(Reply.appeal_id == appeal.id, Reply.status == "published")
        .order_by(Reply.published_at.desc(), Reply.id.desc())
        .limit(1)
    )
    if last is None:
        return true()
    return received_after(last) if last.origin == "gospablik" else Message.written_at > last.published_at


async def is_after_last_reply(session: AsyncSession, appeal: Appeal, message_id: UUID) -> bool:
    """Return whether the appeal's last public reply does not answer this message."""
    found = await session.scalar(
        select(Message.id)
        .join(AppealMessage, AppealMessage.message_id == Message.id)
        .where(
            AppealMessage.appeal_id == appeal.id,
            Message.id == message_id,
            await after_last_reply(session, appeal),
        )
    )
    return found is not None


async def await_next_message(
    session: WriteSession,
    appeal: Appeal,
    sla: SlaContext,
    actor: str,
    *,
    former: UUID | None,
    former_may_ask: bool = False,
) -> bool:
    """Let the clocks that count from the message `former` count from the first message after the last reply that
    needs an answer; return whether there is one. `former_may_ask`: this may be `former` itself, if its
    classification says so. Call it if the appeal awaits a reply to `former`, which needs none for the reason that
    it got a clock, or does not belong to the appeal.
    """
    is_later = await after_last_reply(session, appeal)
    if former is not None and former_may_ask:
        is_later &= or_(Message.id != former, Classification.needs_answer == "yes")
    elif former is not None:
        is_later &= Message.id != former
    row = await first_waiting(session, appeal, is_later)
    if row is None:
        return False
    message = row[0]
    clocks.await_reply_to_other(
        appeal,
        sla,
        actor,
        message_id=message.id,
        written_at=message.written_at,
        received_at=message.received_at,
    )
    return True
