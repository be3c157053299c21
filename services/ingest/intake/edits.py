"""Apply edits, deletions and restorations to stored messages. Earlier texts are kept as versions."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert, select, update

from services.ingest.intake.batches import BatchItem, EarlyDeletion, IntakeBatch, MessageKey, NewMessage
from services.ingest.intake.notice_messages import organisation_of_message_events
from services.ingest.intake.statements import save_pending_deletions, take_pending_deletions
from services.ingest.networks.port import IncomingItem
from services.ingest.networks.sanitize import encode_exact_json, replace_lone_surrogates, same_text
from services.ingest.pseudonymisation.author_keys import author_key
from shared import clock
from shared.contracts.ingest_events import MessageDeleted, MessageEdited, MessageReference, MessageRestored
from shared.database.sessions import WriteSession, driver_connection
from shared.events.outbox import NewEvent
from shared.tables.ingest import Message, MessageVersion, Publication

ACTOR = "ingest"
# Networks may return a deleted message or an outdated text from caches for this long. It also covers differences
# between our machines' clocks: the time of an edit and the time of a read may come from two machines.
CACHE_DELAY = timedelta(minutes=10)
# Payload fields with the words of the author alone, without those of others that the text may contain too.
OWN_WORDS = ("text", "body")
# Payload fields with the time of the last edit.
EDIT_TIMES = ("update_time", "edited")


@dataclass
class BatchResult:
    """The changes that a batch made: numbers of messages, and events.

    `unsettled_threads`: threads with a comment whose text was left as it is, because the text read may be older or
    newer; they must be read again.
    """

    new: int = 0
    edited: int = 0
    deleted: int = 0
    restored: int = 0
    events: list[NewEvent] = field(default_factory=list)
    unsettled_threads: set[str] = field(default_factory=set)


async def apply_changes(
    session: WriteSession,
    batches: Sequence[IntakeBatch],
    changes: Mapping[MessageKey, Sequence[BatchItem]],
    results: Sequence[BatchResult],
) -> None:
    """Apply the items in `changes` to the stored messages, in order.

    A deletion of a message that is not stored is saved as a pending deletion.
    """
    names: dict[tuple[str, str], list[str]] = {}
    for network, kind, external_id in sorted(changes):
        names.setdefault((network, kind), []).append(external_id)
    missing = set(changes)
    for (network, kind), external_ids in names.items():
        rows = await session.scalars(
            select(Message)
            .where(Message.network == network, Message.kind == kind, Message.external_id.in_(external_ids))
            .order_by(Message.external_id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
        for message in rows:
            key = network, kind, message.external_id
            missing.discard(key)
            change = _MessageEditor(session, message)
            for one in changes[key]:
                await change.apply(batches[one.batch], one, results[one.batch])
    await _changes_of_unknown_messages(session, batches, {key: changes[key] for key in missing})


async def apply_pending_deletions(
    session: WriteSession,
    pending_deletions: Mapping[MessageKey, EarlyDeletion],
    fresh: Mapping[MessageKey, NewMessage],
    results: Sequence[BatchResult],
) -> None:
    """Mark new messages as deleted if their deletion arrived before them."""
    for key in sorted(pending_deletions):
        message = await session.get_one(Message, fresh[key].message_id)
        at = min(pending_deletions[key].at, message.received_at)
        await _MessageEditor(session, message).delete(
            _deleter(message, pending_deletions[key].deleter_key), at, results[fresh[key].batch]
        )


async def apply_own_change(session: WriteSession, publication: Publication, text: str | None) -> list[NewEvent]:
    """Apply our own edit (None: our own deletion) of a published reply to its stored message, if it is stored.

    Return the events to emit. The network's later report of the same change has no effect, and an earlier read
    does not restore the former state.
    """
    message = await session.scalar(
        select(Message)
        .where(
            Message.network == publication.network,
            Message.kind == publication.kind,
            Message.external_id == publication.external_id,
        )
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    result = BatchResult()
    if message is None:
        return []
    editor = _MessageEditor(session, message)
    if text is None:
        if message.deleted_at is None:
            await editor.delete("community", clock.now(), result)
        elif message.deleted_by == "unknown":  # a poll found it missing
            await editor.name_deleter("community")
    elif message.erased_at is None and not same_text(text, message.text):
        await editor.replace_text(text, result)
    return result.events


async def _changes_of_unknown_messages(
    session: WriteSession, batches: Sequence[IntakeBatch], changes: Mapping[MessageKey, Sequence[BatchItem]]
) -> None:
    gone, back = [], []
    for key, items in changes.items():
        last = [one for one in items if one.item.change in ("deleted", "restored")]
        if not last:
            continue
        batch, item = batches[last[-1].batch], last[-1].item
        if item.change == "deleted":
            gone.append((key, batch.page.id, _pseudonym(batch, item)))
        else:
            back.append(key)
    await save_pending_deletions(session, gone)
    if back:
        await take_pending_deletions(await driver_connection(session), back)


@dataclass(frozen=True)
class _MessageEditor:
    """Applies changes to one stored message. The row must be locked."""

    session: WriteSession
    message: Message

    async def apply(self, batch: IntakeBatch, one: BatchItem, result: BatchResult) -> None:
        message, item = self.message, one.item
        if item.change == "deleted":
            if message.deleted_at is None:
                await self.delete(_deleter(message, _pseudonym(batch, item)), clock.now(), result)
            return
        if message.deleted_at is not None and _is_restored(batch, item, message.deleted_at):
            await self._set(deleted_at=None, deleted_by=None)
            result.restored += 1
            result.events.append(await self._event(MessageRestored))
        # The text of an erased item is empty. The job of the erasure empties the stored message, except an answer
        # to another person's appeal, which follows its edits.
        spared = one.if_spared if one.erased else item
        if spared is None or message.erased_at is not None:
            return
        item = spared
        # The text as delivered is stored until the job of an erasure has removed somebody's words from it.
        delivered = one.original or item
        if item.text is None or _is_text_of(message, item) or _is_text_of(message, delivered):
            return
        if self._has_same_words(delivered):
            await self._complete_text(item)
            return
        edited_at, known = _edit_time(item.raw), _edit_time(message.raw)
        # Once a message was edited, payloads that are read have an edit time; a pushed one may lack it.
        is_older = known is not None and (item.change == "observed" if edited_at is None else edited_at < known)
        if not is_older and await self._may_be_stale(batch, item):
            if message.kind == "comment":
                result.unsettled_threads.add(message.thread_key)
            return
        if is_older:
            await self._insert_older_version(item)
            return
        await self._edit(item)
        result.edited += 1
        result.events.append(await self._event(MessageEdited, version=message.version))

    async def delete(self, by: str, at: datetime, result: BatchResult) -> None:
        await self._set(deleted_at=at, deleted_by=by)
        result.deleted += 1
        result.events.append(await self._event(MessageDeleted, deleted_by=by))

    def _has_same_words(self, item: IncomingItem) -> bool:
        """Return whether the author's own words are those stored and begin the text: only shared words differ.

        Our own edit of a reply changes the stored text but not the stored payload.
        """
        message = self.message
        words, stored = _own_words(item.raw), _own_words(message.raw)
        if words is None or words != stored or not message.text.startswith(replace_lone_surrogates(words)):
            return False
        return message.text == words or not message.from_community or message.kind == "wall_post"

    async def _complete_text(self, item: IncomingItem) -> None:
        """Add shared words to the stored text. It stays as it is if the shared item was changed or deleted."""
        message, text = self.message, replace_lone_surrogates(item.text or "")
        if message.text == _own_words(message.raw) or text.startswith(message.text):
            # With the payload: it tells whose words they are.
            await self._set(
                text=text, attachments=json.loads(encode_exact_json(item.attachments)), raw=dict(item.raw)
            )

    async def _edit(self, item: IncomingItem) -> None:
        now, message = clock.now(), self.message
        await self._keep(message.text, message.attachments, message.raw, now)
        await self._set(
            text=replace_lone_surrogates(item.text or ""),
            attachments=json.loads(encode_exact_json(item.attachments)),
            raw=dict(item.raw),
            edited_at=now,
            version=message.version + 1,
        )

    async def name_deleter(self, by: str) -> None:
        """Store who deleted a message that was found missing earlier."""
        await self._set(deleted_by=by)

    async def replace_text(self, text: str, result: BatchResult) -> None:
        """Replace the text with our own edit; until the next read the payload is still that of the former text."""
        now, message = clock.now(), self.message
        await self._keep(message.text, message.attachments, message.raw, now)
        await self._set(text=text, edited_at=now, version=message.version + 1)
        result.edited += 1
        result.events.append(await self._event(MessageEdited, version=message.version))

    async def _may_be_stale(self, batch: IntakeBatch, item: IncomingItem) -> bool:
        """Return whether a text that was read may be older than the stored edit: read before, or from a cache."""
        edited_at = self.message.edited_at
        if item.change != "observed" or batch.observed_at is None or edited_at is None:
            return False
        if batch.observed_at <= edited_at:
            return True
        # Where edits are found by polls alone, each later read is newer: an edit back to a former text counts.
        if not batch.edits_are_announced or batch.observed_at >= edited_at + CACHE_DELAY:
            return False
        versions = await self._former_texts()
        # Without a version, the first item that arrived was an edit: the text before it is unknown.
        return not versions or replace_lone_surrogates(item.text or "") in versions

    async def _former_texts(self) -> set[str]:
        query = select(MessageVersion.text).where(MessageVersion.message_id == self.message.id)
        return set(await self.session.scalars(query))

    async def _insert_older_version(self, item: IncomingItem) -> None:
        """Store the text of an edit that arrived after a later edit as a version; the current text stays."""
        text = replace_lone_surrogates(item.text or "")
        if text in await self._former_texts():
            return
        await self._keep(text, json.loads(encode_exact_json(item.attachments)), dict(item.raw), clock.now())
        await self._set(version=self.message.version + 1)

    async def _keep(self, text: str, attachments: list[Any], raw: dict[str, Any], replaced_at: datetime) -> None:
        await self.session.execute(
            insert(MessageVersion).values(
                message_id=self.message.id,
                version=self.message.version,
                text=text,
                attachments=attachments,
                raw=raw,
                replaced_at=replaced_at,
            )
        )

    async def _set(self, **values: Any) -> None:
        await self.session.execute(
            update(Message)
            .where(Message.id == self.message.id)
            .values(**values)
            .execution_options(synchronize_session=False)
        )
        await self.session.refresh(self.message)

    async def _event(self, model: type[MessageReference], **data: Any) -> NewEvent:
        """Return the event for a change of the message; `data` are the model's own fields."""
        message = self.message
        return NewEvent(
            data=model(
                page_id=message.page_id,
                network=message.network,
                kind=message.kind,
                thread_key=message.thread_key,
                **data,
            ),
            subject_id=message.id,
            organisation_id=await organisation_of_message_events(self.session, message),
            actor=ACTOR,
        )


