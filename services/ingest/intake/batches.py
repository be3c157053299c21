"""Data types of intake: batches and the items in them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from services.ingest.networks.port import IncomingItem, PageRef, UnparsedPayload

MessageKey = tuple[str, str, str]


@dataclass(frozen=True, kw_only=True)
class IntakeBatch:
    """Items of one page from one source.

    `observed_at` and `edits_are_announced`: see `IntakeStore.store` in `networks.port`. `open_appeals`: messages
    written before the page's go-live time do not count as history.
    """

    page: PageRef
    source: str
    items: Sequence[IncomingItem]
    unreadable: Sequence[UnparsedPayload] = ()
    observed_at: datetime | None = None
    edits_are_announced: bool = True
    open_appeals: bool = False


@dataclass(frozen=True, slots=True)
class BatchItem:
    """An item and the index of its batch.

    `erased`: the item is of an erased person, or answers one, and has no texts and names. `pseudonym`: replaces
    the key of its erased author. `original`: the item as delivered, used only to recognise our own reply that is
    being published, and a message that the erasure has not reached yet. `if_spared`: the public answer with its
    words, for a stored message that the erasure spared. `named`: digests of other people whom the item names.
    """

    batch: int
    item: IncomingItem
    erased: bool = field(default=False, kw_only=True)
    pseudonym: str | None = field(default=None, kw_only=True)
    original: IncomingItem | None = field(default=None, kw_only=True)
    if_spared: IncomingItem | None = field(default=None, kw_only=True)
    named: frozenset[str] = field(default=frozenset(), kw_only=True)


@dataclass(frozen=True, slots=True)
class NewMessage(BatchItem):
    """An item to insert as a message unless the message is already stored."""

    message_id: UUID
    author_key: str | None


@dataclass(frozen=True, slots=True)
class EarlyDeletion:
    """A deletion that arrived before its message."""

    deleter_key: str | None
    at: datetime


def message_key(batch: IntakeBatch, item: IncomingItem) -> MessageKey:
    """Return the unique key of a message: network, kind, external id."""
    return batch.page.network, item.kind, item.external_id


def is_historical(batches: Sequence[IntakeBatch], one: BatchItem) -> bool:
    """Return whether the message opens no appeal: it precedes the page's go-live time, or its author is erased."""
    batch = batches[one.batch]
    return one.erased or (not batch.open_appeals and one.item.written_at < batch.page.go_live_at)
