"""Queries of replies, and of the messages that they answer."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, bindparam, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.assignees.directory import ActorNames
from services.appeals.lifecycle.message_queries import select_messages
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict, Invalid, NotFound
from shared.reply_lock import lock_replies
from shared.tables.appeals import Appeal, AppealMessage
from shared.tables.appeals_classification import Classification
from shared.tables.appeals_feedback import FeedbackRound
from shared.tables.appeals_replies import PENDING_REPLY_STATUSES, REPLY_STATUSES_UNDER_WAY, Reply
from shared.tables.ingest import Message, Publication

# Built once: building the statement takes longer than executing it.
_REPLIES = (
    select(Reply)
    .where(Reply.appeal_id == bindparam("appeal_id"), Reply.status != "discarded")
    .order_by(Reply.created_at, Reply.id)
)


async def target_message(session: AsyncSession, appeal: Appeal, wanted: UUID | None = None) -> Message:
    """Return the message that a reply answers, as `find_target_message` finds it. Raises `Conflict` if there is
    none.
    """
    message = await find_target_message(session, appeal, wanted)
    if message is None:
        raise Conflict(
            "The appeal has no message in a network, so there is no thread to publish a reply in: answer the "
            "citizen in another way, and record the answer with POST …/recorded-answers"
        )
    return message


async def find_target_message(session: AsyncSession, appeal: Appeal, wanted: UUID | None = None) -> Message | None:
    """Return the message that a reply answers: the given message, else the latest that needs an answer, else the
    latest; None if the appeal has no message in a network. Deleted messages come last. Raises `Invalid` if the
    given message is not in the appeal.
    """
    query = (
        select_messages()
        .join(AppealMessage, AppealMessage.message_id == Message.id)
        .outerjoin(Classification, Classification.message_id == Message.id)
        .where(AppealMessage.appeal_id == appeal.id)
        .order_by(
            Message.deleted_at.is_not(None),
            func.coalesce(Classification.needs_answer, "no") == "no",
            Message.written_at.desc(),
            Message.id.desc(),
        )
        .limit(1)
    )
    if wanted is not None:
        query = query.where(Message.id == wanted)
    message = await session.scalar(query)
    if message is None and wanted is not None:
        raise Invalid.field("/message_id", "No such message in this appeal")
    return message


async def find_message(session: AsyncSession, message_id: UUID | None) -> Message | None:
    """Return the message with this id, or None."""
    return await session.scalar(select_messages().where(Message.id == message_id))


async def replies_of(session: AsyncSession, appeal_id: UUID) -> Sequence[Reply]:
    """Return the replies of an appeal, oldest first, without discarded drafts."""
    return list(await session.scalars(_REPLIES, {"appeal_id": appeal_id}))


async def get_reply(session: WriteSession, appeal: Appeal, reply_id: UUID) -> Reply:
    """Return the current state of a reply of the locked appeal. Raises `NotFound` also for a discarded reply."""
    reply = await session.scalar(
        select(Reply)
        .where(Reply.id == reply_id, Reply.appeal_id == appeal.id, Reply.status != "discarded")
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if reply is None:
        raise NotFound("No such reply")
    return reply


async def require_reply(session: AsyncSession, appeal_id: UUID, reply_id: UUID) -> None:
    """Raise `NotFound` unless the appeal has the reply. A discarded reply counts too."""
    query = select(Reply.id).where(Reply.id == reply_id, Reply.appeal_id == appeal_id)
    if await session.scalar(query) is None:
        raise NotFound("No such reply")


async def is_latest_published(session: AsyncSession, reply: Reply) -> bool:
    """Return whether no other reply that is still public was published to the appeal after this one."""
    later = exists().where(
        Reply.appeal_id == reply.appeal_id,
        Reply.status == "published",
        Reply.published_at > reply.published_at,
        Reply.id != reply.id,
    )
    return not await session.scalar(select(later))


async def last_outcome(session: AsyncSession, appeal: Appeal) -> str | None:
    """Return the outcome of the last published final answer, or None. A further reply to an answered appeal is not
    an answer, and has no feedback round.
    """
    outcome: str | None = await session.scalar(
        select(Reply.outcome)
        .join(FeedbackRound, FeedbackRound.reply_id == Reply.id)
        .where(Reply.appeal_id == appeal.id, Reply.status == "published")
        .order_by(FeedbackRound.created_at.desc(), FeedbackRound.id.desc())
        .limit(1)
    )
    return outcome


def is_resumed() -> ColumnElement[bool]:
    """Return the SQL condition of failed replies whose publication ingest has restarted, so that they may still be
    published.
    """
    resumed = exists().where(Publication.reply_id == Reply.id, Publication.status.in_(PENDING_REPLY_STATUSES))
    return (Reply.status == "failed") & resumed


async def has_reply_under_way(session: WriteSession, appeal: Appeal) -> bool:
    """Return whether a reply to the locked appeal is being written, approved or published. The appeal's version
    does not show this, because neither a draft nor the restart of a failed reply by ingest changes it.
    """
    await lock_replies(session, appeal.id)
    under_way = exists().where(
        Reply.appeal_id == appeal.id, or_(Reply.status.in_(REPLY_STATUSES_UNDER_WAY), is_resumed())
    )
    return bool(await session.scalar(select(under_way)))


async def has_public_final_reply(session: AsyncSession, appeal: Appeal) -> bool:
    """Return whether the appeal has a published final reply that was not withdrawn."""
    public_final_reply = exists().where(
        Reply.appeal_id == appeal.id, Reply.status == "published", Reply.kind == "final"
    )
    return bool(await session.scalar(select(public_final_reply)))


async def reply_in_problem(session: AsyncSession, reply: Reply) -> dict[str, Any]:
    """Return the reply as the member `reply` of a problem document."""
    names = await ActorNames.load(session, [reply.author])
    return {
        "id": str(reply.id),
        "author": names.ref(reply.author).model_dump(mode="json"),
        "status": reply.status,
        "kind": reply.kind,
        "created_at": reply.created_at.isoformat(),
    }
