"""Table of appeals about citizens' feedback on final answers."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.tables import appeals_replies  # noqa: F401 — foreign keys refer to their tables
from shared.tables.base import Base, CreatedAt, ExactTextColumn, Id, UpdatedAt


class FeedbackRound(Base):
    """The citizen's last feedback on one published final answer; the timeline has all feedback.

    `kind`: thanks | not_solved | mark | silence; null: no feedback yet, or a message that is not about the answer.
    `mark` is 1 to 5; a low one is `not_solved`. Silence is recorded after `silent_after` unless the round has
    ended (`ended_at`): by feedback, by silence, or because the appeal was answered again. `said_at` is the
    network's time. `read_by` is `rule:…` or, after a correction, a person; `reason` explains the kind.
    """

    __tablename__ = "feedback_rounds"
    __table_args__ = (
        UniqueConstraint("reply_id"),
        # A message is feedback on one answer.
        UniqueConstraint("message_id"),
        Index("ix_feedback_rounds_appeal_id", "appeal_id", "created_at"),
        # Feedback given in a period.
        Index("ix_feedback_rounds_said_at", "said_at", postgresql_where=text("said_at IS NOT NULL")),
        # Rounds that still await feedback or silence.
        Index("ix_feedback_rounds_awaited", "silent_after", "id", postgresql_where=text("ended_at IS NULL")),
    )

    id: Mapped[Id]
    appeal_id: Mapped[UUID] = mapped_column(ForeignKey("appeals.id"))
    reply_id: Mapped[UUID] = mapped_column(ForeignKey("replies.id"))
    answered_at: Mapped[datetime]
    silent_after: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    kind: Mapped[str | None]
    mark: Mapped[int | None]
    message_id: Mapped[UUID | None] = mapped_column(ForeignKey("messages.id"))
    said_at: Mapped[datetime | None]
    reason: Mapped[ExactTextColumn | None]
    read_by: Mapped[str | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]
