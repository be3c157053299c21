"""Messages of an appeal that await a reply, and the clocks that count from one of them. Callers must have locked
the row of the appeal.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, String, and_, cast, exists, func, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.classification.types import AUTOMATIC_PREFIXES
from services.appeals.lifecycle.clock_pauses import record_resumed
from services.appeals.lifecycle.message_queries import WITHOUT_RAW_PAYLOAD
from services.appeals.lifecycle.timeline import AppealRecorder
from services.appeals.sla import clocks
from services.appeals.sla.sla_context import SlaContext
from shared.database.sessions import WriteSession
from shared.tables.appeals import Appeal, AppealMessage, TimelineEntry
from shared.tables.appeals_classification import Classification
from shared.tables.appeals_feedback import FeedbackRound
from shared.tables.appeals_replies import Reply
from shared.tables.ingest import Message

# Kinds of feedback on an answer that await no reply.
ASKS_NOTHING: Final = ("thanks", "mark")
_ENDS_PAUSE: Final = "Ответа ждёт следующее сообщение гражданина"
_READ_AS: Final = ("message_added", "feedback_received", "feedback_corrected")


@dataclass(frozen=True)
class WaitingMessage:
    """A message that awaits a reply. `asked_at`: when an edit made it ask; None if it asked from the beginning."""

    message: Message
    needs_answer: str
    language: str
    asked_at: datetime | None


def received_after(reply: Reply) -> ColumnElement[bool]:
    """Return the SQL condition of messages of the appeal that were received after a reply written here was
    submitted, or needed no answer and were edited since. Both times are the database's, read while the appeal is
    locked, so clocks of different machines are never compared.
    """
    return AppealMessage.received_at() > (reply.submitted_at or reply.created_at)


def written_after(moment: datetime | None) -> ColumnElement[bool]:
    """Return the SQL condition of messages of the appeal that were written after a staff reply of this moment, or
    edited after it into ones that ask. These times are the network's.
    """
    edited = and_(
        Message.edited_at > moment,
        Message.edited_at > Message.received_at,
        AppealMessage.created_at >= Message.edited_at,
    )
    return or_(Message.written_at > moment, edited)


def needs_reply() -> ColumnElement[bool]:
    """Return the SQL condition of messages of appeals (`AppealMessage` with its `Classification`) that may need a
    reply.
    """
    return and_(Classification.needs_answer != "no", ~is_thanks_or_mark())


def is_thanks_or_mark() -> ColumnElement[bool]:
    """Return the SQL condition of messages of appeals (`AppealMessage` with its `Classification`) that thank for
    an answer or give it a mark. They need no reply, whatever the classifier reads in them, unless a person decided
    otherwise, or the citizen edited them since into something else.
    """
    message_id = AppealMessage.message_id
    said_in = TimelineEntry.data["message_id"].astext == cast(message_id, String)
    of_appeal = and_(TimelineEntry.appeal_id == AppealMessage.appeal_id, said_in)
    rounds = exists().where(FeedbackRound.message_id == message_id)
    # Later feedback replaces the earlier one in the round; the timeline keeps both.
    replaced = ~rounds & exists().where(
        of_appeal, TimelineEntry.kind.in_(_READ_AS), TimelineEntry.data["feedback"].astext.in_(ASKS_NOTHING)
    )
    asks_nothing = rounds.where(FeedbackRound.kind.in_(ASKS_NOTHING)) | replaced
    by_person = ~or_(*(Classification.classified_by.startswith(prefix) for prefix in AUTOMATIC_PREFIXES))
    # An edit that left it thanks or a mark has `feedback`.
    edited = exists().where(
        of_appeal, TimelineEntry.kind == "message_edited", TimelineEntry.data["feedback"].astext.is_(None)
    )
    return and_(asks_nothing, ~by_person, ~edited)


async def first_waiting(
    session: AsyncSession, appeal: Appeal, is_later: ColumnElement[bool]
) -> WaitingMessage | None:
    """Return the first later message of the appeal that awaits a reply. A message that certainly needs an answer
    takes precedence over one that a person has to review.
    """
    rows = await session.execute(
        select(Message, Classification.needs_answer, Classification.language, AppealMessage.created_at)
        .join(AppealMessage, AppealMessage.message_id == Message.id)
        .join(Classification, Classification.message_id == Message.id)
        .options(WITHOUT_RAW_PAYLOAD)
        .where(
            AppealMessage.appeal_id == appeal.id,
            is_later,
            needs_reply(),
            Message.deleted_at.is_(None),
        )
        .order_by(
            Classification.needs_answer != "yes", Message.written_at, func.length(Message.external_id), Message.id
        )
        .limit(1)
    )
    found = rows.first()
    if found is None:
        return None
    message, needs_answer, language, received_at = found
    return WaitingMessage(message, needs_answer, language, _asked_at(message, received_at))


async def asked_at(session: AsyncSession, message: Message) -> datetime | None:
    """Return when an edit made a message of an appeal ask; None if it was written so, or belongs to no appeal."""
    received_at = await session.scalar(
        select(AppealMessage.created_at).where(AppealMessage.message_id == message.id)
    )
    return _asked_at(message, received_at) if received_at is not None else None


def _asked_at(message: Message, received_at: datetime) -> datetime | None:
    """Return when an edit made the message ask; None if it was written so. `received_at`: when the appeal got it,
    which such an edit moves.
    """
    edited_at = message.edited_at
    if edited_at is None or not message.received_at < edited_at <= received_at:
        return None
    return edited_at


async def after_last_reply(session: AsyncSession, appeal: Appeal) -> ColumnElement[bool]:
    """Return the SQL condition of messages of the appeal that no public reply answers: those that the authors of
    its replies could not have seen. Without a public reply it is true for all of them. The reply published last
    may be an overtaken one, submitted before the others.
    """
    here = Reply.origin == "gospablik"
    rows = await session.execute(
        select(
            func.max(func.coalesce(Reply.submitted_at, Reply.created_at)).filter(here),
            func.max(Reply.published_at).filter(~here),
        ).where(Reply.appeal_id == appeal.id, Reply.status == "published")
    )
    submitted_at, published_at = rows.one()
    conditions: list[ColumnElement[bool]] = [true()]
    if submitted_at is not None:
        conditions.append(AppealMessage.received_at() > submitted_at)
    if published_at is not None:
        conditions.append(written_after(published_at))
    return and_(*conditions)


async def is_after_last_reply(session: AsyncSession, appeal: Appeal, message_id: UUID) -> bool:
    """Return whether no public reply of the appeal answers this message."""
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
    recorder: AppealRecorder,
    actor: str,
    *,
    former: UUID | None,
    former_may_ask: bool = False,
) -> bool:
    """Let the clocks that count from the message `former` count instead from the first message that was written
    after the last reply and needs an answer, and end a pause; return whether there is such a message.
    `former_may_ask`: this may be `former` itself, if its classification says so. Call it if the appeal awaits a
    reply to `former`, but the reason for its clock no longer holds or it does not belong to the appeal.
    """
    is_later = await after_last_reply(session, appeal)
    if former is not None and former_may_ask:
        is_later &= or_(Message.id != former, Classification.needs_answer == "yes")
    elif former is not None:
        is_later &= Message.id != former
    found = await first_waiting(session, appeal, is_later)
    if found is None:
        return False
    message = found.message
    if clocks.await_reply_to_other(
        appeal,
        sla,
        actor,
        message_id=message.id,
        written_at=found.asked_at or message.written_at,
        received_at=found.asked_at or message.received_at,
        reason=_ENDS_PAUSE,
    ):
        record_resumed(appeal, sla, recorder, actor, _ENDS_PAUSE)
    return True
