"""Rename tables, columns, indexes and stored values of appeals to the words of the glossary.

Run it while the services are stopped: the previous version uses the former names. Only stored responses and
schedules are deleted. Audit rows keep the former names, because they are chained.
"""

import json
from collections.abc import Mapping, Sequence

from alembic import op

from migrations.renames import inverse, lift_statement_timeout, rename

revision: str = "0029"
down_revision: str | None = "0028"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

TABLES = {"triage": "classifications", "hands": "assignments"}
# Table, by its new name → column → its new name.
COLUMNS: Mapping[str, Mapping[str, str]] = {
    "classifications": {
        "judged_by": "classified_by",
        "confidence": "needs_answer_confidence",
        "place_from": "location_source",
        "fault": "utility_failure",
    },
    "reviews": {
        "judged": "predicted",
        "judged_by": "predicted_by",
        "group_id": "topic_group_id",
        "agrees_need": "agrees_needs_answer",
        "agrees_group": "agrees_topic_group",
        "agrees_place": "agrees_location",
        "agrees_owner": "agrees_organisation",
    },
    "appeals": {"handovers": "transfers", "overdue_noted_at": "overdue_recorded_at", "fault": "utility_failure"},
    "topics": {"classifier": "taxonomy_version", "contains": "includes", "not_with": "excludes"},
    "rule_sets": {"made_by": "created_by"},
    "incidents": {
        "members": "member_count",
        "first_at": "first_written_at",
        "last_at": "last_written_at",
        "fault": "utility_failure",
    },
    "incident_members": {"likeness": "similarity"},
    "incident_replies": {"also_later": "include_later_members", "beneath": "include_subordinates"},
}
# Table, by its new name → constraint → its new name.
CONSTRAINTS: Mapping[str, Mapping[str, str]] = {
    "classifications": {
        "pk_triage": "pk_classifications",
        "fk_triage_message_id": "fk_classifications_message_id",
        "fk_triage_topic_id": "fk_classifications_topic_id",
    },
    "assignments": {
        "pk_hands": "pk_assignments",
        "fk_hands_appeal_id": "fk_assignments_appeal_id",
        "fk_hands_from_organisation_id": "fk_assignments_from_organisation_id",
        "fk_hands_to_organisation_id": "fk_assignments_to_organisation_id",
    },
    "reviews": {"fk_reviews_group_id": "fk_reviews_topic_group_id"},
}
INDEXES = {
    "ix_triage_created_at": "ix_classifications_created_at",
    "ix_triage_needs_answer_created_at": "ix_classifications_needs_answer_created_at",
    "ix_triage_judged_by_created_at": "ix_classifications_classified_by_created_at",
    "ix_triage_by_people": "ix_classifications_by_person",
    "ix_triage_topic_id_created_at": "ix_classifications_topic_id_created_at",
    "ix_triage_urgent": "ix_classifications_urgent",
    "ix_triage_languages": "ix_classifications_language",
    "ix_hands_appeal_id": "ix_assignments_appeal_id",
    "ix_appeals_handed_over": "ix_appeals_transferred",
    "ix_appeals_ownerless": "ix_appeals_unassigned",
    "ix_appeals_waiting": "ix_appeals_first_response_due",
    "ix_replies_waiting": "ix_replies_unacknowledged",
    "ix_appeals_words": "ix_appeals_text_hash",
    "ix_appeals_fault": "ix_appeals_municipality_utility_failure",
    "ix_appeals_faults": "ix_appeals_utility_failure",
    "ix_appeals_street": "ix_appeals_municipality_street",
    "ix_appeals_settlements": "ix_appeals_settlement",
    "ix_appeals_languages": "ix_appeals_language",
    "uq_incident_members_present": "uq_incident_members_current",
}
TRIGGER = {"reviews_follow_case": "reviews_follow_appeal"}

