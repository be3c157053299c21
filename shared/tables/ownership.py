"""Which service owns each table, and which columns and tables only the owner may read."""

TABLE_OWNERS: dict[str, str] = {
    **dict.fromkeys(
        (
            "municipalities",
            "calendars",
            "calendar_days",
            "organisations",
            "organisation_names",
            "successions",
            "pages",
            "page_steps",
            "page_checks",
            "page_check_calls",
            "coverage_days",
            "people",
            "api_clients",
            "client_secrets",
            "refresh_tokens",
            "sign_in_failures",
            "registry_idempotency",
        ),
        "registry",
    ),
    **dict.fromkeys(
        (
            "messages",
            "message_versions",
            "authors",
            "sources",
            "threads",
            "quarantine",
            "network_tokens",
            "call_counts",
            "poll_rates",
            "callback_registrations",
            "pending_deletions",
            "processed_push_events",
            "reconciliations",
            "backfills",
            "publications",
            "ingest_consumer_offsets",
            "ingest_idempotency",
        ),
        "ingest",
    ),
    **dict.fromkeys(
        (
            "topics",
            "sla_policies",
            "appeals",
            "appeal_messages",
            "classifications",
            "replies",
            "promises",
            "reply_versions",
            "reply_leases",
            "reply_templates",
            "approval_rules",
            "timeline",
            "reviews",
            "assignments",
            "incidents",
            "incident_members",
            "incident_replies",
            "alerts",
            "rule_sets",
            "routing_rules",
            "assignee_rules",
            "absences",
            "appeal_watchers",
            "appeal_notes",
            "appeals_consumer_offsets",
            "appeals_idempotency",
        ),
        "appeals",
    ),
    **dict.fromkeys(
        ("webhook_endpoints", "webhook_deliveries", "webhooks_consumer_offsets", "webhooks_idempotency"),
        "webhooks",
    ),
}

RESTRICTED_COLUMNS: dict[str, set[str]] = {
    "people": {"username", "full_name", "password_hash", "issuer", "external_subject", "locked_reason"},
    "client_secrets": {"digest"},
    "refresh_tokens": {"digest", "ip_address", "user_agent"},
    "sign_in_failures": {"digest"},
    "messages": {"raw"},
    "message_versions": {"raw"},
    "authors": {"identity"},
    "quarantine": {"raw"},
    "network_tokens": {"secret", "digest", "challenge"},
    "callback_registrations": {"secret", "digest"},
    "appeal_notes": {"text"},
    "webhook_endpoints": {"secret"},
}

# Restricted columns that one other service reads too: column by table, and its role.
SHARED_COLUMNS: dict[tuple[str, str], str] = {("people", "full_name"): "appeals"}

# Stored responses contain everything that the caller could see.
OWNER_ONLY_TABLES = {table for table in TABLE_OWNERS if table.endswith("_idempotency")}
