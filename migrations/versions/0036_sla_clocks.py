"""Store the clocks of appeals as rows with their events, and give SLA policies versions and conditions.

`appeals.deadline` moves to the new tables. The services are stopped meanwhile: the previous version writes it. The
row of a clock is its start, in the one calendar in which it counted; a clock that has ended gets an event for its
end. Policies of one urgency become the versions of one policy.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from migrations.indexes import create_index_concurrently
from migrations.renames import lift_statement_timeout

revision: str = "0036"
down_revision: str | None = "0035"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

OWNER = "gospablik_appeals"
OTHERS = "gospablik_registry, gospablik_ingest, gospablik_metrics, gospablik_webhooks"
UNFINISHED = "state IN ('waiting', 'running', 'paused')"
MOMENT = sa.DateTime(timezone=True)
# Seven working days from an interim answer to the final one.
PROMISE_HOURS = 56
# Name, type and default of the new columns of policies; without a default they may be null.
POLICY_COLUMNS: tuple[tuple[str, sa.types.TypeEngine[Any], str | None], ...] = (
    ("policy_key", sa.Uuid(), None),
    ("version", sa.Integer(), "1"),
    ("topic_id", sa.Uuid(), None),
    ("organisation_kind", sa.Text(), None),
    ("channel", sa.Text(), None),
    ("legal_regime", sa.Text(), None),
    ("first_response_unit", sa.Text(), "working"),
    ("ceiling_hours", sa.Float(), None),
    ("resolution_unit", sa.Text(), "working"),
    ("promise_hours", sa.Float(), None),
    ("promise_unit", sa.Text(), "working"),
    ("return_hours", sa.Float(), None),
    ("return_unit", sa.Text(), "working"),
    ("warn_at", JSONB(), "[0.5, 0.8]"),
    (
        "escalation",
        JSONB(),
        '{"executor_share": 0.8, "manager_hours": 0, "centre_hours": 4, "deputy_head_hours": 9}',
    ),
    ("valid_until", MOMENT, None),
    ("created_by", sa.Text(), None),
)
# Of several policies of an urgency the latest that had started was in effect.
SERIES = f"""
UPDATE sla_policies SET policy_key = series.policy_key, version = series.version, valid_until = series.valid_until,
    promise_hours = {PROMISE_HOURS}
FROM (
    SELECT id, first_value(id) OVER versions AS policy_key, row_number() OVER versions AS version,
           lead(valid_from) OVER versions AS valid_until
    FROM sla_policies WINDOW versions AS (PARTITION BY urgency ORDER BY valid_from, created_at, id)
) AS series
WHERE series.id = sla_policies.id
"""
COLUMNS = """id, appeal_id, kind, state, message_id, written_at, received_at, policy_id, target_seconds, unit,
    started_at, due_at, stopped_at, used_seconds, on_time, explanation, created_at, updated_at"""
# SQL expressions that read the fields of a stored clock from the JSON value `c`.
POLICY = "(SELECT id FROM sla_policies WHERE id = (c ->> 'policy_id')::uuid)"
TARGET = "round((c ->> 'hours')::float8 * 3600)"
STARTED = "(c ->> 'starts_at')::timestamptz"
MESSAGE = "(SELECT id FROM messages WHERE id = (c ->> 'message_id')::uuid)"
WRITTEN = "(c ->> 'written_at')::timestamptz, (c ->> 'received_at')::timestamptz"
WORDS = "c - '{message_id,written_at,received_at,answered_at,on_time,working_seconds}'::text[]"
UNIT = """ || '{"unit": "working"}'"""
FIRST = f"""
INSERT INTO sla_clocks ({COLUMNS})
SELECT gen_random_uuid(), a.id, 'first_response',
    CASE WHEN first_response_at IS NULL THEN 'running' ELSE 'stopped' END,
    NULL, written_at, opened_at, {POLICY}, {TARGET}, 'working', {STARTED}, first_response_due_at,
    first_response_at, first_response_working_seconds, first_response_at <= first_response_due_at,
    ({WORDS}){UNIT}, opened_at, now()
FROM appeals AS a, LATERAL (SELECT deadline - '{{next_response,previous_responses}}'::text[] AS c) AS clock
WHERE jsonb_exists(deadline, 'policy_id')
"""
PREVIOUS = f"""
INSERT INTO sla_clocks ({COLUMNS})
SELECT gen_random_uuid(), a.id, 'next_response', 'stopped', {MESSAGE}, {WRITTEN}, {POLICY}, {TARGET}, 'working',
    {STARTED}, (c ->> 'due_at')::timestamptz, (c ->> 'answered_at')::timestamptz,
    (c ->> 'working_seconds')::bigint, (c ->> 'on_time')::boolean, ({WORDS}){UNIT},
    (c ->> 'received_at')::timestamptz, now()
