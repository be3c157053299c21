"""The policy of the audit trail: columns stored in readable form, as digests, or not at all.

Columns not listed here are not readable: text and JSON become keyed digests; for bytes and secrets only the fact
of a change is stored. So a new column discloses nothing until it is added here.
"""

import hmac
import json
from collections.abc import Mapping
from datetime import date, datetime
from enum import Enum
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, LargeBinary, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import JSON, TypeDecorator, TypeEngine

from shared.settings import settings
from shared.tables import Base

# Table → its text and JSON columns that contain neither personal data nor free text.
READABLE_COLUMNS: dict[str, frozenset[str]] = {
    "calendars": frozenset({"time_zone", "weekly"}),
    "calendar_days": frozenset({"intervals"}),
    "organisations": frozenset(
        {"code", "kind", "sphere", "other_spheres", "municipality", "oktmo", "inn", "ogrn", "pos_opa_id"}
    ),
    "organisation_names": frozenset({"kind"}),
    "successions": frozenset({"kind"}),
    "pages": frozenset({"network", "external_id", "state"}),
    "page_steps": frozenset({"step", "evidence_kind", "confirmed_by"}),
    "people": frozenset({"role", "issuer"}),
    "api_clients": frozenset({"role", "scopes"}),
    "client_secrets": frozenset(),
    "refresh_tokens": frozenset(),
    "network_tokens": frozenset({"network", "kind", "state"}),
    "callback_registrations": frozenset({"network", "state", "server_id"}),
    "quarantine": frozenset({"network", "source_kind"}),
    "reconciliations": frozenset(),
    "backfills": frozenset({"status", "requested_by"}),
    "publications": frozenset({"network", "kind", "status", "on_behalf_of"}),
    "publication_changes": frozenset({"kind", "status", "on_behalf_of"}),
    "erasures": frozenset({"ground", "status", "requested_by"}),
    "topics": frozenset({"code", "taxonomy_version"}),
    "sla_policies": frozenset(
        {
            "urgency",
            "starts_from",
            "organisation_kind",
            "channel",
            "legal_regime",
            "first_response_unit",
            "resolution_unit",
            "promise_unit",
            "return_unit",
            "created_by",
        }
    ),
    "appeals": frozenset(
        {
            "status",
            "urgency",
            "outcome",
            "network",
            "source",
            "municipality",
            "utility_failure",
            "language",
            "legal_regime",
            "feedback_kind",
        }
    ),
    "appeal_submissions": frozenset({"source"}),
    "classifications": frozenset(
        {
            "needs_answer",
            "type",
            "urgency",
            "classified_by",
            "municipality",
            "location_source",
            "language",
            "utility_failure",
            "top3",
        }
    ),
    "reviews": frozenset({"predicted_by", "reviewed_by"}),
    "incidents": frozenset({"origin", "utility_failure", "municipality", "urgency", "opened_by"}),
    "incident_members": frozenset({"joined_by", "left_by"}),
    "incident_replies": frozenset({"kind", "author"}),
    "alerts": frozenset({"kind", "seen_by"}),
    "rule_sets": frozenset({"status", "default_to", "created_by", "activated_by"}),
    "promises": frozenset({"status"}),
    "extension_requests": frozenset({"clock", "unit", "status", "requested_by", "decided_by", "ended_reason"}),
    "routing_rules": frozenset({"municipality", "urgency", "page_owner_sphere", "page_owner_kind", "send_to"}),
    "reply_templates": frozenset({"kind", "created_by"}),
    "approval_rules": frozenset({"urgency", "organisation_kind", "created_by"}),
    "replies": frozenset({"origin", "kind", "status", "author", "channel", "outcome"}),
    "reply_changes": frozenset({"kind", "status", "ground", "requested_by"}),
    "attachments": frozenset({"uploaded_by", "content_type", "sha256"}),
    "assignee_rules": frozenset(),
    "absences": frozenset({"created_by"}),
    "feedback_rounds": frozenset({"kind", "read_by"}),
    "appeal_watchers": frozenset({"added_by"}),
    "appeal_tags": frozenset({"added_by"}),
    "saved_views": frozenset({"owner", "sort"}),
    "appeal_notes": frozenset({"author", "visibility"}),
    "appeal_merges": frozenset({"former_status", "merged_by", "undone_by"}),
    "appeal_exports": frozenset({"author", "format", "layout", "status", "scopes"}),
    "partners": frozenset({"source", "created_by"}),
    "bulk_operations": frozenset({"action", "author", "scopes"}),
    "webhook_endpoints": frozenset(
        {"event_types", "municipalities", "header_names", "created_by", "suspended_reason", "disabled_reason"}
    ),
    "webhook_deliveries": frozenset({"event_type", "status"}),
    "notice_settings": frozenset({"choices", "channels", "address_state"}),
    "notice_accounts": frozenset({"network", "state", "ended_reason"}),
    "page_score_formulas": frozenset({"valid_from", "criteria", "created_by"}),
    "grading_rubrics": frozenset({"created_by"}),
    "grading_samples": frozenset({"week", "seed", "created_by"}),
    "grading_grades": frozenset({"grader", "scores"}),
    "grading_objections": frozenset({"status", "former_scores", "scores", "requested_by", "decided_by"}),
}

# Names that tables had before they were renamed: earlier audit rows keep them.
FORMER_TABLE_NAMES = frozenset({"callback_servers", "set_aside", "triage"})

