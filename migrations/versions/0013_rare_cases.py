"""Index rare rows of large lists; a review belongs to the current organisation of its appeal."""

from collections.abc import Sequence

from alembic import op

from migrations.indexes import create_index_concurrently

revision: str = "0013"
down_revision: str | None = "0012"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

# Index → its table, columns and the condition of a partial index.
INDEXES: dict[str, tuple[str, list[str], str | None]] = {
    "ix_appeals_languages": ("appeals", ["language", "opened_at", "id"], "language <> 'ru'"),
    "ix_appeals_settlements": ("appeals", ["settlement", "opened_at", "id"], "settlement IS NOT NULL"),
    "ix_appeals_faults": ("appeals", ["fault", "opened_at", "id"], "fault IS NOT NULL"),
    "ix_reviews_organisation_id": ("reviews", ["organisation_id", "created_at", "message_id"], None),
}
# Whenever an appeal's organisation changes, its reviews follow; without one they belong to the page's owner.
FOLLOW = """
CREATE FUNCTION reviews_follow_case() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE reviews SET organisation_id = coalesce(NEW.organisation_id, messages.organisation_id)
    FROM appeal_messages JOIN messages ON messages.id = appeal_messages.message_id
    WHERE appeal_messages.appeal_id = NEW.id AND reviews.message_id = appeal_messages.message_id;
    RETURN NULL;
END $$
"""
TRIGGER = """
CREATE TRIGGER reviews_follow_case AFTER UPDATE OF organisation_id ON appeals
    FOR EACH ROW WHEN (OLD.organisation_id IS DISTINCT FROM NEW.organisation_id)
    EXECUTE FUNCTION reviews_follow_case()
"""
EXISTING = """
UPDATE reviews SET organisation_id = appeals.organisation_id
FROM appeal_messages JOIN appeals ON appeals.id = appeal_messages.appeal_id
WHERE reviews.message_id = appeal_messages.message_id AND reviews.organisation_id <> appeals.organisation_id
"""


def upgrade() -> None:
    for name, (table, columns, where) in INDEXES.items():
        create_index_concurrently(name, table, columns, where=where)
    for statement in (FOLLOW, TRIGGER, EXISTING):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TRIGGER reviews_follow_case ON appeals")
    op.execute("DROP FUNCTION reviews_follow_case()")
    for name, (table, _, _) in reversed(INDEXES.items()):
        op.drop_index(name, table_name=table)
