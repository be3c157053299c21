"""Erase a person in other people's messages: forwarded words, links, and payloads that name the person."""

from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Text, Update, cast, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.ingest.erasure.message_rows import BATCH, Counts
from services.ingest.erasure.subject import Subject
from services.ingest.intake.named_people import UNREADABLE, index_digest
from services.ingest.intake.words_of_others import Content, people_to_unlink
from services.ingest.pseudonymisation.people_in_payloads import number_of, people_in
from shared.contracts.erasures import ERASED_TEXT
from shared.database.id_conditions import is_one_of
from shared.database.sessions import WriteSession
from shared.tables.ingest import Message, MessageVersion
from shared.tables.ingest_erasure import Erasure, NamedPerson, UnindexedMessages


@dataclass(frozen=True)
class ErasedNames:
    """Messages of others after an erasure.

    `rewritten`: those that lost some of their text, also in an earlier run. `naming`: those that still name an
    erased person, who has written again: the next erasure of this person must find them.
    """

    rewritten: Sequence[UUID]
    naming: Set[UUID]


async def messages_naming(session: AsyncSession, subject: Subject, after: UUID) -> Sequence[UUID]:
    """Return the next messages of others, by id, that name the person. Reads one range of an index."""
    found = await session.scalars(
        select(NamedPerson.message_id)
        .where(NamedPerson.digest == _digest(subject), NamedPerson.message_id > after)
        .order_by(NamedPerson.message_id)
        .limit(BATCH)
    )
    return found.all()


async def forget_naming(session: WriteSession, subject: Subject, message_ids: Sequence[UUID]) -> None:
    """Remove the person, whom these messages no longer name, from the index."""
    await session.execute(
        delete(NamedPerson).where(
            NamedPerson.digest == _digest(subject), is_one_of(NamedPerson.message_id, message_ids)
        )
    )


async def is_index_complete(session: AsyncSession) -> bool:
    """Return whether all messages that former releases stored are in the index of named people."""
    return await session.scalar(select(UnindexedMessages.after)) is None


async def unreadable_naming(session: AsyncSession, subject: Subject) -> Sequence[UUID]:
    """Return the messages of others that could not be read and contain the person's number. Reads few rows."""
    if subject.native_id is None:
        return ()
    number = number_of(subject.native_id)

    def naming(table: type[Message | MessageVersion]) -> ColumnElement[bool]:
        return or_(func.strpos(table.text, number) > 0, func.strpos(cast(table.raw, Text), number) > 0)

    former = select(MessageVersion.message_id).where(
        MessageVersion.message_id == Message.id, naming(MessageVersion)
    )
    found = await session.scalars(
        select(Message.id)
        .join(NamedPerson, NamedPerson.message_id == Message.id)
        .where(
            NamedPerson.digest == UNREADABLE,
            Message.network == subject.network,
            Message.erased_at.is_(None),
            Message.author_key.is_distinct_from(subject.author_key),
            or_(naming(Message), former.exists()),
        )
        .order_by(Message.id)
    )
    return found.all()


def _digest(subject: Subject) -> str:
    assert subject.network is not None
    assert subject.native_id is not None
    return index_digest(subject.network, number_of(subject.native_id))


async def erase_in_messages_of_others(
    session: WriteSession, erasure: Erasure, subject: Subject, message_ids: Sequence[UUID]
) -> tuple[ErasedNames, Counts]:
    """Erase the person in these messages.

    What the person wrote after `erasure.until` stays whole, and so do later messages in the person's own
    conversation.
    """
    assert subject.native_id is not None
    since = select(Message.id).where(
        is_one_of(Message.id, message_ids),
        (Message.author_key == subject.author_key) | Message.thread_key.in_(subject.threads),
    )
    skipped = set(await session.scalars(since))
    ids = [message_id for message_id in message_ids if message_id not in skipped]
    names, counts = await erase_people(session, ids, {number_of(subject.native_id): erasure.until})
    return ErasedNames(names.rewritten, names.naming | skipped), counts


async def erase_people(
    session: WriteSession, message_ids: Sequence[UUID], erased: Mapping[str, datetime]
) -> tuple[ErasedNames, Counts]:
    """Erase these people in messages of others. `erased`: until when each is erased, by number."""
    messages = await session.execute(
        select(
            Message.id, Message.text, Message.attachments, Message.raw, Message.from_community, Message.written_at
        )
        .where(is_one_of(Message.id, message_ids), Message.erased_at.is_(None))
        # In the order of the intake, to avoid deadlocks.
        .order_by(Message.network, Message.kind, Message.external_id)
        # FOR NO KEY UPDATE: intake inserts rows with foreign keys to messages, in another order.
        .with_for_update(key_share=True)
    )
    rewritten, payloads = [], 0
    naming: set[UUID] = set()
    unlinked: dict[UUID, set[str]] = {}
    for row in messages.all():
        unlinked[row.id] = people_to_unlink(erased, from_community=row.from_community, written_at=row.written_at)
        before = Content(row.text, row.attachments, row.raw)
        after = _without(before, erased, unlinked[row.id])
        if not people_in(after.named).isdisjoint(erased):
            naming.add(row.id)
        if after != before:
            payloads += 1
            await _store(session, update(Message).where(Message.id == row.id), after)
        # Also those of an earlier run that was stopped before it commanded the other services.
        if after.text != before.text or ERASED_TEXT in before.text:
            rewritten.append(row.id)
    former = await session.execute(
        select(
            MessageVersion.message_id,
            MessageVersion.version,
            MessageVersion.text,
            MessageVersion.attachments,
            MessageVersion.raw,
        ).where(is_one_of(MessageVersion.message_id, list(unlinked)))
    )
    for version in former.all():
        before = Content(version.text, version.attachments, version.raw)
        after = _without(before, erased, unlinked[version.message_id])
        if not people_in(after.named).isdisjoint(erased):
            naming.add(version.message_id)
        if after != before:
            payloads += 1
            of_version = update(MessageVersion).where(
                MessageVersion.message_id == version.message_id, MessageVersion.version == version.version
            )
            await _store(session, of_version, after)
    return ErasedNames(rewritten, naming), {"payloads_of_others": payloads} if payloads else {}


def _without(content: Content, erased: Mapping[str, datetime], unlinked: Collection[str]) -> Content:
    if people_in(content.named).isdisjoint(erased):
        return content
    return content.without_people(erased, unlinked)


async def _store(session: WriteSession, row: Update, content: Content) -> None:
    values = row.values(text=content.text, attachments=content.attachments, raw=content.raw)
    await session.execute(values.execution_options(synchronize_session=False))
