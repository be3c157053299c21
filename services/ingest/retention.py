"""Retention rules of ingest's tables."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import select

from shared import clock
from shared.api.pagination import inline_literal
from shared.contracts.notice_codes import NOTICES_ACTOR
from shared.database.purge import PurgeRule, RetentionSettings, purge_rule
from shared.tables.appeals import OPEN_APPEAL_STATUSES, Appeal, AppealMessage
from shared.tables.ingest import (
    MessageVersion,
    PendingDeletion,
    ProcessedPushEvent,
    Publication,
    QuarantinedPayload,
)

# Networks retry a push for hours. After that, polling delivers the message, without an event id.
PROCESSED_EVENTS_KEPT = timedelta(days=3)
PENDING_DELETIONS_KEPT = timedelta(days=30)


def rules(terms: RetentionSettings) -> Sequence[PurgeRule]:
    """Return the purge rules of ingest's tables. Earlier texts of a message are kept while its appeal is open."""
    awaited = (
        select(AppealMessage.message_id)
        .join(Appeal, Appeal.id == AppealMessage.appeal_id)
        .where(AppealMessage.message_id == MessageVersion.message_id, Appeal.status.in_(OPEN_APPEAL_STATUSES))
        .exists()
    )
    quarantine, versions = timedelta(days=terms.quarantine_days), timedelta(days=terms.message_versions_days)
    notices = timedelta(days=terms.notices_days)
    return (
        purge_rule(
            ProcessedPushEvent,
            ProcessedPushEvent.created_at,
            lambda: [ProcessedPushEvent.created_at < clock.now() - PROCESSED_EVENTS_KEPT],
        ),
        purge_rule(
            PendingDeletion,
            PendingDeletion.created_at,
            lambda: [PendingDeletion.created_at < clock.now() - PENDING_DELETIONS_KEPT],
        ),
        purge_rule(
            QuarantinedPayload,
            QuarantinedPayload.created_at,
            lambda: [QuarantinedPayload.created_at < clock.now() - quarantine],
        ),
        # Notices to colleagues only: publications of replies to citizens are kept.
        purge_rule(
            Publication,
            Publication.created_at,
            lambda: [
                Publication.on_behalf_of == inline_literal(NOTICES_ACTOR),
                Publication.status.in_(["published", "failed"]),
                Publication.created_at < clock.now() - notices,
            ],
        ),
        purge_rule(
            MessageVersion,
            MessageVersion.replaced_at,
            lambda: [MessageVersion.replaced_at < clock.now() - versions, ~awaited],
        ),
    )