# Keys of stored JSON, and values.
ROUTE_KEYS = {"waiting_for": "triage_reason", "held_by": "unassigned_from"}
TRIAGE_REASONS = {
    "buryat": "buryat_text",
    "by_rule": "moderators_by_rule",
    "unruled": "no_rule",
    "no_page": "page_unknown",
    "closed": "organisation_closed",
    "topic_unsure": "topic_uncertain",
}
DEADLINE_KEYS = {"start": "starts_at", "next": "next_response", "earlier": "previous_responses"}
DAY_KEYS = {"title": "note"}
PREDICTED_KEYS = {
    "place_from": "location_source",
    "confidence": "needs_answer_confidence",
    "fault": "utility_failure",
}
DECIDED_KEYS = {"place": "location"}
TIMELINE_KEYS = {"place": "location", "by_hand": "manual"}
TIMELINE_KINDS = {
    "place_changed": "location_changed",
    "incident_answer_skipped": "incident_reply_skipped",
    "triaged": "triage_decided",
}
EVENT_KEYS = {
    "left": "assignment_lost",
    "members": "member_count",
    "first_at": "first_written_at",
    "last_at": "last_written_at",
    "own": "own_appeals_only",
    "fault": "utility_failure",
}
ALERT_KINDS = {"burst": "spike", "ping_pong": "repeated_transfers"}
ORIGINS = {"burst": "spike"}
FAILURE_CODES = {"job_held": "job_dead_lettered"}
NO_PREDICTION = {"nobody": "none"}
RIGHTS = {"understanding:read": "classifications:read"}
JOBS = {"reroute": "reroute_appeals", "answer_incident": "create_incident_replies"}
JOB_KEYS = {"untouched": "include_untouched"}
SCHEDULES = {
    "retry-ownerless": "reroute-unassigned",
    "note-overdue": "record-breaches",
    "ask-again": "request-publications-again",
}
EVENT_TYPES = (
    "appeal.moved",
    "incident.opened",
    "incident.grown",
    "incident.closed",
    "alert.raised",
    "reply.failed",
)


def upgrade() -> None:
    _prepare()
    for old, new in TABLES.items():
        rename(f"ALTER TABLE {old} RENAME TO {new}")
    _rename_parts(down=False)
    _rewrite_values(down=False)


def downgrade() -> None:
    _prepare()
    _rewrite_values(down=True)
    _rename_parts(down=True)
    for old, new in TABLES.items():
        rename(f"ALTER TABLE {new} RENAME TO {old}")


def _prepare() -> None:
    lift_statement_timeout()
    # Stored responses have the former field names.
    op.execute("DELETE FROM appeals_idempotency")


def _turned(names: Mapping[str, str], *, down: bool) -> dict[str, str]:
    """Return the names, reversed for a downgrade."""
    return inverse(names) if down else dict(names)


def _rename_parts(*, down: bool) -> None:
    """Rename columns, constraints, indexes and the trigger."""
    for table, columns in COLUMNS.items():
        for old, new in _turned(columns, down=down).items():
            rename(f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}")
    for table, constraints in CONSTRAINTS.items():
        for old, new in _turned(constraints, down=down).items():
            rename(f"ALTER TABLE {table} RENAME CONSTRAINT {old} TO {new}")
    for old, new in _turned(INDEXES, down=down).items():
        rename(f"ALTER INDEX {old} RENAME TO {new}")
    for old, new in _turned(TRIGGER, down=down).items():
        rename(f"ALTER TRIGGER {old} ON appeals RENAME TO {new}")
        rename(f"ALTER FUNCTION {old}() RENAME TO {new}")


# `names` is an object: former → new.
WITH_VALUE = """
CREATE FUNCTION pg_temp.with_value(value jsonb, names jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(to_jsonb(names ->> (value #>> '{}')), value)
$$
"""
WITH_KEYS = """
CREATE FUNCTION pg_temp.with_keys(data jsonb, names jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(jsonb_object_agg(coalesce(names ->> key, key), value), '{}') FROM jsonb_each(data)
$$
"""
# A response clock of `appeals.deadline`, with the days that its working time falls on.
CLOCK = """
CREATE FUNCTION pg_temp.clock(data jsonb, names jsonb, day_names jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT pg_temp.with_keys(data, names) || CASE WHEN data ? 'days' THEN jsonb_build_object('days', (
        SELECT coalesce(jsonb_agg(pg_temp.with_keys(day, day_names) ORDER BY position), '[]')
        FROM jsonb_array_elements(data -> 'days') WITH ORDINALITY AS days (day, position)
    )) ELSE '{}' END
$$
"""
FUNCTIONS = {
    "with_value(jsonb, jsonb)": WITH_VALUE,
    "with_keys(jsonb, jsonb)": WITH_KEYS,
    "clock(jsonb, jsonb, jsonb)": CLOCK,
}


