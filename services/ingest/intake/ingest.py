"""Idempotent intake of batches: every source stores its items through this module.

There is one row per (network, kind, external id), whichever source delivers an item and however often. Edits keep
the earlier text; deletions keep the text and record who deleted it and when. Events are emitted for changes only.
A pushed event is processed once per event id. The order in which items arrive does not change the final state.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from sqlalchemy import tuple_, update

from services.ingest.intake.answers_to_erased import erase_stored_answers
from services.ingest.intake.batches import (
    BatchItem,
    IntakeBatch,
    MessageKey,
    NewMessage,
    is_historical,
    message_key,
)
from services.ingest.intake.duplicate_events import without_duplicate_events
from services.ingest.intake.edits import ACTOR, BatchResult, apply_changes, apply_pending_deletions
from services.ingest.intake.erased_people import without_erased_words
from services.ingest.intake.named_people import index_items
from services.ingest.intake.notice_messages import is_code, threads_of_notices
from services.ingest.intake.own_reply_matching import CommunityMessage, lock_threads, match_own_replies
from services.ingest.intake.quarantine_writes import quarantine_payloads
from services.ingest.intake.statements import (
    insert_messages,
    lock_pages,
    save_original_texts,
    take_pending_deletions,
    upsert_authors,
)
from services.ingest.networks.port import IncomingItem
from shared import clock
from shared.contracts.ingest_events import MessageReceived
from shared.database.sessions import WriteSession, driver_connection
from shared.events.outbox import NewEvent, emit
from shared.ids import new_id
from shared.tables.ingest import Message

__all__ = ["BatchResult", "IntakeBatch", "ingest_batch", "ingest_batches"]


async def ingest_batch(session: WriteSession, batch: IntakeBatch) -> BatchResult:
    """Store a batch in the session's transaction; return what it changed. Safe to repeat, whole or in part."""
    (results,) = await ingest_batches(session, [batch])
    return results


async def ingest_batches(session: WriteSession, batches: Sequence[IntakeBatch]) -> list[BatchResult]:
    """Store batches of any pages in the session's transaction; return what each batch changed."""
    results = [BatchResult() for _ in batches]
    await quarantine_payloads(session, batches)
    if not any(batch.items for batch in batches):
        return results
    connection = await driver_connection(session)
    by_key: dict[MessageKey, list[BatchItem]] = defaultdict(list)
    kept = [_without_page_as_author(one) for one in await without_duplicate_events(connection, batches)]
    kept = await without_erased_words(connection, batches, kept)
    for one in kept:
        by_key[message_key(batches[one.batch], one.item)].append(one)
    await lock_pages(connection, batches, kept)
    first = {key: found for key, items in by_key.items() if (found := _first_with_text(items)) is not None}
    ordered = sorted(first)
    # Publishing takes the same thread locks. Locking all threads at once and in order prevents deadlocks.
    ours = [one for one in first.values() if _may_be_our_reply(one.item)]
    await lock_threads(session, {item.thread_key for one in ours for item in _as_delivered(one)})
    pseudonyms = await upsert_authors(connection, batches, (first[key] for key in ordered))
    received_at = clock.now()
    arrivals = {key: _arrival(key[0], first[key], pseudonyms) for key in ordered}
    inserted = await insert_messages(connection, batches, list(arrivals.values()), received_at)
    fresh = {key: one for key, one in arrivals.items() if one.message_id in inserted}
    for one in fresh.values():
        results[one.batch].new += 1
    await erase_stored_answers(
        session,
        {one.pseudonym for one in fresh.values() if one.pseudonym is not None and one.item.kind != "message"},
    )
    received = [
        *await _match_and_announce(session, batches, fresh, results, received_at),
        *await _reopen_historical(
            session, batches, {key: one for key, one in arrivals.items() if key not in fresh}
        ),
    ]
    pending_deletions = await take_pending_deletions(connection, fresh)
    restored = {key for key in pending_deletions if fresh[key].item.change == "restored"}
    await apply_pending_deletions(
        session, {key: pending_deletions[key] for key in pending_deletions.keys() - restored}, fresh, results
    )
    changes, late = _remaining(by_key, fresh)
    await apply_changes(session, batches, changes, results)
    await save_original_texts(connection, late)
    await index_items(connection, batches, (one for one in kept if one.named))
    await emit(session, *received, *(event for one in results for event in one.events))
    return results


def _first_with_text(items: Sequence[BatchItem]) -> BatchItem | None:
    """Return the item to create the message from: the first "new" one with a text, else the first with a text."""
    worded = [one for one in items if one.item.text is not None]
    announced = [one for one in worded if one.item.change == "new"]
    return next(iter(announced or worded), None)


def _without_page_as_author(one: BatchItem) -> BatchItem:
    """Return the item, without an author if the page itself wrote it.

    Networks name a page as the author of its own messages. With a key they would be erased like a citizen's.
    """
    if not one.item.from_community or one.item.author is None:
        return one
    return replace(one, item=replace(one.item, author=None))