FROM appeals AS a, LATERAL jsonb_array_elements(deadline -> 'previous_responses') AS c
WHERE jsonb_typeof(deadline -> 'previous_responses') = 'array'
"""
# A message without a started clock waits for a moderator if the appeal is in triage; else its clock is cancelled.
NEXT = f"""
INSERT INTO sla_clocks ({COLUMNS})
SELECT gen_random_uuid(), a.id, 'next_response',
    CASE WHEN jsonb_exists(c, 'policy_id') THEN 'running' WHEN status = 'triage' THEN 'waiting'
         ELSE 'cancelled' END,
    {MESSAGE}, {WRITTEN}, {POLICY}, {TARGET}, CASE WHEN jsonb_exists(c, 'policy_id') THEN 'working' END,
    {STARTED}, next_response_due_at, NULL, NULL, NULL,
    CASE WHEN jsonb_exists(c, 'policy_id') THEN ({WORDS}){UNIT} END,
    (c ->> 'received_at')::timestamptz, now()
FROM appeals AS a, LATERAL (SELECT deadline -> 'next_response' AS c) AS clock
WHERE jsonb_typeof(c) = 'object' AND first_response_at IS NOT NULL
"""
# The clock of the final answer starts with the newest started clock.
FINAL = f"""
INSERT INTO sla_clocks ({COLUMNS})
SELECT gen_random_uuid(), a.id, 'final_answer', CASE WHEN answer.at IS NULL THEN 'running' ELSE 'stopped' END,
    last.message_id, last.written_at, last.received_at, last.policy_id,
    round((SELECT resolution_hours FROM sla_policies WHERE id = last.policy_id) * 3600), 'working',
    last.started_at, resolution_due_at, answer.at, NULL, answer.at <= resolution_due_at, NULL,
    last.created_at, now()
FROM appeals AS a
CROSS JOIN LATERAL (
    SELECT * FROM sla_clocks WHERE appeal_id = a.id AND started_at IS NOT NULL ORDER BY created_at DESC LIMIT 1
) AS last
LEFT JOIN LATERAL (
    SELECT max(published_at) AS at FROM replies
    WHERE appeal_id = a.id AND status = 'published' AND kind = 'final' AND published_at >= last.written_at
) AS answer ON true
WHERE resolution_due_at IS NOT NULL AND last.policy_id IS NOT NULL
"""
# The row of a clock is its start; a clock that has ended has an event for its end.
OWNERS = """
UPDATE sla_clocks SET started_by = 'system', start_recorded_at = now(), organisation_id = appeals.organisation_id,
    calendar_id = (SELECT id FROM calendars WHERE id = coalesce(
        sla_clocks.explanation ->> 'calendar_id', appeals.deadline ->> 'calendar_id')::uuid)