def only_edit_times(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return the payload with the times of edits alone: they show which of two edits is the later one."""
    return {name: raw[name] for name in EDIT_TIMES if raw.get(name) is not None}


def _is_text_of(message: Message, item: IncomingItem) -> bool:
    return replace_lone_surrogates(item.text or "") == message.text


def _is_restored(batch: IntakeBatch, item: IncomingItem, deleted_at: datetime) -> bool:
    if item.change == "restored":
        return True
    return (
        item.change == "observed"
        and item.text is not None
        and batch.observed_at is not None
        and batch.observed_at >= deleted_at + CACHE_DELAY
    )


def _own_words(raw: Mapping[str, Any]) -> str | None:
    """Return the author's own words from the payload; None if no field has them."""
    words = next((raw[name] for name in OWN_WORDS if isinstance(raw.get(name), str)), None)
    return None if words is None else replace_lone_surrogates(words)


def _edit_time(raw: Mapping[str, Any]) -> int | None:
    """Return the time of the last edit from the payload, in seconds since the epoch; None without one."""
    for name in EDIT_TIMES:
        value = raw.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return None


def _pseudonym(batch: IntakeBatch, item: IncomingItem) -> str | None:
    return None if item.deleted_by is None else author_key(batch.page.network, item.deleted_by.native_id)


def _deleter(message: Message, deleter_key: str | None) -> str:
    """Return who deleted the message: "author", "community", or "unknown" if the network does not say."""
    if deleter_key is None:
        return "unknown"
    return "author" if deleter_key == message.author_key else "community"
