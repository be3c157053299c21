"""Store requests to extend deadlines, which requests SLA policies allow, and how extensions changed clocks.

Existing policies allow what new policies allow by default; a clock keeps its version of the policy.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from migrations.indexes import create_index_concurrently

revision: str = "0040"
down_revision: str | None = "0039"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

OTHERS = "gospablik_registry, gospablik_ingest, gospablik_metrics, gospablik_webhooks"
LIMITS = '{"final_answer": {"count": 2, "hours": 40}, "first_response": null, "next_response": null}'
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    # The index build commits the statements before it, which are safe to run again.
    op.execute("ALTER TABLE sla_clocks ADD COLUMN IF NOT EXISTS unextended_due_at timestamptz")
    op.execute("ALTER TABLE sla_clocks ADD COLUMN IF NOT EXISTS extension_request_id uuid")
    create_index_concurrently(
        "ix_sla_clocks_extension_requested",
        "sla_clocks",
        ["due_at", "id"],
        where="extension_request_id IS NOT NULL",
    )
    op.execute("ALTER TABLE sla_clock_events ADD COLUMN extension_seconds bigint")
    op.execute("ALTER TABLE appeals ADD COLUMN extensions integer NOT NULL DEFAULT 0")
    op.execute(f"ALTER TABLE sla_policies ADD COLUMN extensions jsonb NOT NULL DEFAULT '{LIMITS}'")
    op.create_table(
        "extension_requests",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("appeal_id", sa.Uuid(), nullable=False),
        sa.Column("clock_id", sa.Uuid(), nullable=False),
        sa.Column("clock", sa.Text(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("extension_seconds", sa.BigInteger(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("ground", sa.Text(), nullable=False),
        sa.Column("due_at", MOMENT, nullable=True),
        sa.Column("extended_due_at", MOMENT, nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", MOMENT, nullable=True),
        sa.Column("remarks", sa.Text(), nullable=True),
        sa.Column("ended_reason", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_extension_requests")),
        sa.ForeignKeyConstraint(["appeal_id"], ["appeals.id"], name=op.f("fk_extension_requests_appeal_id")),
        sa.ForeignKeyConstraint(["clock_id"], ["sla_clocks.id"], name=op.f("fk_extension_requests_clock_id")),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f("fk_extension_requests_organisation_id")
        ),
    )
    is_open = sa.text("status = 'open'")
    op.create_index(
        "uq_extension_requests_open", "extension_requests", ["clock_id"], unique=True, postgresql_where=is_open
    )
    op.create_index(
        "ix_extension_requests_open", "extension_requests", ["created_at", "id"], postgresql_where=is_open
    )
    op.create_index("ix_extension_requests_appeal_id", "extension_requests", ["appeal_id", "created_at", "id"])
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON extension_requests TO gospablik_appeals")
    op.execute(f"GRANT SELECT ON extension_requests TO {OTHERS}")


def downgrade() -> None:
    op.drop_table("extension_requests")
    # Stored deadlines keep the extension until they are computed again.
    op.execute("DELETE FROM sla_clock_events WHERE kind = 'extended'")
    op.drop_column("sla_policies", "extensions")
    op.drop_column("appeals", "extensions")
    op.drop_column("sla_clock_events", "extension_seconds")
    op.drop_column("sla_clocks", "extension_request_id")
    op.drop_column("sla_clocks", "unextended_due_at")
