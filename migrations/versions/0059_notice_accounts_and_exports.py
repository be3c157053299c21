"""Send notices as messages in VK and OK, and store exports of lists of appeals."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision: str = "0059"
down_revision: str | None = "0058"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_OTHERS = "gospablik_registry, gospablik_ingest, gospablik_appeals, gospablik_metrics"


def upgrade() -> None:
    _create_notice_accounts()
    _create_exports()


def _create_exports() -> None:
    op.create_table(
        "appeal_exports",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("scopes", JSONB(), nullable=True),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("rows_done", sa.Integer(), nullable=False),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_appeal_exports")),
    )
    op.create_index("ix_appeal_exports_author", "appeal_exports", ["author", "created_at", "id"])
    op.create_index(
        "ix_appeal_exports_expires_at",
        "appeal_exports",
        ["expires_at"],
        postgresql_where=sa.text("expires_at IS NOT NULL"),
    )
    op.create_table(
        "appeal_export_parts",
        sa.Column("export_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("appeal_ids", ARRAY(sa.Uuid()), nullable=False),
        sa.Column("rows", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(
            ["export_id"], ["appeal_exports.id"], name=op.f("fk_appeal_export_parts_export_id")
        ),
        sa.PrimaryKeyConstraint("export_id", "number", name=op.f("pk_appeal_export_parts")),
    )
    op.create_index(
        "ix_appeal_export_parts_unread",
        "appeal_export_parts",
        ["export_id", "number"],
        postgresql_where=sa.text("rows IS NULL"),
    )
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON appeal_exports, appeal_export_parts TO gospablik_appeals")
    others = "gospablik_registry, gospablik_ingest, gospablik_metrics, gospablik_webhooks"
    op.execute(f"GRANT SELECT ON appeal_exports TO {others}")
    op.execute(f"GRANT SELECT (export_id, number, appeal_ids) ON appeal_export_parts TO {others}")


def _create_notice_accounts() -> None:
    op.create_table(
        "notice_accounts",
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("code_digest", sa.LargeBinary(), nullable=True),
        sa.Column("code_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("message_id", sa.Uuid(), nullable=True),
        sa.Column("linked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_reason", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("person_id", "network", name=op.f("pk_notice_accounts")),
    )
    op.create_index(
        "uq_notice_accounts_code_digest",
        "notice_accounts",
        ["code_digest"],
        unique=True,
        postgresql_where=sa.text("code_digest IS NOT NULL"),
    )
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON notice_accounts TO gospablik_webhooks")
    op.execute(
        "GRANT SELECT (person_id, network, state, code_expires_at, linked_at, ended_at, ended_reason, created_at,"
        f" updated_at) ON notice_accounts TO {_OTHERS}"
    )
    op.execute("ALTER TABLE notice_settings ADD COLUMN channels jsonb NOT NULL DEFAULT '{}'")
    op.execute(f"GRANT SELECT (channels) ON notice_settings TO {_OTHERS}")
    op.execute("ALTER TABLE notice_letters ADD COLUMN channel text NOT NULL DEFAULT 'email'")
    op.execute("ALTER TABLE notice_letters ADD COLUMN text text")
    op.execute("ALTER TABLE notice_letters ADD COLUMN handed_over_at timestamptz")
    # No codes were issued before the upgrade: skip the earlier events.
    op.execute(
        "INSERT INTO webhooks_consumer_offsets (consumer, position)"
        " SELECT 'webhooks-notice-accounts', max(position) FROM events HAVING max(position) IS NOT NULL"
    )


def downgrade() -> None:
    op.drop_table("appeal_export_parts")
    op.drop_table("appeal_exports")
    op.execute("DELETE FROM webhooks_consumer_offsets WHERE consumer = 'webhooks-notice-accounts'")
    op.execute("UPDATE notices SET channel = 'email' WHERE channel <> 'email'")
    op.execute("UPDATE notice_letters SET status = 'cancelled' WHERE channel <> 'email' AND status = 'sending'")
    for name in ("handed_over_at", "text", "channel"):
        op.drop_column("notice_letters", name)
    op.drop_column("notice_settings", "channels")
    op.drop_table("notice_accounts")
