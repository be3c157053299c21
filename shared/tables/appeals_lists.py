"""Tables of appeals about lists: tags."""

from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from shared.tables.base import Base, CreatedAt, Id


class AppealTag(Base):
    """A short word of staff on an appeal, normalised.

    `organisation_id` had the appeal when the tag was added (null: the centre): who works there is offered the tag.
    """

    __tablename__ = "appeal_tags"
    __table_args__ = (
        UniqueConstraint("appeal_id", "tag"),
        Index("ix_appeal_tags_tag", "tag", "appeal_id"),
        Index("ix_appeal_tags_organisation_id", "organisation_id", "tag"),
    )

    id: Mapped[Id]
    appeal_id: Mapped[UUID] = mapped_column(ForeignKey("appeals.id"))
    organisation_id: Mapped[UUID | None] = mapped_column(ForeignKey("organisations.id"))
    tag: Mapped[str]
    added_by: Mapped[str]
    created_at: Mapped[CreatedAt]
