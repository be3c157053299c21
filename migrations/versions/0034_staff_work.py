"""Store who works on an appeal, the rules that choose them, their absences, watchers and notes of appeals, and how
appeals without a thread were submitted and answered.

Appeals may read the names of people, to show colleagues by name.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.indexes import create_index_concurrently

revision: str = "0034"
down_revision: str | None = "0033"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

OTHERS = "gospablik_registry, gospablik_ingest, gospablik_metrics, gospablik_webhooks"
OPEN = "('triage', 'assigned', 'in_progress', 'interim', 'reopened')"


def upgrade() -> None:
    # The index builds commit the statements before them: each must be safe to run again.
    op.execute("GRANT SELECT (full_name) ON people TO gospablik_appeals")
    op.execute("ALTER TABLE appeals ADD COLUMN IF NOT EXISTS assignee_id uuid")
    op.execute("ALTER TABLE appeals ADD COLUMN IF NOT EXISTS source text")
    op.execute("ALTER TABLE replies ADD COLUMN IF NOT EXISTS channel text")
    create_index_concurrently(
        "ix_appeals_assignee_id_opened_at",
        "appeals",
        ["assignee_id", "opened_at", "id"],
        where="assignee_id IS NOT NULL",
    )
    create_index_concurrently(
        "ix_appeals_without_assignee",
        "appeals",
        ["opened_at", "id"],
        where=f"assignee_id IS NULL AND status IN {OPEN}",
    )
    create_index_concurrently(
        "ix_appeals_source_opened_at", "appeals", ["source", "opened_at", "id"], where="source IS NOT NULL"
    )
    _create_assignee_rules()
    _create_absences()
    _create_watchers()
    _create_notes()
    _create_submissions()


def downgrade() -> None:
    for table in ("appeal_submissions", "appeal_notes", "appeal_watchers", "absences", "assignee_rules"):
        op.drop_table(table)
    op.drop_column("replies", "channel")
    op.drop_column("appeals", "source")
    op.drop_column("appeals", "assignee_id")
    op.execute("REVOKE SELECT (full_name) ON people FROM gospablik_appeals")


def _create_assignee_rules() -> None:
    op.create_table(
        "assignee_rules",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("topic_id", sa.Uuid(), nullable=True),
        sa.Column("person_ids", postgresql.ARRAY(sa.Uuid()), nullable=False),
        sa.Column("last_person_id", sa.Uuid(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f("fk_assignee_rules_organisation_id")
        ),
        sa.ForeignKeyConstraint(["topic_id"], ["topics.id"], name=op.f("fk_assignee_rules_topic_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assignee_rules")),
        sa.UniqueConstraint(
            "organisation_id",
            "topic_id",
            name=op.f("uq_assignee_rules_organisation_id_topic_id"),
            postgresql_nulls_not_distinct=True,
        ),
    )
    _grant("assignee_rules")


def _create_absences() -> None:
    op.create_table(
        "absences",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("ends_on", sa.Date(), nullable=False),
        sa.Column("substitute_id", sa.Uuid(), nullable=True),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_absences_person_id")),
        sa.ForeignKeyConstraint(["substitute_id"], ["people.id"], name=op.f("fk_absences_substitute_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_absences")),
    )
    op.create_index("ix_absences_person_id", "absences", ["person_id", "ends_on"])
    op.create_index("ix_absences_starts_on", "absences", ["starts_on", "id"])
    _grant("absences")


def _create_watchers() -> None:
    op.create_table(
        "appeal_watchers",
        sa.Column("appeal_id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("added_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["appeal_id"], ["appeals.id"], name=op.f("fk_appeal_watchers_appeal_id")),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_appeal_watchers_person_id")),
        sa.PrimaryKeyConstraint("appeal_id", "person_id", name=op.f("pk_appeal_watchers")),
    )
    _grant("appeal_watchers")


def _create_notes() -> None:
    op.create_table(
        "appeal_notes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("appeal_id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=True),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("visibility", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("mentions", postgresql.ARRAY(sa.Uuid()), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("edited_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["appeal_id"], ["appeals.id"], name=op.f("fk_appeal_notes_appeal_id")),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f("fk_appeal_notes_organisation_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_appeal_notes")),
    )
    op.create_index("ix_appeal_notes_appeal_id", "appeal_notes", ["appeal_id", "created_at", "id"])
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON appeal_notes TO gospablik_appeals")
    shown = (
        "id, appeal_id, organisation_id, author, visibility, mentions, version, created_at, edited_at, deleted_at"
    )
    op.execute(f"GRANT SELECT ({shown}) ON appeal_notes TO {OTHERS}")


def _create_submissions() -> None:
    op.create_table(
        "appeal_submissions",
        sa.Column("appeal_id", sa.Uuid(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("organisation_id", sa.Uuid(), nullable=True),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("contact", sa.LargeBinary(), nullable=True),
        sa.Column("extra", postgresql.JSONB(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["appeal_id"], ["appeals.id"], name=op.f("fk_appeal_submissions_appeal_id")),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f("fk_appeal_submissions_organisation_id")
        ),
        sa.PrimaryKeyConstraint("appeal_id", name=op.f("pk_appeal_submissions")),
    )
    op.create_index(
        "uq_appeal_submissions_external_id",
        "appeal_submissions",
        ["external_id", "source", "organisation_id"],
        unique=True,
        postgresql_where=sa.text("external_id IS NOT NULL"),
        postgresql_nulls_not_distinct=True,
    )
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON appeal_submissions TO gospablik_appeals")
    shown = "appeal_id, source, external_id, organisation_id, created_at"
    op.execute(f"GRANT SELECT ({shown}) ON appeal_submissions TO {OTHERS}")


def _grant(table: str) -> None:
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO gospablik_appeals")
    op.execute(f"GRANT SELECT ON {table} TO {OTHERS}")
