"""Tables of page health: versions of the formula by which pages are scored, and the scores of each week."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, Numeric, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.tables import registry  # noqa: F401 — foreign keys refer to their tables
from shared.tables.base import Base, CreatedAt, Id


class PageScoreFormula(Base):
    """A version of the formula of page scores. The database refuses to change or delete a row.

    `valid_from` is the first ISO week that it may score, such as 2026-W47. A week is scored by the formula
    with the latest `valid_from` up to it; of several, by the highest `number`. `criteria` are the criteria of
    `services/metrics/schemas/page_formulas.py` with weights and levels. A page whose known criteria have less
    than `min_known_percent` of the weight gets no score.
    """

    __tablename__ = "page_score_formulas"
    __table_args__ = (Index("ix_page_score_formulas_valid_from", "valid_from", "number"),)

    id: Mapped[Id]
    number: Mapped[int] = mapped_column(unique=True)
    name: Mapped[str]
    valid_from: Mapped[str]
    criteria: Mapped[list[dict[str, Any]]]
    green_from: Mapped[int]
    yellow_from: Mapped[int]
    min_known_percent: Mapped[int]
    created_by: Mapped[str]
    created_at: Mapped[CreatedAt]


class PageScore(Base):
    """The score of a page in one ISO week of the region; the row never changes.

    `score`: 0 to 100, null if too little is known; then `light` is `unknown`, else `green`, `yellow` or `red`.
    `inputs`: what was known about the page in that week. `points`: for each criterion of the formula the points,
    the points that were possible (0: no data), the value and its source. `last_post_at`: the page's last own post
    before the end of the week, null if unknown.
    """

    __tablename__ = "page_scores"
    __table_args__ = (
        UniqueConstraint("page_id", "week"),
        # The list of a week, worst first; pages without a score come last.
        Index("ix_page_scores_week_score", "week", text("coalesce(score, 1000)"), "page_id"),
    )

    id: Mapped[Id]
    page_id: Mapped[UUID] = mapped_column(ForeignKey("pages.id"))
    week: Mapped[str]
    formula_id: Mapped[UUID] = mapped_column(ForeignKey("page_score_formulas.id"))
    score: Mapped[Decimal | None] = mapped_column(Numeric(4, 1))
    light: Mapped[str]
    inputs: Mapped[dict[str, Any]]
    points: Mapped[list[dict[str, Any]]]
    last_post_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]
