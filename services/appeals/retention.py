"""Purge rules of appeals' tables."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import exists, func, select
from sqlalchemy.orm import aliased

from shared import clock
from shared.database.purge import PurgeRule, RetentionSettings, purge_rule
from shared.tables.appeals import OPEN_APPEAL_STATUSES, Appeal
from shared.tables.appeals_bulk import BulkOperation, BulkOperationRow
from shared.tables.appeals_exports import AppealExport, AppealExportPart
from shared.tables.appeals_incidents import Alert, Incident
from shared.tables.appeals_lists import UnreadAppeal
from shared.tables.appeals_partners import PartnerEvent
from shared.tables.appeals_work import UNDO_MINUTES, AppealPresence, UndoableDecision
from shared.tables.attachments import Attachment


def purge_rules(terms: RetentionSettings) -> Sequence[PurgeRule]:
    """Return the purge rules of appeals' tables.

    An alert is kept until its term has passed since it was seen, and its appeal or incident has ended. Only
    uploads that were never attached to a reply expire. A bulk operation is purged after its rows and after the
    operation that undid it.
    """
    open_appeal = (
        select(Appeal.id).where(Appeal.id == Alert.appeal_id, Appeal.status.in_(OPEN_APPEAL_STATUSES)).exists()
    )
    open_incident = (
        select(Incident.id).where(Incident.id == Alert.incident_id, Incident.closed_at.is_(None)).exists()
    )
    seen = timedelta(days=terms.seen_alerts_days)
    unattached = timedelta(days=terms.unattached_uploads_days)
    bulk = timedelta(days=terms.bulk_operations_days)
    unread = timedelta(days=terms.unread_marks_days)
    partner_events = timedelta(days=terms.partner_events_days)
    undo = aliased(BulkOperation)
    has_rows = exists().where(BulkOperationRow.operation_id == BulkOperation.id)
    taken_back = exists().where(undo.undoes_id == BulkOperation.id)
    return (
        purge_rule(
            AppealPresence,
            AppealPresence.expires_at,
            lambda: [AppealPresence.expires_at < func.clock_timestamp()],
        ),
        purge_rule(
            Alert,
            Alert.created_at,
            lambda: [
                Alert.created_at < clock.now() - seen,
                Alert.seen_at < clock.now() - seen,
                ~open_appeal,
                ~open_incident,
            ],
        ),
        purge_rule(
            UndoableDecision,
            UndoableDecision.decided_at,
            lambda: [UndoableDecision.decided_at < clock.now() - timedelta(minutes=UNDO_MINUTES)],
        ),
        purge_rule(UnreadAppeal, UnreadAppeal.last_at, lambda: [UnreadAppeal.last_at < clock.now() - unread]),
        # Kept far longer than a signature is accepted, so that no event can be replayed after its id was purged.
        purge_rule(
            PartnerEvent,
            PartnerEvent.received_at,
            lambda: [PartnerEvent.received_at < func.clock_timestamp() - partner_events],
        ),
        purge_rule(
            Attachment,
            Attachment.created_at,
            lambda: [Attachment.reply_id.is_(None), Attachment.created_at < clock.now() - unattached],
        ),
        purge_rule(
            AppealExportPart,
            AppealExportPart.export_id,
            lambda: [
                AppealExportPart.export_id.in_(
                    select(AppealExport.id).where(AppealExport.expires_at < clock.now())
                )
            ],
        ),
        purge_rule(
            AppealExport,
            AppealExport.expires_at,
            lambda: [
                AppealExport.expires_at < clock.now(),
                ~exists().where(AppealExportPart.export_id == AppealExport.id),
            ],
        ),
        purge_rule(
            BulkOperationRow,
            BulkOperationRow.operation_id,
            lambda: [
                BulkOperationRow.operation_id.in_(
                    select(BulkOperation.id).where(
                        BulkOperation.completed_at.is_not(None), BulkOperation.created_at < clock.now() - bulk
                    )
                )
            ],
        ),
        purge_rule(
            BulkOperation,
            BulkOperation.created_at,
            lambda: [
                BulkOperation.completed_at.is_not(None),
                BulkOperation.created_at < clock.now() - bulk,
                ~has_rows,
                ~taken_back,
            ],
        ),
    )
