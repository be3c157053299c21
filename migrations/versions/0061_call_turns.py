"""Space the calls of a token across all processes, and let one worker at a time read the networks."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0061"
down_revision: str | None = "0060"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "call_turns",
        sa.Column("token_id", sa.Uuid(), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["token_id"], ["network_tokens.id"], name=op.f("fk_call_turns_token_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("token_id", name=op.f("pk_call_turns")),
    )
    op.create_table(
        "reading_leases",
        sa.Column("part", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("part", name=op.f("pk_reading_leases")),
    )
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON call_turns, reading_leases TO gospablik_ingest")


def downgrade() -> None:
    op.drop_table("reading_leases")
    op.drop_table("call_turns")
