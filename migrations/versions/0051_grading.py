"""Store the grading of answers: the rubric, weekly samples, grades, objections. Seed the first rubric."""

from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from migrations.indexes import create_index_concurrently, drop_index_concurrently

revision: str = "0051"
down_revision: str | None = "0050"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_OTHERS = "gospablik_registry, gospablik_ingest, gospablik_appeals, gospablik_webhooks"
_RUBRIC = Path(__file__).parent.parent / "reference" / "grading_rubric_1.json"
# A fixed id without a time, because the rubric is the same in every installation.
_RUBRIC_ID = "00000000-0000-7000-8000-000000000051"
_GRADED = "graded_at IS NOT NULL"


def upgrade() -> None:
    # Samples read the replies of a week.
    create_index_concurrently(
        "ix_replies_published_at", "replies", ["published_at", "id"], where="status = 'published'"
    )
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "grading_rubrics",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("criteria", JSONB(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", moment, server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_grading_rubrics")),
        sa.UniqueConstraint("version", name=op.f("uq_grading_rubrics_version")),
    )
    op.create_table(
        "grading_samples",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("week", sa.Text(), nullable=False),
        sa.Column("rubric_id", sa.Uuid(), nullable=False),
        sa.Column("seed", sa.Text(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("second_share", sa.Double(), nullable=False),
        sa.Column("answers", sa.Integer(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.ForeignKeyConstraint(["rubric_id"], ["grading_rubrics.id"], name=op.f("fk_grading_samples_rubric_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_grading_samples")),
        sa.UniqueConstraint("week", name=op.f("uq_grading_samples_week")),
    )
    _create_items(moment)
    op.create_table(
        "grading_grades",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("item_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("grader", sa.Text(), nullable=False),
        sa.Column("claimed_until", moment, nullable=False),
        sa.Column("scores", JSONB(), nullable=True),
        sa.Column("comment", sa.Text(), nullable=True),
        sa.Column("graded_at", moment, nullable=True),
        sa.Column("created_at", moment, nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["grading_items.id"], name=op.f("fk_grading_grades_item_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_grading_grades")),
        sa.UniqueConstraint("item_id", "number", name=op.f("uq_grading_grades_item_id_number")),
        sa.UniqueConstraint("item_id", "grader", name=op.f("uq_grading_grades_item_id_grader")),
    )
    op.create_index(
        "ix_grading_grades_claimed",
        "grading_grades",
        ["grader", "claimed_until"],
        postgresql_where=sa.text("scores IS NULL"),
    )
    op.create_table(
        "grading_objections",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("item_id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("ground", sa.Text(), nullable=False),
        sa.Column("former_scores", JSONB(), nullable=False),
        sa.Column("scores", JSONB(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", moment, nullable=True),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("updated_at", moment, nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["grading_items.id"], name=op.f("fk_grading_objections_item_id")),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f("fk_grading_objections_organisation_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_grading_objections")),
        sa.UniqueConstraint("item_id", name=op.f("uq_grading_objections_item_id")),
    )
    op.create_index(
        "ix_grading_objections_open",
        "grading_objections",
        ["created_at", "id"],
        postgresql_where=sa.text("status = 'open'"),
    )
    changed = "grading_items, grading_grades, grading_objections"
    # Rubrics and the records of how samples were drawn are never changed.
    kept = "grading_rubrics, grading_samples"
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {changed} TO gospablik_metrics")
    op.execute(f"GRANT SELECT, INSERT ON {kept} TO gospablik_metrics")
    op.execute(f"GRANT SELECT ON {changed}, {kept} TO {_OTHERS}")
    seed = sa.text(
        "INSERT INTO grading_rubrics (id, version, criteria, created_by)"
        " VALUES (CAST(:id AS uuid), 1, CAST(:criteria AS jsonb), 'migration')"
    )
    op.execute(seed.bindparams(id=_RUBRIC_ID, criteria=_RUBRIC.read_text(encoding="utf-8")))


def _create_items(moment: sa.DateTime) -> None:
    items = "grading_items"
    op.create_table(
        items,
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("sample_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("reply_id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("published_at", moment, nullable=False),
        sa.Column("edits", sa.Integer(), nullable=False),
        sa.Column("stratum_size", sa.Integer(), nullable=False),
        sa.Column("graders_wanted", sa.Integer(), nullable=False),
        sa.Column("scores", JSONB(), nullable=True),
        sa.Column("graded_at", moment, nullable=True),
        sa.Column("created_at", moment, nullable=False),
        sa.ForeignKeyConstraint(["sample_id"], ["grading_samples.id"], name=op.f("fk_grading_items_sample_id")),
        sa.ForeignKeyConstraint(["reply_id"], ["replies.id"], name=op.f("fk_grading_items_reply_id")),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f("fk_grading_items_organisation_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_grading_items")),
        sa.UniqueConstraint("reply_id", name=op.f("uq_grading_items_reply_id")),
    )
    op.create_index("ix_grading_items_sample_id", items, ["sample_id", "position"])
    op.create_index(
        "ix_grading_items_open", items, ["created_at", "position"], postgresql_where=sa.text("graded_at IS NULL")
    )
    op.create_index("ix_grading_items_graded", items, ["published_at", "id"], postgresql_where=sa.text(_GRADED))
    op.create_index(
        "ix_grading_items_organisation_id_graded",
        items,
        ["organisation_id", "published_at", "id"],
        postgresql_where=sa.text(_GRADED),
    )


def downgrade() -> None:
    drop_index_concurrently("ix_replies_published_at", "replies")
    for name in ("objections", "grades", "items", "samples", "rubrics"):
        op.drop_table(f"grading_{name}")
