"""Store partner systems and the signed events that they sent, and who gave a recorded answer."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0069"
down_revision: str | None = "0068"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_OTHERS = "gospablik_registry, gospablik_ingest, gospablik_metrics, gospablik_webhooks"


def upgrade() -> None:
    op.create_table(
        "partners",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=True),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f("fk_partners_organisation_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_partners")),
    )
    op.create_index(
        "uq_partners_source",
        "partners",
        ["source", "organisation_id"],
        unique=True,
        postgresql_where=sa.text("deleted_at IS NULL"),
        postgresql_nulls_not_distinct=True,
    )
    op.create_table(
        "partner_events",
        sa.Column("partner_id", sa.Uuid(), nullable=False),
        sa.Column("webhook_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("appeal_id", sa.Uuid(), nullable=True),
        sa.Column("reply_id", sa.Uuid(), nullable=True),
        sa.Column("opened", sa.Boolean(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["partner_id"], ["partners.id"], name=op.f("fk_partner_events_partner_id")),
        sa.PrimaryKeyConstraint("partner_id", "webhook_id", name=op.f("pk_partner_events")),
    )
    op.create_index("ix_partner_events_received_at", "partner_events", ["received_at"])
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON partners, partner_events TO gospablik_appeals")
    op.execute(
        "GRANT SELECT (id, name, source, organisation_id, owner_id, active, created_by, deleted_at, version,"
        f" created_at, updated_at) ON partners TO {_OTHERS}"
    )
    op.execute(
        "GRANT SELECT (partner_id, webhook_id, type, appeal_id, reply_id, opened, received_at) ON partner_events"
        f" TO {_OTHERS}"
    )
    op.execute("ALTER TABLE replies ADD COLUMN answered_by text")


def downgrade() -> None:
    op.drop_column("replies", "answered_by")
    op.drop_table("partner_events")
    op.drop_table("partners")
