"""Index appeals by their last change, by their next deadline, and for work lists; store tags, saved views,
unread marks and counts.

The deadline is an expression of the columns of the single deadlines, not a separate column: it needs no filling,
and cannot differ from them.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.indexes import create_index_concurrently, drop_index_concurrently

revision: str = "0044"
down_revision: str | None = "0043"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

OTHERS = "gospablik_registry, gospablik_ingest, gospablik_metrics, gospablik_webhooks"
WITH_SOMEBODY = "status IN ('assigned', 'in_progress', 'interim', 'reopened')"
NEXT_DUE = (
    f"(CASE WHEN {WITH_SOMEBODY} THEN "
    "LEAST(CASE WHEN first_response_at IS NULL THEN first_response_due_at END, "
    "next_response_due_at, promised_at, final_answer_due_at) END)"
)
OWES = f"{NEXT_DUE} IS NOT NULL"
COUNT_KEY = "organisation_id, assignee_id, status, urgency"
# Appeals are inserted in bulk, but change one by one.
COUNTING = (
    f"""
CREATE OR REPLACE FUNCTION count_added_appeals() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO appeal_counts ({COUNT_KEY}, appeals)
        SELECT {COUNT_KEY}, count(*) FROM added GROUP BY {COUNT_KEY};
    RETURN NULL;
END $$
""",
    f"""
CREATE OR REPLACE FUNCTION count_deleted_appeals() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO appeal_counts ({COUNT_KEY}, appeals)
        SELECT {COUNT_KEY}, -count(*) FROM deleted GROUP BY {COUNT_KEY};
    RETURN NULL;
END $$
""",
    f"""
CREATE OR REPLACE FUNCTION count_changed_appeal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO appeal_counts ({COUNT_KEY}, appeals) VALUES
        (OLD.organisation_id, OLD.assignee_id, OLD.status, OLD.urgency, -1),
        (NEW.organisation_id, NEW.assignee_id, NEW.status, NEW.urgency, 1);
    RETURN NULL;
END $$
""",
    """
CREATE OR REPLACE TRIGGER count_added_appeals AFTER INSERT ON appeals REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION count_added_appeals()
""",
    """
CREATE OR REPLACE TRIGGER count_deleted_appeals AFTER DELETE ON appeals REFERENCING OLD TABLE AS deleted
    FOR EACH STATEMENT EXECUTE FUNCTION count_deleted_appeals()
""",
    f"""
CREATE OR REPLACE TRIGGER count_changed_appeal AFTER UPDATE OF {COUNT_KEY} ON appeals
    FOR EACH ROW
    WHEN ((OLD.organisation_id, OLD.assignee_id, OLD.status, OLD.urgency)
        IS DISTINCT FROM (NEW.organisation_id, NEW.assignee_id, NEW.status, NEW.urgency))
    EXECUTE FUNCTION count_changed_appeal()
""",
)
# Adds the difference between the appeals and the sums so far. A change that the triggers counted is in both, so it
# is not counted twice.
COUNT_MISSING = f"""
INSERT INTO appeal_counts ({COUNT_KEY}, appeals)
    SELECT {COUNT_KEY}, sum(appeals) FROM (
        SELECT {COUNT_KEY}, 1 AS appeals FROM appeals
        UNION ALL SELECT {COUNT_KEY}, -appeals FROM appeal_counts
    ) AS counted GROUP BY {COUNT_KEY} HAVING sum(appeals) <> 0
