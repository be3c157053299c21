"""Classification and routing: build indexes of appeals and replies while services run."""

from collections.abc import Sequence

from alembic import op

from migrations.indexes import create_index_concurrently

revision: str = "0007b"
down_revision: str | None = "0007"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

# Index of appeals → its columns and the condition of a partial index.
INDEXES: dict[str, tuple[list[str], str | None]] = {
    "ix_appeals_incident_id": (["incident_id"], "incident_id IS NOT NULL"),
    "ix_appeals_municipality_opened_at": (["municipality", "opened_at"], None),
    "ix_appeals_ownerless": (["opened_at", "id"], "organisation_id IS NULL AND status = 'triage'"),
    "ix_appeals_handed_over": (["opened_at", "id"], "handovers > 0"),
    "ix_appeals_topic_id_opened_at": (["topic_id", "opened_at"], None),
}


def upgrade() -> None:
    for name, (columns, where) in INDEXES.items():
        create_index_concurrently(name, "appeals", columns, where=where)
    create_index_concurrently(
        "uq_replies_incident_reply_id_appeal_id", "replies", ["incident_reply_id", "appeal_id"], unique=True
    )
    op.execute(
        "ALTER TABLE replies ADD CONSTRAINT uq_replies_incident_reply_id_appeal_id"
        " UNIQUE USING INDEX uq_replies_incident_reply_id_appeal_id"
    )


def downgrade() -> None:
    op.drop_constraint(op.f("uq_replies_incident_reply_id_appeal_id"), "replies", type_="unique")
    for name in reversed(INDEXES):
        op.drop_index(name, table_name="appeals")
