"""Ingestion: build indexes of messages and publications while services run."""

from collections.abc import Sequence

from alembic import op

from migrations.indexes import create_index_concurrently

revision: str = "0005b"
down_revision: str | None = "0005"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    create_index_concurrently(
        "ix_messages_living_posts",
        "messages",
        ["page_id", "written_at"],
        where="kind = 'wall_post' AND deleted_at IS NULL",
    )
    create_index_concurrently(
        "ix_messages_deleted", "messages", ["received_at", "id"], where="deleted_by IS NOT NULL"
    )
    create_index_concurrently("uq_publications_reply_id_part", "publications", ["reply_id", "part"], unique=True)
    op.drop_constraint(op.f("uq_publications_reply_id"), "publications", type_="unique")
    op.execute(
        "ALTER TABLE publications ADD CONSTRAINT uq_publications_reply_id_part"
        " UNIQUE USING INDEX uq_publications_reply_id_part"
    )


def downgrade() -> None:
    op.drop_constraint(op.f("uq_publications_reply_id_part"), "publications", type_="unique")
    op.create_unique_constraint(op.f("uq_publications_reply_id"), "publications", ["reply_id"])
    op.drop_index("ix_messages_deleted", table_name="messages")
    op.drop_index("ix_messages_living_posts", table_name="messages")
