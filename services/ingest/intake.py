"""The one door for all that comes in: idempotent, in batches.

Whatever path brings an item, and however often, one row per (network, kind, external id) stands in the end.
Edits keep the text before them, deletions keep the text and mark who and when. Events go out for changes only.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select, update

from services.ingest.adoption import Spoken, adopt, lock_threads
from services.ingest.networks.port import Author, Incoming, PageRef, Unreadable
from services.ingest.secrecy import author_key, encrypt
from services.ingest.texts import exact_json, plain, storable
from shared import clock
from shared.database import WriteSession, driver_connection
from shared.events import NewEvent, emit
from shared.ids import new_id
from shared.tables.base import encode_text
from shared.tables.ingest import Message, MessageVersion, SetAside

ACTOR = "ingest"
CHUNK = 500

_INSERT = """
INSERT INTO messages (id, network, kind, external_id, page_id, organisation_id, thread_key, reply_to, author_key,
    from_community, text, attachments, url, history, way_in, written_at, received_at, version, raw)
SELECT u.id, $1, u.kind, u.external_id, $2, $3, u.thread_key, u.reply_to, u.author_key,
    u.from_community, u.text, u.attachments::jsonb, u.url, u.history, $4, u.written_at, $5, 1, u.raw::json
FROM unnest($6::uuid[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::boolean[], $13::text[],
    $14::text[], $15::text[], $16::boolean[], $17::timestamptz[], $18::text[])
    AS u(id, kind, external_id, thread_key, reply_to, author_key, from_community, text, attachments, url, history,
         written_at, raw)
ON CONFLICT (network, kind, external_id) DO NOTHING
RETURNING id
"""

_AUTHORS = """
INSERT INTO authors (author_key, network, identity, created_at, updated_at)
SELECT u.author_key, $1, u.identity, $2, $2
FROM unnest($3::text[], $4::bytea[], $5::boolean[]) AS u(author_key, identity, named)
WHERE u.named OR NOT EXISTS (SELECT FROM authors a WHERE a.author_key = u.author_key)
ON CONFLICT (author_key) DO UPDATE SET identity = excluded.identity, updated_at = excluded.updated_at
"""

Key = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Items of one page that came by one way."""

    page: PageRef
    way: str
    items: Sequence[Incoming]
    unreadable: Sequence[Unreadable] = ()
    observed_at: datetime | None = None
    open_cases: bool = False


@dataclass
class Taken:
    """What a batch changed."""

    new: int = 0
    edited: int = 0
    deleted: int = 0
    restored: int = 0
    events: list[NewEvent] = field(default_factory=list)


async def take_many(session: WriteSession, batches: Sequence[Batch]) -> list[Taken]:
    """Store batches of several pages in the session's transaction."""
    return [await take(session, batch) for batch in batches]


async def take(session: WriteSession, batch: Batch) -> Taken:
    """Store a batch in the session's transaction. Safe to repeat, whole or in part, in any order."""
    taken = Taken()
    await _set_aside(session, batch)
    by_key: dict[Key, list[Incoming]] = defaultdict(list)
    for item in batch.items:
        by_key[item.kind, item.external_id].append(item)
    first = {key: told for key, items in by_key.items() if (told := _storable(items)) is not None}
    # Our own answers are recognised under the lock that publishing holds too, taken in one order by all.
    await lock_threads(
        session, {item.thread_key for item in first.values() if item.from_community and item.kind != "wall_post"}
    )
    await _authors(session, batch.page.network, first.values())
    ids: dict[Key, UUID] = {}
    for key in sorted(first):
        ids[key] = new_id()
    fresh: set[Key] = set()
    ordered = sorted(first)
    for start in range(0, len(ordered), CHUNK):
        chunk = ordered[start : start + CHUNK]
        inserted = await _insert(session, batch, [(ids[key], first[key]) for key in chunk])
        fresh.update(key for key in chunk if ids[key] in inserted)
    taken.new = len(fresh)
    later = _changes(by_key, {key: first[key] for key in fresh})
    await _apply_changes(session, batch, later, taken)
    spoken = [
        Spoken(
            ids[key],
            item.kind,
            item.external_id,
            item.thread_key,
            item.reply_to,
            item.text or "",
            item.url,
            item.written_at,
        )
        for key in fresh
        if (item := first[key]).from_community and item.kind != "wall_post"
    ]
    ours = await adopt(session, batch.page.network, spoken, taken.events)
    received_at = clock.now()
    taken.events[:0] = [
        _received(batch.page, ids[key], first[key], ours.get(ids[key]), received_at)
        for key in sorted(fresh, key=lambda key: (first[key].written_at, key[1]))
    ]
    await emit(session, *taken.events)
    return taken


def _storable(items: Sequence[Incoming]) -> Incoming | None:
    # The announcement knows more than what follows it, whichever arrived first.
    told = [item for item in items if item.text is not None]
    return told[0] if told else None


async def _set_aside(session: WriteSession, batch: Batch) -> None:
    if not batch.unreadable:
        return
    now = clock.now()
    await session.execute(
        insert(SetAside),
        [
            {
                "id": new_id(),
                "network": batch.page.network,
                "page_id": batch.page.id,
                "way_in": batch.way,
                "reason": plain(one.reason),
                "raw": json.dumps(one.raw, default=repr),
                "created_at": now,
            }
            for one in batch.unreadable
        ],
    )


async def _authors(session: WriteSession, network: str, items: Iterable[Incoming]) -> None:
    people: dict[str, Author] = {}
    for item in items:
        if item.author is None:
            continue
        key = author_key(network, item.author.native_id)
        if key not in people or item.author.name:
            people[key] = item.author
    if not people:
        return
    keys = sorted(people)
    identities = [
        encrypt({"id": people[key].native_id, "name": people[key].name, "url": people[key].url}) for key in keys
    ]
    connection = await driver_connection(session)
    await connection.execute(
        _AUTHORS, network, clock.now(), keys, identities, [people[key].name is not None for key in keys]
    )


async def _insert(session: WriteSession, batch: Batch, rows: Sequence[tuple[UUID, Incoming]]) -> set[UUID]:
    page = batch.page
    connection = await driver_connection(session)
    items = [item for _, item in rows]
    inserted = await connection.fetch(
        _INSERT,
        page.network,
        page.id,
        page.organisation_id,
        batch.way,
        clock.now(),
        [message_id for message_id, _ in rows],
        [item.kind for item in items],
        [item.external_id for item in items],
        [item.thread_key for item in items],
        [item.reply_to for item in items],
        [None if item.author is None else author_key(page.network, item.author.native_id) for item in items],
        [item.from_community for item in items],
        [encode_text(storable(item.text or "")) for item in items],
        [exact_json(item.attachments) for item in items],
        [plain(item.url) for item in items],
        [item.written_at < page.live_from for item in items],
        [item.written_at for item in items],
        [json.dumps(item.raw) for item in items],
    )
    return {UUID(bytes=row["id"].bytes) for row in inserted}


def _changes(by_key: dict[Key, list[Incoming]], fresh: dict[Key, Incoming]) -> dict[Key, list[Incoming]]:
    """What remains to be compared with stored rows: all but plain announcements and what was just inserted."""
    changes = {
        key: [item for item in items if item.happened != "new" and item is not fresh.get(key)]
        for key, items in by_key.items()
    }
    return {key: items for key, items in changes.items() if items}


async def _apply_changes(
    session: WriteSession, batch: Batch, wanted: dict[Key, list[Incoming]], taken: Taken
) -> None:
    """Edits, deletions and restorations of what is stored, in the order in which they came."""
    for kind in sorted({kind for kind, _ in wanted}):
        names = sorted(external_id for one, external_id in wanted if one == kind)
        rows = await session.scalars(
            select(Message)
            .where(Message.network == batch.page.network, Message.kind == kind, Message.external_id.in_(names))
            .order_by(Message.external_id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
        for message in rows:
            for item in wanted[kind, message.external_id]:
                await _apply(session, batch, message, item, taken)


async def _apply(session: WriteSession, batch: Batch, message: Message, item: Incoming, taken: Taken) -> None:
    now = clock.now()
    if item.happened == "deleted":
        if message.deleted_at is not None:
            return
        by = _deleter(batch.page.network, message, item)
        await _change(session, message, deleted_at=now, deleted_by=by)
        taken.deleted += 1
        taken.events.append(_changed(message, "message.deleted", {"deleted_by": by}))
        return
    if item.happened == "restored" and message.deleted_at is not None:
        await _change(session, message, deleted_at=None, deleted_by=None)
        taken.restored += 1
        taken.events.append(_changed(message, "message.restored", {}))
    if item.text is None or storable(item.text) == message.text:
        return
    stale = batch.observed_at is not None and message.edited_at is not None
    if item.happened == "seen" and stale and message.edited_at >= batch.observed_at:  # type: ignore[operator]
        return
    await session.execute(
        insert(MessageVersion).values(
            message_id=message.id,
            version=message.version,
            text=message.text,
            attachments=message.attachments,
            raw=message.raw,
            replaced_at=now,
        )
    )
    await _change(
        session,
        message,
        text=storable(item.text),
        attachments=json.loads(exact_json(item.attachments)),
        raw=dict(item.raw),
        edited_at=now,
        version=message.version + 1,
    )
    taken.edited += 1
    taken.events.append(_changed(message, "message.edited", {"version": message.version}))


async def _change(session: WriteSession, message: Message, **values: Any) -> None:
    await session.execute(
        update(Message)
        .where(Message.id == message.id)
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    await session.refresh(message)


def _deleter(network: str, message: Message, item: Incoming) -> str:
    """Who deleted, where the network tells: its author, or someone of the community."""
    if item.deleted_by is None:
        return "unknown"
    if author_key(network, item.deleted_by.native_id) == message.author_key:
        return "author"
    return "community"


def _received(
    page: PageRef, message_id: UUID, item: Incoming, publication_id: UUID | None, received_at: datetime
) -> NewEvent:
    return NewEvent(
        type="message.received",
        subject_id=message_id,
        organisation_id=page.organisation_id,
        actor=ACTOR,
        data={
            "page_id": str(page.id),
            "network": page.network,
            "kind": item.kind,
            "thread_key": item.thread_key,
            "author_key": None if item.author is None else author_key(page.network, item.author.native_id),
            "from_community": item.from_community,
            "publication_id": None if publication_id is None else str(publication_id),
            "reply_to": item.reply_to,
            "history": item.written_at < page.live_from,
            "written_at": item.written_at.isoformat(),
            "received_at": received_at.isoformat(),
        },
    )


def _changed(message: Message, kind: str, data: dict[str, Any]) -> NewEvent:
    return NewEvent(
        type=kind,
        subject_id=message.id,
        organisation_id=message.organisation_id,
        actor=ACTOR,
        data={
            "page_id": str(message.page_id),
            "network": message.network,
            "kind": message.kind,
            "thread_key": message.thread_key,
            **data,
        },
    )
