"""Ingestion: callbacks, tombstones, call budgets, arrival rates, reconciliation, backfill, replies in parts."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


SERVICES = ("registry", "ingest", "appeals", "metrics", "webhooks")
TABLES = (
    "backfills", "call_counts", "callback_servers", "poll_rates", "reconciliations", "seen_events", "tombstones",
)  # fmt: skip
# The columns of callback_servers that other services may read: all except the secret and its lookup key.
CALLBACK_COLUMNS = (
    "page_id", "network", "url", "server_id", "by_hand", "state", "reason", "checked_at", "last_event_at",
    "created_at", "updated_at",
)  # fmt: skip


def _grant() -> None:
    others = ", ".join(f"gospablik_{service}" for service in SERVICES if service != "ingest")
    for table in TABLES:
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO gospablik_ingest")
        columns = f" ({', '.join(CALLBACK_COLUMNS)})" if table == "callback_servers" else ""
        op.execute(f"GRANT SELECT{columns} ON {table} TO {others}")


def upgrade() -> None:
    op.create_table(
        "backfills",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("page_id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("open_cases", sa.Boolean(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("cursor", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("share", sa.Float(), nullable=False),
        sa.Column("found", sa.Integer(), nullable=False),
        sa.Column("stored", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f("fk_backfills_organisation_id")
        ),
        sa.ForeignKeyConstraint(["page_id"], ["pages.id"], name=op.f("fk_backfills_page_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backfills")),
    )
    op.create_index("ix_backfills_created_at", "backfills", ["created_at", "id"], unique=False)
    op.create_index(
        "uq_backfills_one_at_a_time",
        "backfills",
        ["page_id"],
        unique=True,
        postgresql_where=sa.text("status IN ('queued', 'running')"),
    )
    op.create_table(
        "callback_servers",
        sa.Column("page_id", sa.Uuid(), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("server_id", sa.Text(), nullable=True),
        sa.Column("by_hand", sa.Boolean(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_event_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["page_id"], ["pages.id"], name=op.f("fk_callback_servers_page_id")),
        sa.PrimaryKeyConstraint("page_id", name=op.f("pk_callback_servers")),
        sa.UniqueConstraint("digest", name=op.f("uq_callback_servers_digest")),
    )
    op.create_table(
        "poll_rates",
        sa.Column("page_id", sa.Uuid(), nullable=False),
        sa.Column("way", sa.Text(), nullable=False),
        sa.Column("state", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["page_id"], ["pages.id"], name=op.f("fk_poll_rates_page_id")),
        sa.PrimaryKeyConstraint("page_id", "way", name=op.f("pk_poll_rates")),
    )
    op.create_table(
        "reconciliations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("page_id", sa.Uuid(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cursor", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("compared", sa.Integer(), nullable=False),
        sa.Column("gaps", sa.Integer(), nullable=False),
        sa.Column("late", sa.Integer(), nullable=False),
        sa.Column("edited", sa.Integer(), nullable=False),
        sa.Column("deleted", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["page_id"], ["pages.id"], name=op.f("fk_reconciliations_page_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reconciliations")),
    )
    op.create_index("ix_reconciliations_started_at_id", "reconciliations", ["started_at", "id"], unique=False)
    op.create_index(
        "ix_reconciliations_unfinished",
        "reconciliations",
        ["started_at", "id"],
        unique=False,
        postgresql_where=sa.text("finished_at IS NULL"),
    )
    op.create_index(
        "ix_reconciliations_page_id_started_at", "reconciliations", ["page_id", "started_at"], unique=False
    )
    op.create_table(
        "seen_events",
        sa.Column("page_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["page_id"], ["pages.id"], name=op.f("fk_seen_events_page_id")),
        sa.PrimaryKeyConstraint("page_id", "event_id", name=op.f("pk_seen_events")),
    )
    op.create_index("ix_seen_events_created_at", "seen_events", ["created_at"], unique=False)
    op.create_table(
        "tombstones",
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("page_id", sa.Uuid(), nullable=False),
        sa.Column("deleter_key", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["page_id"], ["pages.id"], name=op.f("fk_tombstones_page_id")),
        sa.PrimaryKeyConstraint("network", "kind", "external_id", name=op.f("pk_tombstones")),
    )
    op.create_table(
        "call_counts",
        sa.Column("token_id", sa.Uuid(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("bucket", sa.DateTime(timezone=True), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["token_id"], ["network_tokens.id"], name=op.f("fk_call_counts_token_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("token_id", "method", "bucket", name=op.f("pk_call_counts")),
    )
    op.create_index("ix_call_counts_bucket", "call_counts", ["bucket"], unique=False)
    op.add_column("network_tokens", sa.Column("challenge", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.add_column("publications", sa.Column("part", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.add_column("publications", sa.Column("parts", sa.Integer(), server_default=sa.text("1"), nullable=False))
    op.add_column("sources", sa.Column("gaps", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.add_column("sources", sa.Column("last_gap_at", sa.DateTime(timezone=True), nullable=True))
    _grant()


def downgrade() -> None:
    op.drop_column("sources", "last_gap_at")
    op.drop_column("sources", "gaps")
    op.drop_column("publications", "parts")
    op.drop_column("publications", "part")
    op.drop_column("network_tokens", "challenge")
    op.drop_index("ix_call_counts_bucket", table_name="call_counts")
    op.drop_table("call_counts")
    op.drop_table("tombstones")
    op.drop_index("ix_seen_events_created_at", table_name="seen_events")
    op.drop_table("seen_events")
    op.drop_index(
        "ix_reconciliations_unfinished",
        table_name="reconciliations",
        postgresql_where=sa.text("finished_at IS NULL"),
    )
    op.drop_index("ix_reconciliations_started_at_id", table_name="reconciliations")
    op.drop_index("ix_reconciliations_page_id_started_at", table_name="reconciliations")
    op.drop_table("reconciliations")
    op.drop_table("poll_rates")
    op.drop_table("callback_servers")
    op.drop_index(
        "uq_backfills_one_at_a_time",
        table_name="backfills",
        postgresql_where=sa.text("status IN ('queued', 'running')"),
    )
    op.drop_index("ix_backfills_created_at", table_name="backfills")
    op.drop_table("backfills")