FROM appeals WHERE appeals.id = sla_clocks.appeal_id AND started_at IS NOT NULL
"""
EVENT_COLUMNS = "clock_id, sequence, kind, at, actor, recorded_at"
STOPS = f"""
INSERT INTO sla_clock_events ({EVENT_COLUMNS})
SELECT id, 2, 'stopped', stopped_at, 'system', now() FROM sla_clocks
WHERE state = 'stopped' AND started_at IS NOT NULL
"""
# Deadlines that have already passed are not escalated: people know of them, and they are many.
ESCALATED = """
UPDATE appeals SET next_escalation_at = due.at
FROM (
    SELECT id, CASE WHEN first_response_at IS NULL THEN first_response_due_at
               ELSE coalesce(next_response_due_at, promised_at) END AS at
    FROM appeals WHERE status IN ('assigned', 'in_progress', 'interim', 'reopened')
) AS due
WHERE due.id = appeals.id AND due.at > now()
"""
# A clock in its former form. An unfinished clock has no stored explanation: it gets a minimal one, which the
# previous release replaces at the next change of the appeal. A paused clock has no deadline: it gets the current
# time.
EXPLANATION = """(coalesce(explanation, (
    SELECT jsonb_build_object(
        'policy_id', policy.id, 'policy', policy.name, 'hours', target_seconds / 3600.0,
        'starts_from', policy.starts_from, 'starts_at', started_at, 'due_at', coalesce(due_at, now()),
        'calendar_id', calendar.id, 'calendar', coalesce(calendar.name, ''),
        'time_zone', coalesce(calendar.time_zone, 'Asia/Irkutsk'), 'days', '[]'::jsonb, 'text', '')
    FROM sla_policies AS policy LEFT JOIN calendars AS calendar ON calendar.id = sla_clocks.calendar_id
    WHERE policy.id = sla_clocks.policy_id)) - 'segments' - 'unit')"""
OF_MESSAGE = f"""{EXPLANATION} || jsonb_build_object(
    'message_id', message_id, 'written_at', written_at, 'received_at', received_at)"""
BACK = f"""
UPDATE appeals SET deadline = nullif(
    coalesce((SELECT {EXPLANATION} FROM sla_clocks
              WHERE appeal_id = appeals.id AND kind = 'first_response' AND started_at IS NOT NULL), '{{}}')
    || coalesce((SELECT jsonb_build_object('next_response', CASE WHEN state = 'waiting'
                     THEN jsonb_build_object('message_id', message_id, 'written_at', written_at,
                                             'received_at', received_at)
                     ELSE {OF_MESSAGE} END) FROM sla_clocks
                 WHERE appeal_id = appeals.id AND kind = 'next_response' AND {UNFINISHED}), '{{}}')
    || coalesce((SELECT jsonb_build_object('previous_responses', jsonb_agg({OF_MESSAGE} || jsonb_build_object(
                     'answered_at', stopped_at, 'on_time', on_time, 'working_seconds', used_seconds)
                     ORDER BY created_at)) FROM sla_clocks
                 WHERE appeal_id = appeals.id AND kind = 'next_response' AND state = 'stopped'
                 HAVING count(*) > 0), '{{}}'), '{{}}')
