"""What ingest keeps for a term only."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import select

from shared import clock
from shared.database.purge import Rule, Terms, expired
from shared.tables.appeals import OPEN_STATUSES, Appeal, AppealMessage
from shared.tables.ingest import MessageVersion, PendingDeletion, ProcessedPushEvent, QuarantinedPayload

# A network tries a push again for hours; what waits longer comes by polling, under no event's name.
PROCESSED_EVENTS_KEPT = timedelta(days=3)
PENDING_DELETIONS_KEPT = timedelta(days=30)


def rules(terms: Terms) -> Sequence[Rule]:
    """Return the rules of ingest's tables. Former texts of a message stay while its appeal is open."""
    awaited = (
        select(AppealMessage.message_id)
        .join(Appeal, Appeal.id == AppealMessage.appeal_id)
        .where(AppealMessage.message_id == MessageVersion.message_id, Appeal.status.in_(OPEN_STATUSES))
        .exists()
    )
    set_aside, versions = timedelta(days=terms.set_aside_days), timedelta(days=terms.message_versions_days)
    return (
        expired(
            ProcessedPushEvent,
            ProcessedPushEvent.created_at,
            lambda: [ProcessedPushEvent.created_at < clock.now() - PROCESSED_EVENTS_KEPT],
        ),
        expired(
            PendingDeletion,
            PendingDeletion.created_at,
            lambda: [PendingDeletion.created_at < clock.now() - PENDING_DELETIONS_KEPT],
        ),
        expired(
            QuarantinedPayload,
            QuarantinedPayload.created_at,
            lambda: [QuarantinedPayload.created_at < clock.now() - set_aside],
        ),
        expired(
            MessageVersion,
            MessageVersion.replaced_at,
            lambda: [MessageVersion.replaced_at < clock.now() - versions, ~awaited],
        ),
    )
