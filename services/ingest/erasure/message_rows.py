"""Erase the messages of a person. The rows stay, without texts and ids, so that no message is stored twice."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, or_, select, union, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer, load_only

from services.ingest.erasure.subject import Subject
from services.ingest.intake.answers_to_erased import (
    delete_versions,
    erase_words,
    read_answers_to,
    unread_answers_to,
)
from services.ingest.pseudonymisation.erased_digests import PREFIX, erased_external_id
from shared import clock
from shared.database.id_conditions import is_one_of
from shared.database.sessions import WriteSession
from shared.ids import new_id
from shared.tables.appeals import Appeal
from shared.tables.appeals_replies import Reply
from shared.tables.ingest import Message, Publication
from shared.tables.ingest_erasure import Erasure

BATCH = 500
# The columns that are emptied in every erased message.
_WORDS: Mapping[str, Any] = {"text": "", "attachments": [], "raw": {}}

Counts = dict[str, int]


async def erase_own_messages(session: WriteSession, erasure: Erasure, subject: Subject) -> Counts | None:
    """Erase the next messages of the person; return the counts of erased rows, or None if none are left."""
    # A page's own messages are official, whatever key an earlier version gave them.
    own = (Message.author_key == subject.author_key) & ~Message.from_community
    return await _erase_next(session, own, erasure, subject, author_key=erasure.pseudonym)


async def erase_conversations(session: WriteSession, erasure: Erasure, subject: Subject) -> Counts | None:
    """Erase the next messages of the page's staff in conversations with the person; return counts, or None."""
    return await _erase_next(session, Message.thread_key.in_(subject.threads), erasure, subject)


async def _erase_next(
    session: WriteSession, condition: ColumnElement[bool], erasure: Erasure, subject: Subject, **changes: Any
) -> Counts | None:
    messages = list(
        await session.scalars(
            select(Message)
            .options(load_only(Message.kind, Message.network, Message.external_id, Message.thread_key,
                               Message.reply_to, Message.url), defer(Message.raw))
            .where(condition, Message.written_at <= erasure.until)
            .order_by(Message.id)
            .limit(BATCH)
            .with_for_update()
        )
    )  # fmt: skip
    if not messages:
        return None
    await _erase_messages(session, subject, messages, changes)
    versions = await delete_versions(session, [message.id for message in messages])
    return {"messages": len(messages), "message_versions": versions}


async def erase_direct_message(session: WriteSession, subject: Subject, network: str, external_id: str) -> None:
    """Erase the message, if stored, of a direct reply that was being published when the erasure was requested."""
    found = await session.scalars(
        select(Message)
        .where(Message.network == network, Message.kind == "message", Message.external_id == external_id)
        .with_for_update()
    )
    messages = found.all()
    await _erase_messages(session, subject, messages, {})
    await delete_versions(session, [message.id for message in messages])


async def _erase_messages(
    session: WriteSession, subject: Subject, messages: Sequence[Message], changes: Mapping[str, Any]
) -> None:
    threads = subject.replaced_threads
    taken = await _taken_ids(session, [one for one in messages if one.thread_key in threads])
    alike: list[UUID] = []
    for message in messages:
        values = {**_WORDS, **changes}
        if message.kind == "message" and message.thread_key in threads:
            digest = erased_external_id(message.network, message.external_id)
            values |= {
                "external_id": f"{PREFIX}{new_id().hex}" if (message.network, digest) in taken else digest,
                "thread_key": threads[message.thread_key],
                "reply_to": message.reply_to and erased_external_id(message.network, message.reply_to),
                "url": "",
            }
        elif subject.native_id is not None and subject.native_id in message.url:
            values["url"] = ""
        else:
            alike.append(message.id)
            continue
        await session.execute(_erase(Message.id == message.id, values))
    if alike:
        await session.execute(_erase(is_one_of(Message.id, alike), {**_WORDS, **changes}))


async def _taken_ids(session: WriteSession, messages: Sequence[Message]) -> set[tuple[str, str]]:
    """Return the (network, erased id) pairs of these messages that other rows already have: a pair is unique."""
    ids = {(one.network, erased_external_id(one.network, one.external_id)) for one in messages}
    rows = await session.execute(
        select(Message.network, Message.external_id).where(
            Message.kind == "message",
            Message.id.not_in([one.id for one in messages]),
            Message.external_id.in_({external_id for _, external_id in ids}),
            Message.network.in_({network for network, _ in ids}),
        )
    )
    return {(row.network, row.external_id) for row in rows}


def _erase(condition: ColumnElement[bool], values: Mapping[str, Any]) -> Any:
    return (
        update(Message)
        .where(condition)
        .values(**values, erased_at=clock.now(), version=Message.version + 1)
        .execution_options(synchronize_session=False)
    )


async def erase_public_replies(session: WriteSession, erasure: Erasure, appeal_ids: Sequence[UUID]) -> Counts:
    """Erase the texts of the page's replies to the person in public threads: they address the person.

    They are found through the replies of these appeals, through the person's comments that they answer, and
    through the person's posts: a comment of the page that replies to no other comment answers the post, unless it
    was written after the time until which the person is erased, or is known to answer another person's appeal.
    Those of `count_unread_replies` wait.
    """
    replies = select(Reply.id, Reply.message_id).where(is_one_of(Reply.appeal_id, appeal_ids)).subquery()
    published = (
        select(Publication.network, Publication.kind, Publication.external_id)
        .where(Publication.reply_id.in_(select(replies.c.id)), Publication.kind == "comment")
        .subquery()
    )
    ours = select(Message.id).join(
        published,
        (Message.network == published.c.network)
        & (Message.kind == published.c.kind)
        & (Message.external_id == published.c.external_id),
    )
    by_hand = select(replies.c.message_id).where(replies.c.message_id.is_not(None))
    # A union, not OR: each part is read by its index.
    found = list(
        await session.scalars(
            select(Message.id)
            .where(
                Message.id.in_(union(ours, read_answers_to(erasure.pseudonym, erasure.until), by_hand)),
                Message.from_community,
                Message.erased_at.is_(None),
            )
            .order_by(Message.id)
            .with_for_update()
        )
    )
    if not found:
        return {}
    return {"replies_in_network": len(found), "message_versions": await erase_words(session, found)}


async def count_unread_replies(session: AsyncSession, erasure: Erasure) -> int:
    """Return how many comments under the person's posts appeals must read before they can be erased or kept."""
    unread = unread_answers_to(erasure.pseudonym, erasure.until).subquery()
    return await session.scalar(select(func.count()).select_from(unread)) or 0


async def erased_ids(session: AsyncSession, erasure: Erasure, subject: Subject) -> list[UUID]:
    """Return the ids of the person's erased messages, and of all messages of the erased conversations."""
    condition = or_(
        Message.author_key == erasure.pseudonym, Message.thread_key.in_(subject.replaced_threads.values())
    )
    return list(await session.scalars(select(Message.id).where(condition, Message.erased_at.is_not(None))))


async def erased_appeal_ids(session: AsyncSession, erasure: Erasure) -> list[UUID]:
    """Return the ids of the person's appeals, whose author key is already the pseudonym."""
    return list(await session.scalars(select(Appeal.id).where(Appeal.author_key == erasure.pseudonym)))
