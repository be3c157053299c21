"""History: messages that are stored but open no appeal."""

from collections.abc import Sequence

from services.ingest.intake.batches import BatchItem, IntakeBatch


def is_historical(batches: Sequence[IntakeBatch], one: BatchItem) -> bool:
    """Return whether the message opens no appeal: it precedes the page's go-live time, or its author is erased."""
    batch = batches[one.batch]
    return one.erased or (not batch.open_appeals and one.item.written_at < batch.page.go_live_at)