# Tables without audit rows: nobody changes them manually, or they are themselves a record.
UNAUDITED_TABLES: dict[str, str] = {
    "events": "the outbox is append-only itself",
    "audit": "the trail itself",
    "personal_data_reads": "a record itself: reading changes nothing",
    "feed_epochs": "written by the relay: which server numbers events",
    **dict.fromkeys(
        (
            "registry_idempotency",
            "ingest_idempotency",
            "appeals_idempotency",
            "webhooks_idempotency",
            "metrics_idempotency",
        ),
        "stored responses, purged after a day",
    ),
    **dict.fromkeys(
        ("weekly_reports", "weekly_report_corrections", "open_data_weeks"),
        "written by the worker, never changed; records themselves",
    ),
    "page_scores": "figures, written by the worker",
    # Audit rows of items would name the organisation, so its managers could read who graded its answers.
    "grading_items": "follow from the sample, the grades and the objections, which are audited",
    "appeal_search_documents": "made from other rows",
    "appeal_export_parts": "the rows of an export, which is recorded; written by the worker",
    **dict.fromkeys(("notices", "notice_letters"), "written by the worker; the record of who was notified"),
    "appeal_counts": "sums of other rows, written by triggers",
    **dict.fromkeys(
        ("sla_rollups", "sla_rollup_months", "sla_rollup_changes"),
        "made from other rows, written by triggers and the worker",
    ),
    "unread_appeals": "what a person has not opened yet; it changes no appeal",
    **dict.fromkeys(
        ("appeals_consumer_offsets", "webhooks_consumer_offsets", "ingest_consumer_offsets"),
        "the offsets of consumers",
    ),
    "municipalities": "changed only by migrations",
    "page_checks": "responses of the networks, written by the worker",
    "page_check_calls": "counts, written by the worker",
    "coverage_days": "figures, written by the worker",
    "sign_in_failures": "counts of failed sign-ins by digest, purged after an hour",
    **dict.fromkeys(
        ("messages", "message_versions", "authors", "pending_deletions", "processed_push_events"),
        "messages come from the networks; versions and events record their changes",
    ),
    **dict.fromkeys(
        ("sources", "threads", "poll_rates", "call_counts", "call_turns", "reading_leases"),
        "internal state of the worker",
    ),
    **dict.fromkeys(("named_people", "unindexed_messages"), "follow from the messages"),
    "erased_keys": "follow from an erasure, which is recorded",
    "console_sessions": "registry audits the sign-in; a row holds its tokens for one browser",
    "webhook_endpoint_health": "figures, written by the worker",
    "webhook_claim_turns": "internal state of the worker",
    "webhook_attempts": "a record itself, written by the worker",
    "stream_tickets": "expire within a minute; reading events changes nothing",
    "undoable_decisions": "what the last decision replaced, for minutes; taking it back is audited itself",
    "partner_events": "the record of a received event; each change of an appeal is audited itself",
    "bulk_operation_rows": "the record of a bulk operation; each change of an appeal is audited itself",
    "reply_versions": "the record of a draft's texts, with their authors",
    "appeal_presence": "expires within a minute; an open page changes nothing",
    "reply_leases": "expire within minutes; taking one over is in the timeline",
    **dict.fromkeys(
        ("timeline", "appeal_messages", "assignments", "sla_clocks", "sla_clock_events", "escalations"),
        "the permanent record of an appeal",
    ),
}

SECRET_COLUMNS = frozenset(
    {"password_hash", "secret", "digest", "identity", "raw", "challenge", "confirmation_nonce"}
)
# Columns that are not stored: derived from other columns, or part of the audit row itself.
DERIVED_COLUMNS = frozenset({"sort_key", "normalized_name", "lineage", "created_at", "updated_at"})


def audited_values(table: type[Base], subject_id: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a row as the audit trail stores them; `subject_id` makes digests unique to the row."""
    columns = table.__table__.columns
    readable = READABLE_COLUMNS[table.__tablename__]
    kept: dict[str, Any] = {}
    for name, value in values.items():
        if name in DERIVED_COLUMNS:
            continue
        if value is None:
            kept[name] = None
        elif name in SECRET_COLUMNS or isinstance(columns[name].type, LargeBinary):
            kept[name] = {"secret": True}
        elif name in readable or not may_hold_text(columns[name].type):
            kept[name] = _to_json(value)
        else:
            kept[name] = {"digest": digest(f"{table.__tablename__}.{name}", subject_id, value)}
    return kept


def may_hold_text(kind: TypeEngine[Any]) -> bool:
    """Return whether a column of this type may hold free text, by itself or in an array."""
    inner = kind.impl if isinstance(kind, TypeDecorator) else kind
    if isinstance(inner, ARRAY):
        return may_hold_text(inner.item_type)
    return isinstance(inner, Text | JSON | JSONB)


def digest(column: str, subject_id: str, value: Any) -> str:
    """Return the HMAC-SHA256 of a value; equal values in different rows or columns have different digests."""
    key = settings().audit_key.get_secret_value().encode()
    canonical = json.dumps(_to_json(value), sort_keys=True, separators=(",", ":"))
    return hmac.digest(key, f"{column}\0{subject_id}\0{canonical}".encode(), "sha256").hex()


def _to_json(value: Any) -> Any:
    match value:
        case Enum():
            return _to_json(value.value)
        case None | bool() | int() | float() | str():
            return value
        case UUID():
            return str(value)
        case datetime() | date():
            return value.isoformat()
        case Mapping():
            return {str(name): _to_json(inner) for name, inner in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_to_json(inner) for inner in value]
        case _:
            raise TypeError(f"the audit trail cannot store a {type(value).__name__}")
