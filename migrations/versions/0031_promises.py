"""Keep a ledger of promises: the dates that published interim replies named, and how each ended."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0031"
down_revision: str | None = "0030"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

OTHERS = "gospablik_registry, gospablik_ingest, gospablik_metrics, gospablik_webhooks"
# Each interim reply promised a date; the next published reply of the appeal, or the date itself, ended it.
FORMER_PROMISES = """
INSERT INTO promises (id, appeal_id, organisation_id, reply_id, promised_at, made_at, status, ended_at,
  final_reply_at, created_at, updated_at)
SELECT made.id, made.appeal_id, appeals.organisation_id, made.id, made.promised_at, made.published_at,
  CASE WHEN ending.published_at <= made.promised_at
      THEN CASE ending.kind WHEN 'final' THEN 'kept' ELSE 'moved' END
    WHEN made.promised_at < now() THEN 'broken' ELSE 'open' END,
  CASE WHEN ending.published_at <= made.promised_at THEN ending.published_at
    WHEN made.promised_at < now() THEN made.promised_at END,
  (SELECT min(final.published_at) FROM replies AS final WHERE final.appeal_id = made.appeal_id
    AND final.status = 'published' AND final.kind = 'final' AND final.published_at >= made.published_at),
  now(), now()
FROM replies AS made
JOIN appeals ON appeals.id = made.appeal_id
LEFT JOIN LATERAL (
  SELECT later.published_at, later.kind FROM replies AS later
  WHERE later.appeal_id = made.appeal_id AND later.status = 'published'
    AND (later.published_at, later.id) > (made.published_at, made.id)
  ORDER BY later.published_at, later.id LIMIT 1
) AS ending ON true
WHERE made.status = 'published' AND made.kind = 'interim' AND made.promised_at IS NOT NULL
"""


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "promises",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("appeal_id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=True),
        sa.Column("reply_id", sa.Uuid(), nullable=False),
        sa.Column("promised_at", moment, nullable=False),
        sa.Column("made_at", moment, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("ended_at", moment, nullable=True),
        sa.Column("final_reply_at", moment, nullable=True),
        sa.Column("reminded_at", moment, nullable=True),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("updated_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_promises")),
        sa.UniqueConstraint("reply_id", name=op.f("uq_promises_reply_id")),
        sa.ForeignKeyConstraint(["appeal_id"], ["appeals.id"], name=op.f("fk_promises_appeal_id")),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f("fk_promises_organisation_id")
        ),
        sa.ForeignKeyConstraint(["reply_id"], ["replies.id"], name=op.f("fk_promises_reply_id")),
    )
    op.create_index("ix_promises_appeal_id", "promises", ["appeal_id", "made_at"])
    op.create_index("ix_promises_made_at", "promises", ["made_at", "id"])
    op.create_index("ix_promises_status_made_at", "promises", ["status", "made_at", "id"])
    op.create_index("ix_promises_organisation_id_made_at", "promises", ["organisation_id", "made_at", "id"])
    op.create_index(
        "ix_promises_open", "promises", ["promised_at", "id"], postgresql_where=sa.text("status = 'open'")
    )
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON promises TO gospablik_appeals")
    op.execute(f"GRANT SELECT ON promises TO {OTHERS}")
    op.execute(FORMER_PROMISES)


def downgrade() -> None:
    op.drop_table("promises")
