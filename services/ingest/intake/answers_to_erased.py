"""The page's public answers to erased people: they address the person, so they lose their words too.

An answer that is collected after the erasure is recognised by the message that it answers. If that message comes
later than its answer, the stored answer is erased then.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg
from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    ScalarSelect,
    Select,
    delete,
    exists,
    func,
    or_,
    select,
    union,
    update,
)

from services.ingest.intake.batches import MessageKey
from services.ingest.networks.port import IncomingItem
from services.ingest.pseudonymisation.erased_digests import author_digest
from shared import clock
from shared.contracts.ingest_events import MessageReceived
from shared.database.id_conditions import is_one_of
from shared.database.sessions import WriteSession
from shared.tables.appeals import Appeal, AppealsConsumerOffset
from shared.tables.appeals_replies import Reply
from shared.tables.common import Event
from shared.tables.ingest import Message, MessageVersion, Publication
from shared.tables.ingest_erasure import Erasure

# The consumer of appeals that reads messages.
MESSAGE_CONSUMER = "appeals"
_FIND = """
SELECT m.network, m.kind, m.external_id, m.author_key, m.written_at, m.erased_at, e.until
FROM unnest($1::text[], $2::text[], $3::text[]) AS u(network, kind, external_id)
JOIN messages m ON (m.network, m.kind, m.external_id) = (u.network, u.kind, u.external_id)
LEFT JOIN erasures e ON e.pseudonym = m.author_key
WHERE NOT m.from_community AND m.author_key IS NOT NULL
"""


@dataclass(frozen=True, slots=True)
class AnsweredMessage:
    """A stored message of a citizen. `erased_until`: until when its author is erased; None while it is not erased.

    `digest`: identifies its author while the message is not erased yet.
    """

    digest: str | None
    written_at: datetime
    erased_until: datetime | None

    def until(self, erased: Mapping[str, datetime]) -> datetime | None:
        """Return until when the author is erased if the message is erased or will be, else None.

        `erased`: until when, by digest.
        """
        if self.digest is None:
            return self.erased_until
        until = erased.get(self.digest)
        return until if until is not None and self.written_at <= until else None


def answered_key(network: str, item: IncomingItem) -> MessageKey | None:
    """Return the key of the message that a public comment of the page answers; None for other items.

    A comment that replies to no other comment answers the post of its thread. In discussions, photos and videos it
    is not known what it answers.
    """
    if not item.from_community or item.kind != "comment" or item.text is None:
        return None
    if item.reply_to is not None:
        return network, "comment", item.reply_to
    return network, "wall_post", item.thread_key.partition(":")[2]


async def find_answered(
    connection: asyncpg.Connection, keys: Iterable[MessageKey]
) -> dict[MessageKey, AnsweredMessage]:
    """Return the stored messages of citizens with these keys."""
    ordered = sorted(set(keys))
    if not ordered:
        return {}
    rows = await connection.fetch(_FIND, *(list(column) for column in zip(*ordered, strict=True)))
    return {
        (row["network"], row["kind"], row["external_id"]): AnsweredMessage(
            author_digest(row["author_key"]) if row["erased_at"] is None else None, row["written_at"], row["until"]
        )
        for row in rows
    }


def answers_to(pseudonym: str, until: datetime | ScalarSelect[datetime]) -> CompoundSelect[UUID]:
    """Return the query of the public comments that answer the erased messages with this pseudonym.

    A comment that replies to no other comment answers the post of its thread, unless it was written after the time
    until which the person is erased, or is known to answer another person's appeal.
    """
    return union(_replies_to(pseudonym), _under_posts_of(pseudonym, until))


def read_answers_to(pseudonym: str, until: datetime) -> CompoundSelect[UUID]:
    """Return the query of `answers_to` without `unread_answers_to`."""
    return union(_replies_to(pseudonym), _under_posts_of(pseudonym, until).where(~_is_unread()))


def unread_answers_to(pseudonym: str, until: datetime) -> Select[UUID]:
    """Return the query of the page's comments under posts of the person that appeals has not read yet: they may
    answer another person.
    """
    under_posts = _under_posts_of(pseudonym, until)
    return under_posts.where(Message.from_community, Message.erased_at.is_(None), _is_unread())


def _replies_to(pseudonym: str) -> Select[UUID]:
    own_ids = select(Message.external_id).where(Message.author_key == pseudonym, Message.kind == "comment")
    own_threads = select(Message.thread_key).where(Message.author_key == pseudonym, Message.kind != "message")
    return select(Message.id).where(
        Message.thread_key.in_(own_threads), Message.kind == "comment", Message.reply_to.in_(own_ids)
    )


def _under_posts_of(pseudonym: str, until: datetime | ScalarSelect[datetime]) -> Select[UUID]:
    own_posts = select(Message.thread_key).where(Message.author_key == pseudonym, Message.kind == "wall_post")
    return select(Message.id).where(
        Message.thread_key.in_(own_posts),
        Message.kind == "comment",
        Message.reply_to.is_(None),
        Message.written_at <= until,
        ~_answers_another_person(pseudonym),
    )


def _is_unread() -> ColumnElement[bool]:
    """Return the condition that the consumer of appeals, which finds what a message answers, has not read it."""
    reached = (
        select(AppealsConsumerOffset.position)
        .where(AppealsConsumerOffset.consumer == MESSAGE_CONSUMER)
        .scalar_subquery()
    )
    ahead = or_(Event.position.is_(None), Event.position > func.coalesce(reached, 0))
    return exists().where(Event.subject_id == Message.id, Event.type == MessageReceived.event_type, ahead)


def _answers_another_person(pseudonym: str) -> ColumnElement[bool]:
    """Return the condition that a message is known to answer another person's appeal."""
    of_others = select(Reply.id).join(
        Appeal, (Appeal.id == Reply.appeal_id) & Appeal.author_key.is_distinct_from(pseudonym)
    )
    ours = of_others.join(Publication, Publication.reply_id == Reply.id).where(
        Publication.id == Message.publication_id
    )
    return or_(ours.exists(), of_others.where(Reply.message_id == Message.id).exists())


async def erase_words(session: WriteSession, message_ids: Sequence[UUID]) -> int:
    """Erase the words of these messages, which stay as rows; return how many former versions are deleted."""
    await session.execute(
        update(Message)
        .where(is_one_of(Message.id, message_ids))
        .values(text="", attachments=[], raw={}, erased_at=clock.now(), version=Message.version + 1)
        .execution_options(synchronize_session=False)
    )
    return await delete_versions(session, message_ids)


async def delete_versions(session: WriteSession, message_ids: Sequence[UUID]) -> int:
    """Delete the former versions of these messages; return how many."""
    gone = await session.scalars(
        delete(MessageVersion)
        .where(is_one_of(MessageVersion.message_id, message_ids))
        .returning(MessageVersion.version)
    )
    return len(gone.all())


async def erase_stored_answers(session: WriteSession, pseudonyms: Collection[str]) -> None:
    """Erase the stored answers, written until the erasure, to messages that came after the erasure."""
    for pseudonym in sorted(pseudonyms):
        until = select(Erasure.until).where(Erasure.pseudonym == pseudonym).scalar_subquery()
        found = await session.scalars(
            select(Message.id)
            .where(
                Message.id.in_(answers_to(pseudonym, until)),
                Message.from_community,
                Message.erased_at.is_(None),
                Message.written_at <= until,
            )
            .order_by(Message.id)
            .with_for_update()
        )
        ids = found.all()
        if ids:
            await erase_words(session, ids)
