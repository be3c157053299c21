"""Table of appeals: edits and withdrawals of published replies."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from shared.tables.base import Base, ExactText, ExactTextColumn, Id


class ReplyChange(Base):
    """A person's request to edit or withdraw a published reply, kept permanently with both texts.

    kind edit | withdrawal; status queued | applied | failed. `text` is the new text of an edit, `hints` what the
    checks found in it, `former_text` what stood in the network; `ground` is given for a withdrawal. `requested_at`
    is the database's time. `accepted_at`: when ingest took it over. `failure`: {"code", "message"}.
    """

    __tablename__ = "reply_changes"
    __table_args__ = (
        Index("ix_reply_changes_reply_id", "reply_id", "requested_at", "id"),
        # One change at a time: the order of the requests is the order of the network's calls.
        Index("uq_reply_changes_under_way", "reply_id", unique=True, postgresql_where=text("status = 'queued'")),
        Index(
            "ix_reply_changes_unacknowledged",
            "requested_at",
            postgresql_where=text("status = 'queued' AND accepted_at IS NULL"),
        ),
    )

    id: Mapped[Id]
    reply_id: Mapped[UUID] = mapped_column(ForeignKey("replies.id"))
    kind: Mapped[str]
    status: Mapped[str] = mapped_column(default="queued")
    text: Mapped[str | None] = mapped_column(ExactText)
    former_text: Mapped[ExactTextColumn]
    ground: Mapped[str | None]
    reason: Mapped[ExactTextColumn]
    hints: Mapped[list[dict[str, Any]] | None] = mapped_column(JSONB(none_as_null=True))
    requested_by: Mapped[str]
    requested_at: Mapped[datetime]
    accepted_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    failure: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