"""


def upgrade() -> None:
    # The index build commits the statement before it, which is safe to run again.
    op.execute("ALTER TABLE appeals ADD COLUMN IF NOT EXISTS next_escalation_at timestamptz")
    create_index_concurrently(
        "ix_appeals_next_escalation_at",
        "appeals",
        ["next_escalation_at", "id"],
        where="next_escalation_at IS NOT NULL",
    )
    lift_statement_timeout()
    _extend_policies()
    op.add_column(
        "appeals",
        sa.Column("legal_regime", sa.Text(), server_default="open_source_message", nullable=False),
    )
    _create_tables()
    for statement in (FIRST, PREVIOUS, NEXT, FINAL, OWNERS, STOPS, ESCALATED):
        op.execute(statement)
    op.execute("-- squawk-ignore ban-drop-column\nALTER TABLE appeals DROP COLUMN deadline")


def _extend_policies() -> None:
    for name, kind, default in POLICY_COLUMNS:
        op.add_column("sla_policies", sa.Column(name, kind, server_default=default, nullable=default is None))
    op.execute(SERIES)
    # The table is small: checking all its rows takes no time.
    op.execute(
        "-- squawk-ignore adding-not-nullable-field\nALTER TABLE sla_policies ALTER policy_key SET NOT NULL"
    )
    op.execute("-- squawk-ignore ban-drop-not-null\nALTER TABLE sla_policies ALTER urgency DROP NOT NULL")
    op.execute(
        "-- squawk-ignore adding-foreign-key-constraint, constraint-missing-not-valid\n"
        "ALTER TABLE sla_policies ADD CONSTRAINT fk_sla_policies_topic_id"
        " FOREIGN KEY (topic_id) REFERENCES topics (id)"
    )
    op.execute(
        "-- squawk-ignore disallowed-unique-constraint, constraint-missing-not-valid\n"
        "ALTER TABLE sla_policies ADD CONSTRAINT uq_sla_policies_policy_key_version UNIQUE (policy_key, version)"
    )
    op.execute(
        "-- squawk-ignore require-concurrent-index-creation\n"
        "CREATE INDEX ix_sla_policies_valid_from ON sla_policies (valid_from, id)"
    )


def _create_tables() -> None:
    op.create_table(
        "sla_clocks",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("appeal_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=True),
        sa.Column("written_at", MOMENT, nullable=False),
        sa.Column("received_at", MOMENT, nullable=False),
        sa.Column("policy_id", sa.Uuid(), nullable=True),
        sa.Column("target_seconds", sa.BigInteger(), nullable=True),
        sa.Column("unit", sa.Text(), nullable=True),
        sa.Column("ceiling_seconds", sa.BigInteger(), nullable=True),
        sa.Column("started_at", MOMENT, nullable=True),
        sa.Column("due_at", MOMENT, nullable=True),
        sa.Column("stopped_at", MOMENT, nullable=True),
        sa.Column("used_seconds", sa.BigInteger(), nullable=True),
        sa.Column("on_time", sa.Boolean(), nullable=True),
        sa.Column("organisation_id", sa.Uuid(), nullable=True),
        sa.Column("calendar_id", sa.Uuid(), nullable=True),
        sa.Column("started_by", sa.Text(), nullable=True),
        sa.Column("start_recorded_at", MOMENT, nullable=True),
        sa.Column("explanation", JSONB(), nullable=True),
        sa.Column("warned_share", sa.Float(), nullable=True),
        sa.Column("next_warning_at", MOMENT, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sla_clocks"),
        sa.ForeignKeyConstraint(["appeal_id"], ["appeals.id"], name="fk_sla_clocks_appeal_id"),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name="fk_sla_clocks_message_id"),
        sa.ForeignKeyConstraint(["policy_id"], ["sla_policies.id"], name="fk_sla_clocks_policy_id"),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name="fk_sla_clocks_organisation_id"),
        sa.ForeignKeyConstraint(["calendar_id"], ["calendars.id"], name="fk_sla_clocks_calendar_id"),
    )
    op.create_index("ix_sla_clocks_appeal_id", "sla_clocks", ["appeal_id", "created_at", "id"])
    op.create_index(
        "uq_sla_clocks_unfinished",
        "sla_clocks",
        ["appeal_id", "kind"],
        unique=True,
        postgresql_where=sa.text(UNFINISHED),
    )
    op.create_index(
        "ix_sla_clocks_next_warning_at",
        "sla_clocks",
        ["next_warning_at", "id"],
        postgresql_where=sa.text("next_warning_at IS NOT NULL"),
    )
    op.create_table(
        "sla_clock_events",
        sa.Column("clock_id", sa.Uuid(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("organisation_id", sa.Uuid(), nullable=True),
        sa.Column("calendar_id", sa.Uuid(), nullable=True),
        sa.Column("policy_id", sa.Uuid(), nullable=True),
        sa.Column("starts_at", MOMENT, nullable=True),
        sa.Column("target_seconds", sa.BigInteger(), nullable=True),
        sa.Column("unit", sa.Text(), nullable=True),
        sa.Column("ceiling_seconds", sa.BigInteger(), nullable=True),
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("clock_id", "sequence", name="pk_sla_clock_events"),
        sa.ForeignKeyConstraint(["clock_id"], ["sla_clocks.id"], name="fk_sla_clock_events_clock_id"),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name="fk_sla_clock_events_organisation_id"
        ),
        sa.ForeignKeyConstraint(["calendar_id"], ["calendars.id"], name="fk_sla_clock_events_calendar_id"),
        sa.ForeignKeyConstraint(["policy_id"], ["sla_policies.id"], name="fk_sla_clock_events_policy_id"),
    )
    op.create_table(
        "escalations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("appeal_id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("clock", sa.Text(), nullable=False),
        sa.Column("due_at", MOMENT, nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("told", ARRAY(sa.Uuid()), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_escalations"),
        sa.ForeignKeyConstraint(["appeal_id"], ["appeals.id"], name="fk_escalations_appeal_id"),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name="fk_escalations_organisation_id"),
        sa.UniqueConstraint(
            "appeal_id", "clock", "organisation_id", "due_at", "step",
            name="uq_escalations_appeal_id_clock_organisation_id_due_at_step",
        ),
    )  # fmt: skip
    op.execute(f"GRANT SELECT, INSERT, UPDATE ON sla_clocks TO {OWNER}")
    # Events of clocks and records of escalations are never changed.
    op.execute(f"GRANT SELECT, INSERT ON sla_clock_events, escalations TO {OWNER}")
    op.execute(f"GRANT SELECT ON sla_clocks, sla_clock_events, escalations TO {OTHERS}")


def downgrade() -> None:
    op.add_column("appeals", sa.Column("deadline", JSONB(), nullable=True))
    op.execute(BACK)
    op.drop_table("escalations")
    op.drop_table("sla_clock_events")
    op.drop_table("sla_clocks")
    op.drop_column("appeals", "next_escalation_at")
    op.drop_column("appeals", "legal_regime")
    op.drop_index("ix_sla_policies_valid_from", table_name="sla_policies")
    # The previous version has no policies that apply to all urgencies.
    op.execute("UPDATE sla_policies SET urgency = 'normal' WHERE urgency IS NULL")
    op.alter_column("sla_policies", "urgency", nullable=False)
    for name, *_ in reversed(POLICY_COLUMNS):
        op.drop_column("sla_policies", name)
