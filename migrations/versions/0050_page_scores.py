"""Store the versions of the formula of page scores, and the scores of each week."""

import json
from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: str = "0050"
down_revision: str | None = "0049"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_OTHERS = "gospablik_registry, gospablik_ingest, gospablik_appeals, gospablik_webhooks"
# The published table of a regional monitor (Амурская область). Its weights sum to 95; for the mean reach of a post
# it gives a weight and no rule.
_CRITERIA = [
    {"kind": "step", "weight": 10, "step": "connected"},
    {"kind": "step", "weight": 10, "step": "gov_badge"},
    {"kind": "appearance", "weight": 20, "parts": {"avatar": 5, "description": 5, "cover": 10}},
    {"kind": "widgets", "weight": 10, "levels": [{"threshold": 2, "points": 10}, {"threshold": 1, "points": 5}]},
    {"kind": "posts", "weight": 30, "days": 7, "levels": [{"threshold": 3, "points": 30}]},
    {
        "kind": "reach_share",
        "weight": 10,
        "levels": [
            {"threshold": 70, "points": 10},
            {"threshold": 50, "points": 7},
            {"threshold": 30, "points": 5},
        ],
    },
    {"kind": "mean_post_reach", "weight": 5, "levels": []},
]


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "page_score_formulas",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.Text(), nullable=False),
        sa.Column("criteria", JSONB(), nullable=False),
        sa.Column("green_from", sa.Integer(), nullable=False),
        sa.Column("yellow_from", sa.Integer(), nullable=False),
        sa.Column("min_known_percent", sa.Integer(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_page_score_formulas")),
        sa.UniqueConstraint("number", name=op.f("uq_page_score_formulas_number")),
    )
    op.create_index("ix_page_score_formulas_valid_from", "page_score_formulas", ["valid_from", "number"])
    op.create_table(
        "page_scores",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("page_id", sa.Uuid(), nullable=False),
        sa.Column("week", sa.Text(), nullable=False),
        sa.Column("formula_id", sa.Uuid(), nullable=False),
        sa.Column("score", sa.Numeric(4, 1), nullable=True),
        sa.Column("light", sa.Text(), nullable=False),
        sa.Column("inputs", JSONB(), nullable=False),
        sa.Column("points", JSONB(), nullable=False),
        sa.Column("last_post_at", moment, nullable=True),
        sa.Column("created_at", moment, nullable=False),
        sa.ForeignKeyConstraint(["page_id"], ["pages.id"], name=op.f("fk_page_scores_page_id")),
        sa.ForeignKeyConstraint(
            ["formula_id"], ["page_score_formulas.id"], name=op.f("fk_page_scores_formula_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_page_scores")),
        sa.UniqueConstraint("page_id", "week", name=op.f("uq_page_scores_page_id_week")),
    )
    op.create_index(
        "ix_page_scores_week_score", "page_scores", ["week", sa.text("coalesce(score, 1000)"), "page_id"]
    )
    # No UPDATE and no DELETE: a formula and a score stay as they are.
    op.execute("GRANT SELECT, INSERT ON page_score_formulas, page_scores TO gospablik_metrics")
    op.execute(f"GRANT SELECT ON page_score_formulas, page_scores TO {_OTHERS}")
    criteria = json.dumps(_CRITERIA)
    op.execute(
        "INSERT INTO page_score_formulas (id, number, name, valid_from, criteria, green_from, yellow_from,"
        " min_known_percent, created_by, created_at) VALUES (gen_random_uuid(), 1,"
        " 'Светофор: таблица Амурской области', '2000-W01',"
        f" '{criteria}'::jsonb, 80, 50, 50, 'migration', now())"
    )


def downgrade() -> None:
    op.drop_table("page_scores")
    op.drop_table("page_score_formulas")
