"""Rename columns, stored values and event types of registry to the words of the glossary.

The services are stopped meanwhile: the previous version uses only the former names. Stored events, deliveries and
subscriptions get the new names, so that nothing reads the former ones. Audit rows are never changed.
"""

import json
from collections.abc import Mapping, Sequence

from alembic import op

from migrations.renames import inverse, lift_statement_timeout, rename

revision: str = "0027"
down_revision: str | None = "0026"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

COLUMNS = (
    ("organisation_names", "folded", "normalized_name"),
    ("successions", "took_place_on", "effective_on"),
    ("pages", "live_from", "go_live_at"),
    ("page_checks", "outcome", "state"),
    ("page_checks", "facts", "snapshot"),
    ("page_checks", "changed", "changes"),
    ("coverage_days", "total", "required"),
    ("coverage_days", "owner_id", "parent_id"),
    ("people", "beneath", "include_subordinates"),
    ("api_clients", "beneath", "include_subordinates"),
    ("refresh_tokens", "came_from", "ip_address"),
)
INDEXES = (
    ("ix_organisation_names_folded", "ix_organisation_names_normalized_name"),
    ("uq_page_steps_standing", "uq_page_steps_current"),
)
# Trigger functions of `organisations`; each has a trigger of the same name.
TRIGGERS = (
    ("organisations_own_lineage", "organisations_set_lineage"),
    ("organisations_lineage_beneath", "organisations_update_descendants"),
)
SET_LINEAGE = """
CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE above uuid[] := '{{}}';
BEGIN
    IF NEW.parent_id IS NOT NULL THEN
        SELECT lineage INTO above FROM organisations WHERE id = NEW.parent_id;
        IF NOT FOUND THEN
            RAISE foreign_key_violation USING MESSAGE = 'the parent must be written before its children';
        END IF;
        IF NEW.id = ANY (above) THEN
            RAISE check_violation USING MESSAGE = '{error}';
        END IF;
    END IF;
    NEW.lineage := above || NEW.id;
    RETURN NEW;
END $$
"""
CYCLE_ERROR = "an organisation cannot belong to itself or to one of its descendants"
FORMER_CYCLE_ERROR = "an organisation cannot belong to itself or to one beneath it"

EVENT_TYPES = {
    "page.unreachable": "page.gone",
    "page.mark_lost": "page.badge_lost",
    "page.changed_hands": "page.transferred",
    "page.stolen": "page.takeover_suspected",
    "organisation.succeeded": "organisation.succession_recorded",
    "webhook.suspended": "webhook.endpoint_suspended",
}
# Types that keep their name, and whose data or actor contain former names.
OTHER_TYPES = (
    "page.registered", "page.changed", "page.step_reached", "page.step_lost", "page.closed", "page.renamed",
    "person.changed", "client.changed",
)  # fmt: skip
DATA_FIELDS = {
    "live_from": "go_live_at",
    "moved_from": "previous_organisation_id",
    "signs": "signals",
    "took_place_on": "effective_on",
    "successors": "successor_ids",
}
# Values of closed lists: a step, the signals of a takeover, and names of changed fields.
DATA_VALUES = {
    "marked": "gov_badge",
    "name_and_address_changed": "name_and_screen_name_changed",
    "mark_lost_with_name": "badge_lost_with_rename",
    "live_from": "go_live_at",
    "beneath": "include_subordinates",
}
FIELDS_WITH_VALUES = ("step", "signs", "signals", "changed")


def upgrade() -> None:
    lift_statement_timeout()
    for table, old, new in COLUMNS:
        _rename_column(table, old, new)
    for old, new in INDEXES:
        rename(f"ALTER INDEX {old} RENAME TO {new}")
    for old, new in TRIGGERS:
        _rename_trigger(old, new)
    op.execute(SET_LINEAGE.format(name="organisations_set_lineage", error=CYCLE_ERROR))
    op.execute("UPDATE page_steps SET step = 'gov_badge' WHERE step = 'marked'")
    op.execute("UPDATE page_steps SET confirmed_by = 'registry' WHERE confirmed_by = 'system'")
    _rewrite_events(EVENT_TYPES, DATA_FIELDS, DATA_VALUES, actor=("system", "registry"))
    _delete_stored_responses()