def _rewrite_values(*, down: bool) -> None:
    for create in FUNCTIONS.values():
        op.execute(create)
    _rewrite_columns(down=down)
    _rewrite_routes(down=down)
    _rewrite_deadlines(down=down)
    _rewrite_reviews(down=down)
    _rewrite_failures(down=down)
    _rewrite_timeline(down=down)
    _rewrite_events(down=down)
    _rewrite_rights(down=down)
    _rewrite_jobs(down=down)
    for name in reversed(FUNCTIONS):
        # A function of this transaction: nobody else can use it.
        op.execute(f"-- squawk-ignore ban-drop-function\nDROP FUNCTION pg_temp.{name}")


def _rewrite_columns(*, down: bool) -> None:
    """Replace values of text columns. `reviews` has the new column name in both directions."""
    for table, column, values in (
        ("alerts", "kind", ALERT_KINDS),
        ("incidents", "origin", ORIGINS),
        ("reviews", "predicted_by", NO_PREDICTION),
        ("timeline", "kind", TIMELINE_KINDS),
        ("appeals_jobs.pgqueuer", "entrypoint", JOBS),
    ):
        for old, new in _turned(values, down=down).items():
            op.execute(f"UPDATE {table} SET {column} = '{new}' WHERE {column} = '{old}'")


def _rewrite_routes(*, down: bool) -> None:
    keys, reasons = _turned(ROUTE_KEYS, down=down), _turned(TRIAGE_REASONS, down=down)
    reason = "triage_reason" if down else "waiting_for"
    op.execute(
        f"UPDATE appeals SET route = pg_temp.with_keys(route, {_json(keys)}) || CASE WHEN route ? '{reason}' THEN"
        f" jsonb_build_object('{keys[reason]}', pg_temp.with_value(route -> '{reason}', {_json(reasons)}))"
        f" ELSE '{{}}' END WHERE route ?| {_array(keys)}"
    )


def _rewrite_deadlines(*, down: bool) -> None:
    keys, day_keys = _json(_turned(DEADLINE_KEYS, down=down)), _json(_turned(DAY_KEYS, down=down))
    following, former = ("next_response", "previous_responses") if not down else ("next", "earlier")
    # First the clock of the first response, which is the object itself; then the clocks nested in it.
    op.execute(
        f"UPDATE appeals SET deadline = pg_temp.clock(deadline, {keys}, {day_keys})"
        " WHERE jsonb_typeof(deadline) = 'object' AND deadline <> '{}'"
    )
    op.execute(
        f"UPDATE appeals SET deadline = jsonb_set(deadline, '{{{following}}}',"
        f" pg_temp.clock(deadline -> '{following}', {keys}, {day_keys}))"
        f" WHERE jsonb_typeof(deadline -> '{following}') = 'object'"
    )
    op.execute(
        f"UPDATE appeals SET deadline = jsonb_set(deadline, '{{{former}}}', ("
        f"SELECT coalesce(jsonb_agg(pg_temp.clock(one, {keys}, {day_keys}) ORDER BY position), '[]')"
        f" FROM jsonb_array_elements(deadline -> '{former}') WITH ORDINALITY AS clocks (one, position)))"
        f" WHERE jsonb_typeof(deadline -> '{former}') = 'array'"
    )


def _rewrite_reviews(*, down: bool) -> None:
    for column, names in (("predicted", PREDICTED_KEYS), ("decided", DECIDED_KEYS)):
        keys = _turned(names, down=down)
        op.execute(
            f"UPDATE reviews SET {column} = pg_temp.with_keys({column}, {_json(keys)})"
            f" WHERE {column} ?| {_array(keys)}"
        )


