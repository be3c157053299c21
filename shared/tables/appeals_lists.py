"""Tables of appeals about lists: tags, saved views, unread marks, counts."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, UniqueConstraint, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from shared.tables import appeals, registry  # noqa: F401 — foreign keys refer to their tables
from shared.tables.base import Base, CreatedAt, Id, UpdatedAt


class AppealTag(Base):
    """A short word that staff put on an appeal, normalised.

    `organisation_id`: the organisation that had the appeal when the tag was added (null: the centre); the tag is
    suggested to its staff.
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


class SavedView(Base):
    """A named filter and order of the list of appeals, which belongs to a person or API client (`owner`).

    `is_shared`: people of `organisation_id` (null: of the centre) see it too.
    """

    __tablename__ = "saved_views"
    __table_args__ = (
        Index("ix_saved_views_owner", "owner", "sort_key", "id"),
        Index("ix_saved_views_shared", "organisation_id", "sort_key", "id", postgresql_where=text("is_shared")),
    )

    id: Mapped[Id]
    version: Mapped[int] = mapped_column(default=1)
    owner: Mapped[str]
    organisation_id: Mapped[UUID | None] = mapped_column(ForeignKey("organisations.id"))
    is_shared: Mapped[bool]
    name: Mapped[str]
    sort_key: Mapped[str]
    filter: Mapped[dict[str, Any]]
    sort: Mapped[str]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 — SQLAlchemy's own name


class UnreadAppeal(Base):
    """An appeal with something that a person should read and has not opened since `last_at`, the database's time.

    A row is deleted when the person has opened the appeal, so there are few rows. `merge_ids`: the merges that are
    the only causes of the mark, which ends if they are undone; null: it has another cause.
    """

    __tablename__ = "unread_appeals"
    __table_args__ = (Index("ix_unread_appeals_last_at", "last_at"),)

    person_id: Mapped[UUID] = mapped_column(primary_key=True)
    appeal_id: Mapped[UUID] = mapped_column(ForeignKey("appeals.id"), primary_key=True)
    reason: Mapped[str]
    last_at: Mapped[datetime]
    merge_ids: Mapped[list[UUID] | None] = mapped_column(ARRAY(Uuid))


class AppealCount(Base):
    """The sum of `appeals` is the number of appeals with this organisation, assignee, status and urgency.

    Triggers on the table `appeals` add rows with each change; a schedule merges them.
    """

    __tablename__ = "appeal_counts"
    __table_args__ = (Index("ix_appeal_counts_organisation_id", "organisation_id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    organisation_id: Mapped[UUID | None]
    assignee_id: Mapped[UUID | None]
    status: Mapped[str]
    urgency: Mapped[str]
    appeals: Mapped[int] = mapped_column(BigInteger)