def downgrade() -> None:
    lift_statement_timeout()
    _delete_stored_responses()
    _rewrite_events(inverse(EVENT_TYPES), inverse(DATA_FIELDS), inverse(DATA_VALUES), actor=("registry", "system"))
    op.execute("UPDATE page_steps SET confirmed_by = 'system' WHERE confirmed_by = 'registry'")
    op.execute("UPDATE page_steps SET step = 'marked' WHERE step = 'gov_badge'")
    op.execute(SET_LINEAGE.format(name="organisations_set_lineage", error=FORMER_CYCLE_ERROR))
    for old, new in TRIGGERS:
        _rename_trigger(new, old)
    for old, new in INDEXES:
        rename(f"ALTER INDEX {new} RENAME TO {old}")
    for table, old, new in COLUMNS:
        _rename_column(table, new, old)


def _rename_column(table: str, old: str, new: str) -> None:
    rename(f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}")


def _rename_trigger(old: str, new: str) -> None:
    rename(f"ALTER FUNCTION {old} RENAME TO {new}")
    rename(f"ALTER TRIGGER {old} ON organisations RENAME TO {new}")


def _rewrite_events(
    types: Mapping[str, str], fields: Mapping[str, str], values: Mapping[str, str], *, actor: tuple[str, str]
) -> None:
    """Rename types, fields and values in events, deliveries and subscriptions, also where texts quote a type."""
    affected = ", ".join(f"'{name}'" for name in (*types, *OTHER_TYPES))
    op.execute(
        f"UPDATE events SET type = {_renamed('type', types)}, data = {_renamed_data('data', fields, values)}, "
        f"actor = CASE WHEN type LIKE 'page.%' AND actor = '{actor[0]}' THEN '{actor[1]}' ELSE actor END "
        f"WHERE type IN ({affected})"
    )
    new_type, new_data = _renamed("event_type", types), _renamed_data("payload -> 'data'", fields, values)
    op.execute(
        f"UPDATE webhook_deliveries SET event_type = {new_type}, "
        f"payload = payload || jsonb_build_object('type', {new_type}, 'data', {new_data}) "
        f"WHERE event_type IN ({affected})"
    )
    op.execute(
        "UPDATE webhook_endpoints SET event_types = (SELECT jsonb_agg("
        + _renamed("name", types)
        + " ORDER BY place) "
        "FROM jsonb_array_elements_text(event_types) WITH ORDINALITY AS listed (name, place)) "
        "WHERE jsonb_array_length(event_types) > 0"
    )
    # Stored reasons quote the event type that the owner of an endpoint may not read: rename it there too.
    quoted = {f"«{old}»": f"«{new}»" for old, new in types.items()}
    op.execute(
        f"UPDATE webhook_endpoints SET suspended_reason = {_replaced('suspended_reason', quoted)} "
        "WHERE suspended_reason IS NOT NULL"
    )
    op.execute(
        f"UPDATE webhook_deliveries SET last_error = {_replaced('last_error', quoted)} WHERE last_error LIKE '%«%'"
    )
    op.execute(
        f"UPDATE events SET data = {_replaced('data::text', quoted)}::jsonb "
        "WHERE type IN ('webhook.suspended', 'webhook.endpoint_suspended')"
    )


def _renamed(column: str, names: Mapping[str, str]) -> str:
    """Return SQL that replaces a former name in a column with the new name, and leaves other texts unchanged."""
    return f"coalesce(CAST('{json.dumps(names)}' AS jsonb) ->> {column}, {column})"


def _renamed_data(column: str, fields: Mapping[str, str], values: Mapping[str, str]) -> str:
    """Return SQL for the data of an event with new names of fields and values."""
    with_values = ", ".join(f"'{name}'" for name in FIELDS_WITH_VALUES)
    quoted = {f'"{old}"': f'"{new}"' for old, new in values.items()}
    return (
        f"(SELECT coalesce(jsonb_object_agg({_renamed('field.key', fields)}, "
        f"CASE WHEN field.key IN ({with_values}) THEN CAST({_replaced('field.value::text', quoted)} AS jsonb) "
        f"ELSE field.value END), '{{}}') FROM jsonb_each({column}) AS field)"
    )


def _replaced(text: str, replacements: Mapping[str, str]) -> str:
    for old, new in replacements.items():
        text = f"replace({text}, '{old}', '{new}')"
    return text


def _delete_stored_responses() -> None:
    """Delete the responses kept for `Idempotency-Key`: their bodies have the other field names."""
    for service in ("registry", "webhooks"):
        op.execute(f"DELETE FROM {service}_idempotency")
