"""Rename tables, columns, indexes and stored values of ingest to the words of the glossary.

The services are stopped before this migration, so renames need no views and no second columns. Rows of `audit`
stay as they are: they are chained, and keep the names of the time when they were written.
"""

from collections.abc import Mapping, Sequence

from alembic import op

from migrations.renames import inverse, lift_statement_timeout, rename

revision: str = "0028"
down_revision: str | None = "0027"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

TABLES = {
    "set_aside": "quarantine",
    "tombstones": "pending_deletions",
    "seen_events": "processed_push_events",
    "callback_servers": "callback_registrations",
}
# New table name → its renamed columns.
COLUMNS = {
    "messages": {"way_in": "source_kind"},
    "quarantine": {"way_in": "source_kind"},
    "sources": {"way": "kind", "failures": "consecutive_failures"},
    "poll_rates": {"way": "source_kind"},
    "threads": {"anchor": "cursor", "difference": "count_difference", "rechecks": "recheck_count"},
    "network_tokens": {"usage": "method_limits"},
    "callback_registrations": {"by_hand": "manual", "awaited_until": "confirmation_until"},
    "reconciliations": {"late": "within_grace"},
    "backfills": {
        "open_cases": "open_appeals",
        "share": "progress",
        "asked_by": "requested_by",
        "found": "items_read",
        "stored": "messages_added",
    },
    "publications": {
        "target": "reply_to",
        "sent_after": "baseline_position",
        "stood_before": "baseline_external_ids",
        "sent_texts": "previous_texts",
    },
}
INDEXES = {
    "ix_messages_living_posts": "ix_messages_undeleted_posts",
    "ix_messages_living_comments": "ix_messages_undeleted_comments",
    "ix_set_aside_created_at": "ix_quarantine_created_at",
    "ix_set_aside_page_id_created_at": "ix_quarantine_page_id_created_at",
    "ix_seen_events_created_at": "ix_processed_push_events_created_at",
    "ix_publications_in_doubt": "ix_publications_outcome_unknown",
}
# New table name → its renamed constraints.
CONSTRAINTS = {
    "quarantine": {"pk_set_aside": "pk_quarantine"},
    "pending_deletions": {
        "pk_tombstones": "pk_pending_deletions",
        "fk_tombstones_page_id": "fk_pending_deletions_page_id",
    },
    "processed_push_events": {
        "pk_seen_events": "pk_processed_push_events",
        "fk_seen_events_page_id": "fk_processed_push_events_page_id",
    },
    "callback_registrations": {
        "pk_callback_servers": "pk_callback_registrations",
        "fk_callback_servers_page_id": "fk_callback_registrations_page_id",
        "uq_callback_servers_digest": "uq_callback_registrations_digest",
    },
    "sources": {"uq_sources_page_id_way": "uq_sources_page_id_kind"},
}
SOURCE_KINDS = {
    "dialogs_poll": "conversations_poll",
    "suggests_poll": "suggested_posts_poll",
    "reconcile": "reconciliation",
}
CALLBACK_STATES = {"waiting": "pending", "working": "active"}
FAILURE_CODES = {
    "not_read": "thread_not_readable",
    "job_held": "job_dead_lettered",
    "unanswered": "no_response",
    "in_doubt": "outcome_unknown",
    "late": "send_deadline_passed",
    "no_token": "no_usable_token",
    "unreachable": "network_unreachable",
    "vk:place": "vk:unsupported_thread",
}
EVENT_TYPES = {
    "publication.delayed": "publication.retry_scheduled",
    "token.state_changed": "network_token.state_changed",
}
FAILED_PUBLICATIONS = ("publication.failed", "publication.retry_scheduled", "publication.uncertain")


def upgrade() -> None:
    lift_statement_timeout()
    for old, new in TABLES.items():
        rename(f"ALTER TABLE {old} RENAME TO {new}")
    for table, names in COLUMNS.items():
        for old, new in names.items():
            rename(f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}")
    for old, new in INDEXES.items():
        rename(f"ALTER INDEX {old} RENAME TO {new}")
    for table, names in CONSTRAINTS.items():
        for old, new in names.items():
            rename(f"ALTER TABLE {table} RENAME CONSTRAINT {old} TO {new}")
    _values(SOURCE_KINDS, CALLBACK_STATES)
    op.execute("UPDATE network_tokens SET method_limits = coalesce(method_limits -> 'limited', '{}')")
    _failure_codes(FAILURE_CODES)
    _event_types(EVENT_TYPES)
    _failure_codes_of_events(FAILURE_CODES, FAILED_PUBLICATIONS)
    op.execute(
        "UPDATE events SET data = data - 'adopted' - 'external_id'"
        " || jsonb_build_object('matched', coalesce(data -> 'adopted', 'false'))"
        " WHERE type = 'publication.published'"
    )
    _rename_gap_count("count", "gaps")
    op.execute(
        "UPDATE events SET data = data - 'token_id'"
        " || CASE data ->> 'state' WHEN 'retired' THEN '{\"state\": \"deleted\"}' ELSE '{}' END::jsonb"
        " WHERE type = 'network_token.state_changed'"
    )
    _deleted_token_in_deliveries("retired", "deleted")
    # Stored responses of the last 24 hours have the former field names.
    op.execute("DELETE FROM ingest_idempotency")
    # The worker creates schedules under the new names; no worker runs the former ones.
    op.execute(
        "DELETE FROM ingest_jobs.pgqueuer_schedules WHERE entrypoint IN ('publications_recovery', 'reencrypt')"
    )


