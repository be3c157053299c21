"""Index the people named in messages that former releases stored, and erase those of them who were erased.

A message that cannot be read, such as one with a payload of another type, does not stop the others: it is recorded
in the index under `UNREADABLE` and read again in every run. Erasures of people whom it may name wait for it.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, func, select, update

from services.ingest.erasure.copies import erase_deliveries, erase_quotations
from services.ingest.erasure.named_rows import erase_people
from services.ingest.erasure.reply_links import erase_reply_links
from services.ingest.intake.named_people import UNREADABLE, index_digest, index_messages
from services.ingest.intake.words_of_others import Content
from services.ingest.pseudonymisation.erased_digests import author_digest, conversation_digest
from services.ingest.pseudonymisation.people_in_payloads import digests_of_number, people_in
from shared import clock
from shared.contracts.erasures import ERASED_TEXT
from shared.database.id_conditions import is_one_of
from shared.database.outages import is_outage
from shared.database.sessions import WriteSession, driver_connection
from shared.ids import new_id
from shared.logs import get_logger
from shared.service import Service
from shared.tables.ingest import Message, MessageVersion
from shared.tables.ingest_erasure import ErasedKey, NamedPerson, UnindexedMessages

log = get_logger(__name__)

BATCH = 1_000
# Longer than a transaction of intake.
SETTLED_AFTER = timedelta(minutes=1)


async def index_older_messages(service: Service, *, is_alone: bool) -> int:
    """Index the messages that are left, in batches; return how many need not be read again.

    `is_alone`: no process of a former release stores messages any more. Until then the next run reads the last
    messages again, because messages with smaller ids may still be stored.
    """
    await _read_again(service)
    read = 0
    while True:
        settled_before = None if is_alone else clock.now() - SETTLED_AFTER
        async with service.database.write() as session:
            after = await session.scalar(select(UnindexedMessages.after).with_for_update(skip_locked=True))
            if after is None:  # complete, or another worker has locked the row
                return read
            batch = await _index_next(session, after, settled_before)
        # Before the position is stored: after a kill, the batch is read again.
        await _erase_people(service, batch)
        for message_id, error in batch.unreadable.items():
            log.error("message of a former release cannot be read", message_id=str(message_id), error=error)
        async with service.database.write() as session:
            if not batch.read and is_alone:
                await session.execute(delete(UnindexedMessages))
            if batch.settled:
                last = batch.settled[-1]
                await session.execute(
                    update(UnindexedMessages).where(UnindexedMessages.after < last).values(after=last)
                )
        read += len(batch.settled)
        if not batch.read or len(batch.settled) < batch.read:
            return read


async def _read_again(service: Service) -> None:
    """Index the messages that could not be read before, and can be now: their payloads or the reader changed."""
    async with service.database.write() as session:
        unreadable = await session.scalars(
            select(NamedPerson.message_id)
            .where(NamedPerson.digest == UNREADABLE)
            # If there are more than one batch, all get their turn.
            .order_by(func.random())
            .limit(BATCH)
            .with_for_update(skip_locked=True)
        )
        ids = unreadable.all()
        if not ids:
            return
        batch = await _index_readable(session, ids)
    await _erase_people(service, batch)
    # After the copies are erased: after a kill, the messages are read again.
    async with service.database.write() as session:
        is_read = [one for one in ids if one not in batch.unreadable and one not in batch.postponed]
        await session.execute(
            delete(NamedPerson).where(NamedPerson.digest == UNREADABLE, is_one_of(NamedPerson.message_id, is_read))
        )


async def _erase_people(service: Service, batch: "_Batch") -> None:
    """Erase the erased people of a batch in its messages, and in the copies that other services have.

    Links in our replies come first: the messages name the people until appeals has removed them, so that after a
    kill the next run finds both again.
    """
    await erase_quotations(service, [], batch.replies)
    rewritten: list[UUID] = []
    async with service.database.write() as session:
        for message_id, erased in batch.erased.items():
            try:
                async with session.begin_nested():
                    names, _ = await erase_people(session, [message_id], erased)
            except Exception as error:  # of any type, since payloads of former releases may have any
                if is_outage(error):
                    raise
                batch.unreadable[message_id] = _reason(error)
                continue
            rewritten += names.rewritten
        await index_messages(await driver_connection(session), {(UNREADABLE, one) for one in batch.unreadable})
    left_out = batch.unreadable.keys() | batch.postponed | set(rewritten)
    rewritten += [one for one in batch.rewritten if one not in left_out]
    appeal_ids = await erase_quotations(service, rewritten, {})
    await erase_deliveries(service, [*rewritten, *appeal_ids], str(new_id()))


def _reason(error: Exception) -> str:
    """Return why a message cannot be read, without the message of the error: it may have words of the payload."""
    return type(error).__name__


@dataclass
class _Batch:
    """Messages that were indexed: how many, and those that need not be read again.

    `erased`: messages that name erased people, and until when these are erased, by number. `rewritten`: those that
    lost words before, maybe in a run that was stopped before it commanded the other services. `replies`: our
    replies that lose links to people, with the numbers of these, by reply id. `postponed`: messages that are such
    replies and are being changed. `unreadable`: messages that could not be read, with the errors.
    """

    read: int = 0
    settled: list[UUID] = field(default_factory=list)
    erased: dict[UUID, dict[str, datetime]] = field(default_factory=dict)
    rewritten: list[UUID] = field(default_factory=list)
    replies: dict[UUID, set[str]] = field(default_factory=lambda: defaultdict(set))
    postponed: set[UUID] = field(default_factory=set)
    unreadable: dict[UUID, str] = field(default_factory=dict)


async def _index_next(session: WriteSession, after: UUID, settled_before: datetime | None) -> _Batch:
    """Index the next messages, and find the erased people in them. The first message that was received at
    `settled_before` or later, and all after it, are not settled; nor are a reply of ours that is being changed,
    and all after it.
    """
    found = await session.execute(
        select(Message.id, Message.received_at).where(Message.id > after).order_by(Message.id).limit(BATCH)
    )
    messages = found.all()
    batch = await _index_readable(session, [row.id for row in messages])
    settled = takewhile(
        lambda row: row.id not in batch.postponed and (settled_before is None or row.received_at < settled_before),
        messages,
    )
    batch.read, batch.settled = len(messages), [row.id for row in settled]
    # The others are read again: they are then commanded once, not in every run.
    batch.rewritten = [one for one in batch.rewritten if one in set(batch.settled)]
    return batch


async def _index_readable(session: WriteSession, ids: Sequence[UUID]) -> _Batch:
    """Index these messages; if some cannot be read, the others."""
    try:
        async with session.begin_nested():
            return await _index(session, ids)
    except Exception as error:  # of any type, since payloads of former releases may have any
        if is_outage(error):
            raise
        if len(ids) == 1:
            return _Batch(unreadable={ids[0]: _reason(error)})
    batch = _Batch()
    for one in ids:
        alone = await _index_readable(session, [one])
        batch.erased |= alone.erased
        batch.rewritten += alone.rewritten
        batch.postponed |= alone.postponed
        batch.unreadable |= alone.unreadable
        for reply_id, people in alone.replies.items():
            batch.replies[reply_id] |= people
    return batch


async def _index(session: WriteSession, ids: Sequence[UUID]) -> _Batch:
    rows = await session.execute(
        select(
            Message.id,
            Message.network,
            Message.kind,
            Message.thread_key,
            Message.author_key,
            Message.text,
            Message.raw,
            Message.received_at,
        )
        .where(is_one_of(Message.id, ids))
        .order_by(Message.id)
    )
    messages = rows.all()
    former = await session.execute(
        select(MessageVersion.message_id, MessageVersion.text, MessageVersion.raw).where(
            is_one_of(MessageVersion.message_id, ids)
        )
    )
    contents: dict[UUID, list[Content]] = defaultdict(list)
    for row in messages:
        contents[row.id].append(Content(row.text, (), row.raw))
    for version in former.all():
        contents[version.message_id].append(Content(version.text, (), version.raw))
    named = {row.id: _others_named(row, contents[row.id]) for row in messages}
    await index_messages(
        await driver_connection(session),
        {(index_digest(row.network, number), row.id) for row in messages for number in named[row.id].values()},
    )
    with_erased = await _with_erased_people(session, messages, named)
    batch = _Batch(rewritten=[row.id for row in messages if ERASED_TEXT in row.text])
    for row, erased in with_erased:
        links = await erase_reply_links(session, [row.id], erased)
        batch.postponed |= links.postponed
        for reply_id, people in links.people.items():
            batch.replies[reply_id] |= people
    # Without the link, a reply that is being changed would not be found in the next run.
    batch.erased = {row.id: erased for row, erased in with_erased if row.id not in batch.postponed}
    return batch


def _others_named(message: Row[Any], contents: Sequence[Content]) -> dict[str, str]:
    """Return the numbers, by digest, of the people whom a message names, except its author."""
    numbers = people_in([content.named for content in contents])
    pairs = {number: digests_of_number(message.network, number) for number in numbers}
    author = None if message.author_key is None else author_digest(message.author_key)
    return {digest: number for number, pair in pairs.items() if author not in pair for digest in pair}


async def _with_erased_people(
    session: WriteSession, messages: Sequence[Row[Any]], named: Mapping[UUID, Mapping[str, str]]
) -> list[tuple[Row[Any], dict[str, datetime]]]:
    """Return the messages that name erased people, and until when these are erased, by number.

    Messages in an erased person's own conversation are left out: the erasure itself erases the older ones, and
    what was written there since stays whole.
    """
    conversations = {row.id: conversation_digest(row.thread_key) for row in messages if row.kind == "message"}
    digests = {digest for people in named.values() for digest in people} | set(conversations.values())
    rows = await session.execute(
        select(ErasedKey.digest, ErasedKey.until).where(ErasedKey.digest.in_(sorted(digests)))
    )
    until = {row.digest: row.until for row in rows}
    found = []
    for row in messages:
        erased = {number: until[digest] for digest, number in named[row.id].items() if digest in until}
        if erased and conversations.get(row.id) not in until:
            found.append((row, erased))
    return found