def _rewrite_failures(*, down: bool) -> None:
    for old, new in _turned(FAILURE_CODES, down=down).items():
        for table, column, path in (
            ("replies", "failure", "{code}"),
            ("appeals", "reply_failed", "{code}"),
            ("timeline", "data", "{failure,code}"),
        ):
            op.execute(
                f"UPDATE {table} SET {column} = jsonb_set({column}, '{path}', to_jsonb('{new}'::text))"
                f" WHERE {column} #>> '{path}' = '{old}'"
            )


def _rewrite_timeline(*, down: bool) -> None:
    """Rename keys. The kinds already have their final values."""
    kind = "place_changed" if down else "location_changed"
    keys = _turned(TIMELINE_KEYS, down=down)
    op.execute(
        f"UPDATE timeline SET data = pg_temp.with_keys(data, {_json(keys)})"
        f" WHERE kind IN ('{kind}', 'opened') AND data ?| {_array(keys)}"
    )


def _rewrite_events(*, down: bool) -> None:
    """Rewrite stored events and the bodies of deliveries, which an operator may send again."""
    event = _event_data("type", "data", down=down)
    if down:
        event = (
            f"{event} || CASE WHEN type = 'reply.failed' THEN jsonb_build_object('failure', jsonb_build_object("
            f"'code', ({event}) -> 'code', 'message', data -> 'reason', 'at', data -> 'failed_at',"
            " 'will_retry', false)) ELSE '{}' END"
        )
    op.execute(f"UPDATE events SET data = {event} WHERE type IN {EVENT_TYPES!r}")
    delivered = _event_data("event_type", "(payload -> 'data')", down=down)
    op.execute(
        f"UPDATE webhook_deliveries SET payload = jsonb_set(payload, '{{data}}', {delivered})"
        f" WHERE event_type IN {EVENT_TYPES!r}"
    )


def _event_data(event_type: str, data: str, *, down: bool) -> str:
    """Return the expression of an event's data; the deliveries of a type have the same fields as its events."""
    keys, kinds, origins, codes = (
        _json(_turned(names, down=down)) for names in (EVENT_KEYS, ALERT_KINDS, ORIGINS, FAILURE_CODES)
    )
    return (
        f"pg_temp.with_keys({data} - CASE {event_type} WHEN 'reply.failed' THEN 'failure' ELSE '' END, {keys})"
        f" || CASE {event_type}"
        f" WHEN 'appeal.moved' THEN '{{}}'"
        f" WHEN 'alert.raised' THEN jsonb_build_object('kind', pg_temp.with_value({data} -> 'kind', {kinds}))"
        f" WHEN 'reply.failed' THEN jsonb_build_object('code', pg_temp.with_value({data} -> 'code', {codes}))"
        f" ELSE jsonb_build_object('origin', pg_temp.with_value({data} -> 'origin', {origins})) END"
    )


def _rewrite_rights(*, down: bool) -> None:
    rights = _turned(RIGHTS, down=down)
    op.execute(
        f"UPDATE api_clients SET scopes = (SELECT jsonb_agg(pg_temp.with_value(one, {_json(rights)})"
        " ORDER BY position) FROM jsonb_array_elements(scopes) WITH ORDINALITY AS rights (one, position))"
        f" WHERE jsonb_typeof(scopes) = 'array' AND scopes ?| {_array(rights)}"
    )


def _rewrite_jobs(*, down: bool) -> None:
    """Rename the keys of waiting jobs' payloads. The names of the jobs already have their final values."""
    payload = "convert_from(payload, 'UTF8')::jsonb"
    job = "reroute" if down else "reroute_appeals"
    op.execute(
        f"UPDATE appeals_jobs.pgqueuer SET payload ="
        f" convert_to(pg_temp.with_keys({payload}, {_json(_turned(JOB_KEYS, down=down))})::text, 'UTF8')"
        f" WHERE entrypoint = '{job}' AND payload IS NOT NULL"
    )
    # A worker adds its own schedules when it starts; it would not delete those of former names.
    names = tuple(_turned(SCHEDULES, down=down))
    op.execute(f"DELETE FROM appeals_jobs.pgqueuer_schedules WHERE entrypoint IN {names!r}")


def _json(names: Mapping[str, str]) -> str:
    return f"'{json.dumps(names)}'"


def _array(names: Mapping[str, str]) -> str:
    return f"array[{', '.join(repr(name) for name in names)}]"