def _arrival(network: str, one: BatchItem, pseudonyms: Mapping[tuple[str, str], str]) -> NewMessage:
    author = one.item.author
    author_key = one.pseudonym if author is None else pseudonyms[network, author.native_id]
    return NewMessage(
        one.batch,
        one.item,
        new_id(),
        author_key,
        erased=one.erased,
        pseudonym=one.pseudonym,
        original=one.original,
    )


def _as_delivered(one: BatchItem) -> list[IncomingItem]:
    """Return the item; for an erased person also the original, because a publication may have either key."""
    return [one.item] if one.original is None else [one.original, one.item]


def _may_be_our_reply(item: IncomingItem) -> bool:
    """Return whether the community wrote the item in a thread, so that it may be our own reply."""
    return item.from_community and item.kind != "wall_post"


def _remaining(
    by_key: Mapping[MessageKey, Sequence[BatchItem]], fresh: Mapping[MessageKey, NewMessage]
) -> tuple[dict[MessageKey, list[BatchItem]], list[tuple[MessageKey, IncomingItem]]]:
    """Return the items to compare with stored messages, and "new" items of messages stored earlier."""
    inserted_from = {id(one.item) for one in fresh.values()}
    remaining: dict[MessageKey, list[BatchItem]] = {}
    late: list[tuple[MessageKey, IncomingItem]] = []
    for key, items in by_key.items():
        changes = [one for one in items if one.item.change != "new" and id(one.item) not in inserted_from]
        if changes:
            remaining[key] = changes
        if key not in fresh:
            late.extend(
                (key, one.item)
                for one in items
                if one.item.change == "new" and one.item.text is not None and not one.erased
            )
    return remaining, late


async def _match_and_announce(
    session: WriteSession,
    batches: Sequence[IntakeBatch],
    fresh: Mapping[MessageKey, NewMessage],
    results: Sequence[BatchResult],
    received_at: datetime,
) -> list[NewEvent]:
    """Match our own replies among the new messages. Return a `message.received` event for each new message, oldest
    first.
    """
    community_messages: dict[str, list[CommunityMessage]] = defaultdict(list)
    first_batch: dict[str, int] = {}
    for (network, _, _), one in fresh.items():
        if _may_be_our_reply(one.item):
            first_batch.setdefault(network, one.batch)
            community_messages[network] += [
                CommunityMessage(
                    one.message_id,
                    item.kind,
                    item.external_id,
                    item.thread_key,
                    item.reply_to,
                    item.text or "",
                    item.url,
                    item.written_at,
                )
                for item in _as_delivered(one)
            ]
    ours: dict[UUID, UUID] = {}
    for network in sorted(community_messages):
        ours |= await match_own_replies(
            session, network, community_messages[network], results[first_batch[network]].events
        )
    in_order = sorted(fresh.values(), key=lambda one: (one.item.written_at, one.item.external_id))
    of_notices = await _threads_of_notices(session, in_order)
    return [
        _received(batches, one, of_notices, publication_id=ours.get(one.message_id), received_at=received_at)
        for one in in_order
    ]


async def _threads_of_notices(session: WriteSession, messages: Iterable[NewMessage]) -> set[str]:
    direct = (one for one in messages if one.item.kind == "message")
    return await threads_of_notices(session, {item.thread_key for one in direct for item in _as_delivered(one)})


def _received(
    batches: Sequence[IntakeBatch],
    one: NewMessage,
    of_notices: Collection[str],
    *,
    publication_id: UUID | None,
    received_at: datetime,
) -> NewEvent:
    page, item = batches[one.batch].page, one.item
    for_centre = any(item.thread_key in of_notices or is_code(item.kind, item.text) for item in _as_delivered(one))
    return NewEvent(
        data=MessageReceived(
            page_id=page.id,
            network=page.network,
            kind=item.kind,
            thread_key=item.thread_key,
            author_key=one.author_key,
            from_community=item.from_community,
            publication_id=publication_id,
            reply_to=item.reply_to,
            history=is_historical(batches, one),
            written_at=item.written_at,
            received_at=received_at,
        ),
        subject_id=one.message_id,
        organisation_id=None if for_centre else page.organisation_id,
        actor=ACTOR,
    )


async def _reopen_historical(
    session: WriteSession, batches: Sequence[IntakeBatch], known: Mapping[MessageKey, NewMessage]
) -> list[NewEvent]:
    """Clear the history flag of stored messages that may now open appeals.

    Return their `message.received` events.
    """
    candidates = {key: one for key, one in known.items() if batches[one.batch].open_appeals}
    if not candidates:
        return []
    rows = await session.execute(
        update(Message)
        .where(
            tuple_(Message.network, Message.kind, Message.external_id).in_(sorted(candidates)),
            Message.history,
            ~Message.from_community,
            Message.deleted_at.is_(None),
            Message.erased_at.is_(None),
        )
        .values(history=False)
        .returning(Message.id, Message.network, Message.kind, Message.external_id, Message.received_at)
    )
    found = [(row, candidates[row.network, row.kind, row.external_id]) for row in rows]
    of_notices = await _threads_of_notices(session, (one for _, one in found))
    return [
        _received(
            batches,
            replace(one, message_id=row.id),
            of_notices,
            publication_id=None,
            received_at=row.received_at,
        )
        for row, one in sorted(found, key=lambda pair: (pair[1].item.written_at, pair[0].external_id))
    ]
