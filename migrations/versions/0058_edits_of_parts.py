"""Edit replies in parts, with other photos and another promised date; an edited reply makes a second promise."""

from collections.abc import Sequence

from alembic import op

from migrations.indexes import create_index_concurrently, drop_index_concurrently

revision: str = "0058"
down_revision: str | None = "0057"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_COLUMNS = {
    "publication_changes": (
        "part_texts text[]",
        "attachments jsonb",
        "uploaded_media jsonb",
        "parts integer NOT NULL DEFAULT 1",
        "parts_done integer NOT NULL DEFAULT 0",
    ),
    "reply_changes": (
        "promised_at timestamptz",
        "former_promised_at timestamptz",
        "attachment_ids uuid[]",
        "former_attachment_ids uuid[]",
    ),
}
_INDEX = "uq_promises_reply_id_made_at"
_FORMER = "uq_promises_reply_id"


def upgrade() -> None:
    create_index_concurrently(_INDEX, "promises", ["reply_id", "made_at"], unique=True)
    # The service of the previous version makes one promise for a reply, with or without the constraint.
    op.execute(f"-- squawk-ignore ban-drop-constraint\nALTER TABLE promises DROP CONSTRAINT IF EXISTS {_FORMER}")
    for table, columns in _COLUMNS.items():
        for column in columns:
            op.execute(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {column}")


def downgrade() -> None:
    for table, columns in _COLUMNS.items():
        for column in columns:
            op.drop_column(table, column.split()[0])
    op.execute(
        "DELETE FROM promises p USING promises later"
        " WHERE later.reply_id = p.reply_id AND later.made_at > p.made_at"
    )
    op.create_unique_constraint(_FORMER, "promises", ["reply_id"])
    drop_index_concurrently(_INDEX, "promises")