"""
# Index → the columns before the order, and which appeals it has.
BY_CHANGE = {
    "ix_appeals_updated_at": ([], None),
    "ix_appeals_organisation_id_updated_at": (["organisation_id"], None),
    "ix_appeals_status_updated_at": (["status"], None),
    "ix_appeals_assignee_id_updated_at": (["assignee_id"], "assignee_id IS NOT NULL"),
}
BY_DEADLINE = {
    "ix_appeals_next_due": ([], OWES),
    "ix_appeals_organisation_id_next_due": (["organisation_id"], OWES),
    "ix_appeals_assignee_id_next_due": (["assignee_id"], f"assignee_id IS NOT NULL AND {OWES}"),
    "ix_appeals_status_next_due": (["status"], OWES),
    "ix_appeals_urgent_next_due": ([], f"urgency = 'high' AND {OWES}"),
}
BY_OPENING = {
    "ix_appeals_incident_id_opened_at": (["incident_id"], "incident_id IS NOT NULL"),
    "ix_appeals_in_incident": ([], "incident_id IS NOT NULL"),
    "ix_appeals_unanswered": ([], f"first_response_at IS NULL AND {WITH_SOMEBODY}"),
    "ix_appeals_returned": ([], "returns > 0"),
}
# Indexes of single deadlines, which the indexes of the next deadline replace, and an index without an order.
FORMER = {
    "ix_appeals_first_response_due": (
        ["first_response_due_at", "id"],
        "first_response_at IS NULL AND closed_at IS NULL",
    ),
    "ix_appeals_next_response_due_at": (["next_response_due_at"], "next_response_due_at IS NOT NULL"),
    "ix_appeals_incident_id": (["incident_id"], "incident_id IS NOT NULL"),
}


def upgrade() -> None:
    """Apply the migration. What an interrupted upgrade has already created is kept."""
    for name, (columns, where) in BY_CHANGE.items():
        create_index_concurrently(name, "appeals", [*columns, "updated_at", "id"], where=where)
    for name, (columns, where) in BY_DEADLINE.items():
        create_index_concurrently(name, "appeals", [*columns, sa.text(NEXT_DUE), "id"], where=where)
    for name, (columns, where) in BY_OPENING.items():
        create_index_concurrently(name, "appeals", [*columns, "opened_at", "id"], where=where)
    create_index_concurrently("ix_appeal_watchers_person_id", "appeal_watchers", ["person_id", "appeal_id"])
    for name in FORMER:
        drop_index_concurrently(name, "appeals")
    _create_tags()
    _create_views()
    _create_unread_marks()
    _create_counts()


def downgrade() -> None:
    for name in ("count_added_appeals", "count_deleted_appeals", "count_changed_appeal"):
        op.execute(f"DROP FUNCTION {name} CASCADE")
    op.drop_table("appeal_counts")
    op.drop_table("unread_appeals")
    op.drop_table("saved_views")
    op.drop_table("appeal_tags")
    for name, (columns, where) in FORMER.items():
        create_index_concurrently(name, "appeals", columns, where=where)
    for name in (*BY_CHANGE, *BY_DEADLINE, *BY_OPENING):
        drop_index_concurrently(name, "appeals")
    drop_index_concurrently("ix_appeal_watchers_person_id", "appeal_watchers")


def _create_tags() -> None:
    op.create_table(
        "appeal_tags",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("appeal_id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=True),
        sa.Column("tag", sa.Text(), nullable=False),
        sa.Column("added_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["appeal_id"], ["appeals.id"], name=op.f("fk_appeal_tags_appeal_id")),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f("fk_appeal_tags_organisation_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_appeal_tags")),
        sa.UniqueConstraint("appeal_id", "tag", name=op.f("uq_appeal_tags_appeal_id_tag")),
        if_not_exists=True,
    )
    op.create_index("ix_appeal_tags_tag", "appeal_tags", ["tag", "appeal_id"], if_not_exists=True)
    op.create_index(
        "ix_appeal_tags_organisation_id", "appeal_tags", ["organisation_id", "tag"], if_not_exists=True
    )
    _grant("appeal_tags")


def _create_views() -> None:
    op.create_table(
        "saved_views",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=True),
        sa.Column("is_shared", sa.Boolean(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sort_key", sa.Text(), nullable=False),
        sa.Column("filter", postgresql.JSONB(), nullable=False),
        sa.Column("sort", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f("fk_saved_views_organisation_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saved_views")),
        if_not_exists=True,
    )
    op.create_index("ix_saved_views_owner", "saved_views", ["owner", "sort_key", "id"], if_not_exists=True)
    op.create_index(
        "ix_saved_views_shared",
        "saved_views",
        ["organisation_id", "sort_key", "id"],
        postgresql_where=sa.text("is_shared"),
        if_not_exists=True,
    )
    _grant("saved_views")


def _create_unread_marks() -> None:
    op.create_table(
        "unread_appeals",
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("appeal_id", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["appeal_id"], ["appeals.id"], name=op.f("fk_unread_appeals_appeal_id")),
        sa.PrimaryKeyConstraint("person_id", "appeal_id", name=op.f("pk_unread_appeals")),
        if_not_exists=True,
    )
    op.create_index("ix_unread_appeals_last_at", "unread_appeals", ["last_at"], if_not_exists=True)
    _grant("unread_appeals")


def _create_counts() -> None:
    op.create_table(
        "appeal_counts",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=True),
        sa.Column("assignee_id", sa.Uuid(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("urgency", sa.Text(), nullable=False),
        sa.Column("appeals", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_appeal_counts")),
        if_not_exists=True,
    )
    op.create_index("ix_appeal_counts_organisation_id", "appeal_counts", ["organisation_id"], if_not_exists=True)
    _grant("appeal_counts")
    for statement in COUNTING:
        op.execute(statement)
    # Commit first, so that no other transaction waits while the appeals are counted.
    with op.get_context().autocommit_block():
        op.execute(COUNT_MISSING)


def _grant(table: str) -> None:
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO gospablik_appeals")
    op.execute(f"GRANT SELECT ON {table} TO {OTHERS}")
