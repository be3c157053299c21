"""Store the open data of weeks as they were published."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0054"
down_revision: str | None = "0053"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_OTHERS = "gospablik_registry, gospablik_ingest, gospablik_appeals, gospablik_webhooks"


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "open_data_weeks",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("week", sa.Text(), nullable=False),
        sa.Column("minimum", sa.Integer(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("published_at", moment, nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_open_data_weeks")),
        sa.UniqueConstraint("week", name=op.f("uq_open_data_weeks_week")),
    )
    # No UPDATE and no DELETE: another suppression of the same week could show what this one hides.
    op.execute("GRANT SELECT, INSERT ON open_data_weeks TO gospablik_metrics")
    op.execute(f"GRANT SELECT ON open_data_weeks TO {_OTHERS}")


def downgrade() -> None:
    op.drop_table("open_data_weeks")
