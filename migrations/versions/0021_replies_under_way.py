"""Allow one pending reply per appeal; index appeals whose last reply failed.

Of two pending replies of one appeal the earlier stays; the later becomes `failed` with a reason, and `published`
if its publication succeeds anyway. The previous version may create such a pair while the index is built: then the
upgrade fails, and continues here when it is run again.
"""

from collections.abc import Sequence

from alembic import op

from migrations.indexes import create_index_concurrently

revision: str = "0021"
down_revision: str | None = "0020"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

UNDER_WAY = "status IN ('draft', 'on_approval', 'queued', 'sending', 'uncertain')"
PAIRS = f"""
UPDATE replies SET status = 'failed', version = version + 1, failure = jsonb_build_object(
    'code', 'another_under_way', 'message', 'Раньше начат другой ответ на это обращение.',
    'at', to_jsonb(now()), 'will_retry', false)
WHERE {UNDER_WAY} AND EXISTS (
    SELECT FROM replies AS first
    WHERE first.appeal_id = replies.appeal_id AND first.{UNDER_WAY}
      AND (first.created_at, first.id) < (replies.created_at, replies.id))
"""
LAST_FAILED = """
UPDATE appeals SET reply_failed = jsonb_build_object(
    'reply_id', replies.id, 'code', replies.failure ->> 'code', 'message', replies.failure ->> 'message',
    'at', coalesce(replies.failure ->> 'at', to_jsonb(replies.updated_at) #>> '{}'))
FROM replies
WHERE replies.appeal_id = appeals.id AND replies.status = 'failed' AND NOT EXISTS (
    SELECT FROM replies AS later
    WHERE later.appeal_id = replies.appeal_id
      AND (later.created_at, later.id) > (replies.created_at, replies.id))
"""


def upgrade() -> None:
    op.execute(PAIRS)
    op.execute(LAST_FAILED)
    create_index_concurrently("uq_replies_under_way", "replies", ["appeal_id"], unique=True, where=UNDER_WAY)
    create_index_concurrently(
        "ix_appeals_reply_failed", "appeals", ["opened_at", "id"], where="reply_failed IS NOT NULL"
    )


def downgrade() -> None:
    op.drop_index("ix_appeals_reply_failed", table_name="appeals")
    op.drop_index("uq_replies_under_way", table_name="replies")
