"""Record who read which citizens' unmasked texts."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision: str = "0046"
down_revision: str | None = "0045"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

TABLE = "personal_data_reads"
READERS = ", ".join(f"gospablik_{name}" for name in ("ingest", "appeals", "metrics", "webhooks"))


def upgrade() -> None:
    op.create_table(
        TABLE,
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("organisation_id", sa.Uuid()),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject_kind", sa.Text(), nullable=False),
        sa.Column("subject_ids", ARRAY(sa.Uuid()), nullable=False),
        sa.Column("subject_count", sa.Integer(), nullable=False),
        sa.Column("request_id", sa.Text()),
        sa.Column("ip_address", sa.Text()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_personal_data_reads")),
    )
    for first in ("actor", "action", "organisation_id"):
        op.create_index(f"ix_personal_data_reads_{first}", TABLE, [first, "read_at", "id"])
    op.create_index("ix_personal_data_reads_read_at", TABLE, ["read_at", "id"])
    op.create_index("ix_personal_data_reads_subject_ids", TABLE, ["subject_ids"], postgresql_using="gin")
    op.execute(f"GRANT INSERT ON {TABLE} TO {READERS}")
    # The registry lists and purges rows. SKIP LOCKED needs the right to update a column, but no code changes rows.
    op.execute(f"GRANT SELECT, INSERT, DELETE, UPDATE (id) ON {TABLE} TO gospablik_registry")


def downgrade() -> None:
    op.drop_table(TABLE)
