"""Table of appeals: photos of replies."""

from uuid import UUID

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.tables import appeals_replies  # noqa: F401 — foreign keys refer to their tables
from shared.tables.base import Base, CreatedAt, ExactTextColumn, Id


class Attachment(Base):
    """An uploaded photo; its file is stored under `id`. It belongs to the organisation of the person who uploaded
    it; null: the centre.

    `reply_id` is the reply that it was first attached to, and does not change; null: it is not attached, and
    expires. `name` is only displayed. `size` is in bytes; `sha256`, in hexadecimal, is the digest of the stored
    file.
    """

    __tablename__ = "attachments"
    __table_args__ = (
        # Uploads not attached to a reply: few rows, counted by person and purged by age.
        Index("ix_attachments_unattached", "uploaded_by", postgresql_where=text("reply_id IS NULL")),
        Index("ix_attachments_unattached_age", "created_at", "id", postgresql_where=text("reply_id IS NULL")),
    )

    id: Mapped[Id]
    organisation_id: Mapped[UUID | None] = mapped_column(ForeignKey("organisations.id"))
    uploaded_by: Mapped[str]
    reply_id: Mapped[UUID | None] = mapped_column(ForeignKey("replies.id"))
    name: Mapped[ExactTextColumn]
    content_type: Mapped[str]
    size: Mapped[int]
    sha256: Mapped[str]
    width: Mapped[int]
    height: Mapped[int]
    created_at: Mapped[CreatedAt]
