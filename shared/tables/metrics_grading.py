"""Tables of metrics about grading answers: the rubric, weekly samples, grades, objections.

No text of a citizen or of a reply is copied here: rows refer to replies. Free texts that people write about an
answer (comment, ground, reason) may quote a citizen, so the erasure of the citizen empties them.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from shared.tables import appeals_replies  # noqa: F401 — foreign keys refer to their tables
from shared.tables.base import Base, CreatedAt, Id, UpdatedAt


class GradingRubric(Base):
    """A version of the rubric. The database refuses changes: a changed rubric is a new version.

    `criteria` are the criteria in their order, as `services/metrics/schemas/grading.py` (`Criterion`) describes
    them.
    """

    __tablename__ = "grading_rubrics"

    id: Mapped[Id]
    version: Mapped[int] = mapped_column(unique=True)
    criteria: Mapped[list[dict[str, Any]]]
    created_by: Mapped[str]
    created_at: Mapped[CreatedAt]


class GradingSample(Base):
    """The sample of the answers published in a week: an ISO week of the region, such as 2026-W47.

    `answers` is the number of answers published in the week. `second_share` is the share of items with a second
    grader.
    """

    __tablename__ = "grading_samples"

    id: Mapped[Id]
    week: Mapped[str] = mapped_column(unique=True)
    rubric_id: Mapped[UUID] = mapped_column(ForeignKey("grading_rubrics.id"))
    seed: Mapped[str]
    size: Mapped[int]
    second_share: Mapped[float]
    answers: Mapped[int]
    created_by: Mapped[str]
    created_at: Mapped[CreatedAt]


class GradingItem(Base):
    """An answer of a sample.

    `organisation_id` is the organisation that had the appeal when the reply was published; `stratum_size` is the
    number of its answers published in the week. `edits` is how many edits of the reply had been applied when the
    sample was drawn: later ones are not graded. `graders_wanted` is how many people should grade it. `scores` are
    the valid scores by criterion: the mean of the grades, or the scores of an upheld objection. `scores` and
    `graded_at` are null until `graders_wanted` people have graded it.
    """

    __tablename__ = "grading_items"
    __table_args__ = (
        UniqueConstraint("reply_id"),
        Index("ix_grading_items_sample_id", "sample_id", "position"),
        # Items to grade; read backwards, newest sample first.
        Index("ix_grading_items_open", "created_at", "position", postgresql_where=text("graded_at IS NULL")),
        Index("ix_grading_items_graded", "published_at", "id", postgresql_where=text("graded_at IS NOT NULL")),
        Index(
            "ix_grading_items_organisation_id_graded",
            "organisation_id",
            "published_at",
            "id",
            postgresql_where=text("graded_at IS NOT NULL"),
        ),
    )

    id: Mapped[Id]
    sample_id: Mapped[UUID] = mapped_column(ForeignKey("grading_samples.id"))
    position: Mapped[int]
    reply_id: Mapped[UUID] = mapped_column(ForeignKey("replies.id"))
    organisation_id: Mapped[UUID] = mapped_column(ForeignKey("organisations.id"))
    kind: Mapped[str]
    published_at: Mapped[datetime]
    edits: Mapped[int]
    stratum_size: Mapped[int]
    graders_wanted: Mapped[int]
    scores: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    graded_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]


class GradingGrade(Base):
    """A grade of an item: claimed by a grader until `claimed_until`, by the database's clock; final once given.

    `scores` are null until the grade is given. An expired claim is passed to the next grader.
    """

    __tablename__ = "grading_grades"
    __table_args__ = (
        UniqueConstraint("item_id", "number"),
        # Nobody grades an item twice.
        UniqueConstraint("item_id", "grader"),
        Index("ix_grading_grades_claimed", "grader", "claimed_until", postgresql_where=text("scores IS NULL")),
    )

    id: Mapped[Id]
    item_id: Mapped[UUID] = mapped_column(ForeignKey("grading_items.id"))
    number: Mapped[int]
    grader: Mapped[str]
    claimed_until: Mapped[datetime]
    scores: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    comment: Mapped[str | None]
    graded_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]


class GradingObjection(Base):
    """The objection of an organisation to the grades of its answer: open, upheld or rejected.

    `former_scores` are the disputed scores; `scores`, the scores that replace them if the objection is upheld.
    """

    __tablename__ = "grading_objections"
    __table_args__ = (
        UniqueConstraint("item_id"),
        Index("ix_grading_objections_open", "created_at", "id", postgresql_where=text("status = 'open'")),
    )

    id: Mapped[Id]
    item_id: Mapped[UUID] = mapped_column(ForeignKey("grading_items.id"))
    organisation_id: Mapped[UUID] = mapped_column(ForeignKey("organisations.id"))
    version: Mapped[int] = mapped_column(default=1)
    status: Mapped[str]
    ground: Mapped[str]
    former_scores: Mapped[dict[str, Any]]
    scores: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    reason: Mapped[str | None]
    requested_by: Mapped[str]
    decided_by: Mapped[str | None]
    decided_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 — SQLAlchemy's own name