def downgrade() -> None:
    lift_statement_timeout()
    op.execute(
        "DELETE FROM ingest_jobs.pgqueuer_schedules"
        " WHERE entrypoint IN ('requeue-stalled-publications', 'reencrypt-secrets')"
    )
    op.execute("DELETE FROM ingest_idempotency")
    _deleted_token_in_deliveries("deleted", "retired")
    op.execute(
        "UPDATE events SET data = data || jsonb_build_object('token_id', subject_id)"
        " || CASE data ->> 'state' WHEN 'deleted' THEN '{\"state\": \"retired\"}' ELSE '{}' END::jsonb"
        " WHERE type = 'network_token.state_changed'"
    )
    _rename_gap_count("gaps", "count")
    op.execute(
        "UPDATE events SET data = data - 'matched' || jsonb_build_object("
        "'adopted', data -> 'matched', 'external_id', data -> 'external_ids' -> 0)"
        " WHERE type = 'publication.published'"
    )
    _failure_codes_of_events(inverse(FAILURE_CODES), FAILED_PUBLICATIONS)
    _event_types(inverse(EVENT_TYPES))
    _failure_codes(inverse(FAILURE_CODES))
    op.execute("UPDATE network_tokens SET method_limits = jsonb_build_object('limited', method_limits)")
    _values(inverse(SOURCE_KINDS), inverse(CALLBACK_STATES))
    for table, names in CONSTRAINTS.items():
        for old, new in names.items():
            rename(f"ALTER TABLE {table} RENAME CONSTRAINT {new} TO {old}")
    for old, new in INDEXES.items():
        rename(f"ALTER INDEX {new} RENAME TO {old}")
    for table, names in COLUMNS.items():
        for old, new in names.items():
            rename(f"ALTER TABLE {table} RENAME COLUMN {new} TO {old}")
    for old, new in TABLES.items():
        rename(f"ALTER TABLE {new} RENAME TO {old}")


def _values(source_kinds: Mapping[str, str], callback_states: Mapping[str, str]) -> None:
    _replace("sources", "kind", source_kinds)
    for table in ("poll_rates", "messages", "quarantine"):
        _replace(table, "source_kind", source_kinds)
    _replace("callback_registrations", "state", callback_states)


def _event_types(names: Mapping[str, str]) -> None:
    """Replace event types, also where webhooks refer to them."""
    _replace("events", "type", names)
    for old, new in names.items():
        op.execute(
            f"UPDATE webhook_endpoints SET event_types = event_types - '{old}' || '[\"{new}\"]'"
            f" WHERE event_types ? '{old}'"
        )
        op.execute(
            f"UPDATE webhook_deliveries SET event_type = '{new}', payload = payload || '{{\"type\": \"{new}\"}}'"
            f" WHERE event_type = '{old}'"
        )


def _failure_codes(codes: Mapping[str, str]) -> None:
    """Replace codes in the failures of publications, and where appeals copied them."""
    for table, column in (("publications", "failure"), ("replies", "failure"), ("appeals", "reply_failed")):
        code = f"{column} ->> 'code'"
        op.execute(
            f"UPDATE {table} SET {column} = {column} || jsonb_build_object('code', {_case(code, codes)})"
            f" WHERE {code} IN ({_list(codes)})"
        )


def _failure_codes_of_events(codes: Mapping[str, str], types: Sequence[str]) -> None:
    code = "data #>> '{failure,code}'"
    op.execute(
        f"UPDATE events SET data = jsonb_set(data, '{{failure,code}}', to_jsonb({_case(code, codes)}))"
        f" WHERE type IN ({_list(types)}) AND {code} IN ({_list(codes)})"
    )


def _rename_gap_count(old: str, new: str) -> None:
    op.execute(
        f"UPDATE events SET data = data - '{old}' || jsonb_build_object('{new}', data -> '{old}')"
        " WHERE type = 'source.gap_found'"
    )
    op.execute(
        "UPDATE webhook_deliveries SET payload = jsonb_set(payload, '{data}',"
        f" (payload -> 'data') - '{old}' || jsonb_build_object('{new}', payload -> 'data' -> '{old}'))"
        " WHERE event_type = 'source.gap_found'"
    )


def _deleted_token_in_deliveries(old: str, new: str) -> None:
    op.execute(
        f"UPDATE webhook_deliveries SET payload = jsonb_set(payload, '{{data,state}}', '\"{new}\"')"
        f" WHERE event_type = 'network_token.state_changed' AND payload #>> '{{data,state}}' = '{old}'"
    )


def _replace(table: str, column: str, values: Mapping[str, str]) -> None:
    op.execute(f"UPDATE {table} SET {column} = {_case(column, values)} WHERE {column} IN ({_list(values)})")


def _case(expression: str, values: Mapping[str, str]) -> str:
    cases = " ".join(f"WHEN '{old}' THEN '{new}'" for old, new in values.items())
    return f"CASE {expression} {cases} END"


def _list(values: Sequence[str] | Mapping[str, str]) -> str:
    return ", ".join(f"'{value}'" for value in values)
