"""Recognise old messages of erased people by keyed digests, and store them without texts and names.

A network still has what a person wrote, and every poll, push and backfill may deliver it again. Digests of the
author and of direct conversations identify these messages; messages written after the erasure are stored as usual.
In a direct conversation the network's ids contain the person's id, so digests replace them too: a message that is
delivered again still has the same key, and stays one row. The page's old public answers to an erased person lose
their words as well, and payloads of other people that name an erased person are dropped.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import asyncpg
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.ingest.intake.answers_to_erased import AnsweredMessage, answered_key, find_answered
from services.ingest.intake.batches import BatchItem, IntakeBatch, MessageKey, message_key
from services.ingest.intake.named_people import index_digests
from services.ingest.intake.words_of_others import Content, people_to_unlink
from services.ingest.networks.port import Author, IncomingItem
from services.ingest.pseudonymisation.author_keys import author_key
from services.ingest.pseudonymisation.erased_digests import (
    ERASURE_LOCK,
    author_digest,
    conversation_digest,
    erased_external_id,
    erased_thread_key,
)
from services.ingest.pseudonymisation.found_conversations import (
    FoundConversation,
    is_group_chat,
    remember_conversations,
)
from services.ingest.pseudonymisation.people_in_payloads import digests_of_people
from shared.tables.ingest_erasure import ErasedKey

_FIND = """
SELECT k.digest, k.until, e.pseudonym FROM erased_keys k JOIN erasures e ON e.id = k.erasure_id
WHERE k.digest = ANY($1::text[])
"""
_ERASED_REPLIES = """
SELECT p.network, p.kind, p.external_id
FROM unnest($1::text[], $2::text[], $3::text[]) AS u(network, kind, external_id)
JOIN publications p ON (p.network, p.kind, p.external_id) = (u.network, u.kind, u.external_id)
WHERE p.erased_at IS NOT NULL
"""
_STORED = """
SELECT external_id FROM messages WHERE kind = 'message' AND network = $1 AND external_id = ANY($2::text[])
UNION SELECT external_id FROM publications
WHERE kind = 'message' AND network = $1 AND external_id = ANY($2::text[]) AND erased_at IS NOT NULL
"""


async def replaced_keys(session: AsyncSession, thread_keys: Sequence[str]) -> dict[str, str]:
    """Return replacement keys by thread key, for those threads that are erased direct conversations."""
    digests = {conversation_digest(key): key for key in thread_keys}
    erased = await session.scalars(select(ErasedKey.digest).where(ErasedKey.digest.in_(digests)))
    return {digests[digest]: erased_thread_key(digests[digest]) for digest in erased}


async def without_erased_words(
    connection: asyncpg.Connection, batches: Sequence[IntakeBatch], items: Sequence[BatchItem]
) -> list[BatchItem]:
    """Return the items; those of erased people are marked `erased` and have no texts, names or ids of people.

    Waits while an erasure is being requested.
    """
    networks = [batches[one.batch].page.network for one in items]
    digests = [_digests(network, one.item) for network, one in zip(networks, items, strict=True)]
    named = [_named(network, one.item) for network, one in zip(networks, items, strict=True)]
    answers = [answered_key(network, one.item) for network, one in zip(networks, items, strict=True)]
    if not any(digests) and not any(named) and not any(answers):
        return list(items)
    await connection.execute("SELECT pg_advisory_xact_lock_shared($1)", ERASURE_LOCK)
    answered = await find_answered(connection, [key for key in answers if key is not None])
    known = {digest for names in digests for digest in names.values()}.union(*named)
    known |= {one.digest for one in answered.values() if one.digest is not None}
    rows = await connection.fetch(_FIND, sorted(known))
    until = {row["digest"]: row["until"] for row in rows}
    until |= await remember_conversations(connection, _found_conversations(batches, items, digests, until))
    people = _ErasedPeople(
        until,
        {row["digest"]: row["pseudonym"] for row in rows},
        await _stored_ids(connection, batches, items, digests, until),
        _answered_until(batches, items, digests, until, answered),
        await _erased_replies(connection, networks, items),
    )
    return [
        people.without_words(network, one, names, also_named, answer)
        for network, one, names, also_named, answer in zip(networks, items, digests, named, answers, strict=True)
    ]


async def _erased_replies(
    connection: asyncpg.Connection, networks: Sequence[str], items: Sequence[BatchItem]
) -> set[MessageKey]:
    """Return the keys of those comments of the page that are erased replies of ours, whenever they were written.

    The message of a reply that was being published when the erasure was requested comes after the erasure.
    """
    keys = sorted(
        {
            (network, one.item.kind, one.item.external_id)
            for network, one in zip(networks, items, strict=True)
            if one.item.from_community and one.item.kind == "comment" and one.item.text is not None
        }
    )
    if not keys:
        return set()
    rows = await connection.fetch(_ERASED_REPLIES, *(list(column) for column in zip(*keys, strict=True)))
    return {(row["network"], row["kind"], row["external_id"]) for row in rows}


def _digests(network: str, item: IncomingItem) -> dict[str, str]:
    """Return the digests of the people and the conversation that an item names."""
    people = {"author": item.author, "deleted_by": item.deleted_by}
    found = {name: _person_digest(network, who) for name, who in people.items() if who is not None}
    if item.kind == "message":
        found["conversation"] = conversation_digest(item.thread_key)
    return found


def _named(network: str, item: IncomingItem) -> dict[str, str]:
    """Return the numbers, by digest, of other people whom an item names; none for a deletion."""
    if item.text is None:
        return {}
    author = None if item.author is None else item.author.native_id
    return digests_of_people(network, _content(item).named, author=author)


def _content(item: IncomingItem) -> Content:
    return Content(item.text or "", item.attachments, item.raw)


def _person_digest(network: str, who: Author) -> str:
    return author_digest(author_key(network, who.native_id))


def _found_conversations(
    batches: Sequence[IntakeBatch],
    items: Sequence[BatchItem],
    digests: Sequence[Mapping[str, str]],
    until: Mapping[str, datetime],
) -> list[FoundConversation]:
    """Return conversations of erased people that are not recorded as erased, and whose items nobody else wrote."""
    found: dict[str, FoundConversation] = {}
    writers: dict[str, set[str]] = defaultdict(set)
    for one, names in zip(items, digests, strict=True):
        item, digest = one.item, names.get("conversation")
        if digest is None or digest in until or item.from_community or item.author is None:
            continue
        writers[digest].add(names["author"])
        written_until = until.get(names["author"])
        if written_until is not None and item.written_at <= written_until and not is_group_chat(item.thread_key):
            author = author_key(batches[one.batch].page.network, item.author.native_id)
            found[digest] = FoundConversation(digest, item.thread_key, author, names["author"])
    return [one for digest, one in found.items() if len(writers[digest]) == 1]


async def _stored_ids(
    connection: asyncpg.Connection,
    batches: Sequence[IntakeBatch],
    items: Sequence[BatchItem],
    digests: Sequence[Mapping[str, str]],
    until: Mapping[str, datetime],
) -> set[tuple[str, str]]:
    """Return (network, external id) of those items of erased conversations that are already stored as messages.

    Until the job of the erasure has run, messages still have the network's ids. A reply that was being published
    when the erasure was requested is found by its erased publication.
    """
    wanted: dict[str, set[str]] = {}
    for one, names in zip(items, digests, strict=True):
        if names.get("conversation") in until:
            network = batches[one.batch].page.network
            external_id = one.item.external_id
            wanted.setdefault(network, set()).update((external_id, erased_external_id(network, external_id)))
    found: set[tuple[str, str]] = set()
    for network, ids in wanted.items():
        rows = await connection.fetch(_STORED, network, sorted(ids))
        found |= {(network, row["external_id"]) for row in rows}
    return found


def _answered_until(
    batches: Sequence[IntakeBatch],
    items: Sequence[BatchItem],
    digests: Sequence[Mapping[str, str]],
    until: Mapping[str, datetime],
    answered: Mapping[MessageKey, AnsweredMessage],
) -> dict[MessageKey, datetime]:
    """Return until when the author is erased, by key of an erased public message: stored, or among the items."""
    found = {key: end for key, one in answered.items() if (end := one.until(until)) is not None}
    for one, names in zip(items, digests, strict=True):
        end = until.get(names.get("author", ""))
        if end is not None and one.item.written_at <= end:
            found[message_key(batches[one.batch], one.item)] = end
    return found


@dataclass(frozen=True)
class _ErasedPeople:
    """What is known of the erased people of a batch.

    `until`, `pseudonyms`: by digest. `stored`: (network, external id) of stored items of erased conversations.
    `answered`: until when the authors of erased public messages are erased, by message key. `replies`: the keys of
    our own public replies that are erased.
    """

    until: Mapping[str, datetime]
    pseudonyms: Mapping[str, str]
    stored: set[tuple[str, str]]
    answered: Mapping[MessageKey, datetime]
    replies: set[MessageKey]

    def without_words(
        self,
        network: str,
        one: BatchItem,
        names: Mapping[str, str],
        also_named: Mapping[str, str],
        answer_to: MessageKey | None,
    ) -> BatchItem:
        item = one.item
        if (deleter := names.get("deleted_by")) in self.until:
            assert deleter is not None
            item = replace(item, deleted_by=None)
        author = names.get("author", "")
        pseudonym = self.pseudonyms.get(author)
        conversation = self.until.get(names.get("conversation", ""))
        if conversation is not None:
            # `written_at` of a deletion is the time of the deletion, so the stored row decides.
            is_erased = (network, erased_external_id(network, item.external_id)) in self.stored
            if is_erased or item.written_at <= conversation:
                stripped = _without_words(item)
                if is_erased or (network, item.external_id) not in self.stored:
                    stripped = _without_ids(network, stripped)
                return BatchItem(one.batch, stripped, erased=True, pseudonym=pseudonym, original=one.item)
        if author in self.until and item.written_at <= self.until[author]:
            return BatchItem(one.batch, _without_words(item), erased=True, pseudonym=pseudonym)
        if (network, item.kind, item.external_id) in self.replies:
            return BatchItem(one.batch, _without_words(item), erased=True, original=one.item)
        # What an erased person writes later in an own conversation is stored as usual, with the ids in it.
        delivered = item
        if conversation is None:
            item = self._without_others(item, also_named)
        left = also_named if item is delivered else _named(network, item)
        named = index_digests(network, left.values())
        answered_until = self.answered.get(answer_to) if answer_to is not None else None
        if answered_until is not None and item.written_at <= answered_until:
            stripped = _without_words(item)
            return BatchItem(one.batch, stripped, erased=True, original=one.item, if_spared=item, named=named)
        return BatchItem(one.batch, item, original=None if item is delivered else one.item, named=named)

    def _without_others(self, item: IncomingItem, named: Mapping[str, str]) -> IncomingItem:
        """Return the item without the words, names and ids of the erased people among those that it names."""
        erased = {number: self.until[digest] for digest, number in named.items() if digest in self.until}
        if not erased:
            return item
        unlinked = people_to_unlink(erased, from_community=item.from_community, written_at=item.written_at)
        content = _content(item).without_people(erased, unlinked)
        return replace(item, text=content.text, attachments=content.attachments, raw=content.raw)


def _without_words(item: IncomingItem) -> IncomingItem:
    text = None if item.text is None else ""
    return replace(item, text=text, attachments=(), raw={}, author=None, deleted_by=None)


def _without_ids(network: str, item: IncomingItem) -> IncomingItem:
    return replace(
        item,
        external_id=erased_external_id(network, item.external_id),
        thread_key=erased_thread_key(item.thread_key),
        reply_to=None if item.reply_to is None else erased_external_id(network, item.reply_to),
        url="",
    )
