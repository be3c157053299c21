"""Presenters of promises."""

from services.appeals.promises.promise_queries import LedgerRow, PromiseRow
from services.appeals.schemas.common import named_ref
from services.appeals.schemas.replies.promises import PromiseCounts, PromiseListItem, PromiseOut
from shared.tables.appeals_replies import Promise


def promise_out(promise: Promise) -> PromiseOut:
    """Return a promise as its appeal shows it."""
    return PromiseOut(**{name: getattr(promise, name) for name in PromiseOut.model_fields})


def promise_list_item(row: PromiseRow) -> PromiseListItem:
    """Return a promise as lists show it."""
    promise, number, organisation = row
    return PromiseListItem(
        **dict(promise_out(promise)),
        appeal_id=promise.appeal_id,
        appeal_number=number,
        organisation=named_ref(promise.organisation_id, organisation),
    )


def promise_counts(row: LedgerRow) -> PromiseCounts:
    """Return the counts of an organisation's promises as the ledger shows them."""
    organisation_id, name, made, still_open, kept, moved, broken = row
    ended = kept + broken
    return PromiseCounts(
        organisation=named_ref(organisation_id, name),
        made=made,
        open=still_open,
        kept=kept,
        moved=moved,
        broken=broken,
        kept_share=round(kept / ended, 3) if ended else None,
    )
