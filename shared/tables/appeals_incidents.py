"""Tables of appeals about incidents and alerts."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.tables import appeals_classification, registry  # noqa: F401 — foreign keys refer to their tables
from shared.tables.base import (
    Base,
    CreatedAt,
    ExactTextColumn,
    Id,
    UpdatedAt,
)


class Incident(Base):
    """One problem reported by many: appeals grouped by topic, location and time, each with its author and thread.

    origin spike | person. `organisation_id` is the leading organisation or null; appeals keep their own.
    """

    __tablename__ = "incidents"
    __table_args__ = (
        Index("ix_incidents_opened_at", "opened_at", "id"),
        Index("ix_incidents_open", "municipality", "last_written_at", postgresql_where=text("closed_at IS NULL")),
    )

    id: Mapped[Id]
    number: Mapped[int] = mapped_column(BigInteger, Identity(), unique=True)
    version: Mapped[int] = mapped_column(default=1)
    origin: Mapped[str]
    title: Mapped[str]
    topic_id: Mapped[UUID | None] = mapped_column(ForeignKey("topics.id"))
    utility_failure: Mapped[str | None]
    municipality: Mapped[str | None]
    settlement: Mapped[str | None]
    street: Mapped[str | None]
    urgency: Mapped[str]
    organisation_id: Mapped[UUID | None] = mapped_column(ForeignKey("organisations.id"))
    member_count: Mapped[int]
    first_written_at: Mapped[datetime]
    last_written_at: Mapped[datetime]
    opened_at: Mapped[datetime]
    opened_by: Mapped[str]
    closed_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 — SQLAlchemy's own name


class IncidentMember(Base):
    """The membership of an appeal in an incident. An appeal is in one incident at a time."""

    __tablename__ = "incident_members"
    __table_args__ = (
        Index("ix_incident_members_incident_id", "incident_id", "joined_at", "id"),
        # An appeal that left an incident is never added to it automatically again.
        Index("ix_incident_members_appeal_id", "appeal_id"),
        Index("uq_incident_members_current", "appeal_id", unique=True, postgresql_where=text("left_at IS NULL")),
    )

    id: Mapped[Id]
    incident_id: Mapped[UUID] = mapped_column(ForeignKey("incidents.id"))
    appeal_id: Mapped[UUID] = mapped_column(ForeignKey("appeals.id"))
    similarity: Mapped[float | None]
    why: Mapped[str]
    joined_at: Mapped[datetime]
    joined_by: Mapped[str]
    left_at: Mapped[datetime | None]
    left_by: Mapped[str | None]


class IncidentReply(Base):
    """A reply to all appeals of an incident; each appeal gets its own reply in its own thread."""

    __tablename__ = "incident_replies"
    __table_args__ = (Index("ix_incident_replies_incident_id", "incident_id", "created_at"),)

    id: Mapped[Id]
    incident_id: Mapped[UUID] = mapped_column(ForeignKey("incidents.id"))
    kind: Mapped[str]
    text: Mapped[ExactTextColumn]
    promised_at: Mapped[datetime | None]
    author: Mapped[str]
    # Null: for all appeals; else for appeals of this organisation, with `include_subordinates` also for appeals of
    # subordinate organisations.
    organisation_id: Mapped[UUID | None] = mapped_column(ForeignKey("organisations.id"))
    include_subordinates: Mapped[bool] = mapped_column(default=False)
    # Whether appeals that join the incident later get the reply too.
    include_later_members: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[CreatedAt]


class Alert(Base):
    """An alert for moderators: kind urgent (an appeal) | spike (an incident) | repeated_transfers (an appeal)."""

    __tablename__ = "alerts"
    __table_args__ = (
        Index("ix_alerts_created_at", "created_at", "id"),
        Index("ix_alerts_unseen", "created_at", "id", postgresql_where=text("seen_at IS NULL")),
        Index("ix_alerts_kind_created_at", "kind", "created_at", "id"),
        UniqueConstraint("kind", "appeal_id"),
        UniqueConstraint("kind", "incident_id"),
    )

    id: Mapped[Id]
    kind: Mapped[str]
    appeal_id: Mapped[UUID | None] = mapped_column(ForeignKey("appeals.id"))
    incident_id: Mapped[UUID | None] = mapped_column(ForeignKey("incidents.id"))
    why: Mapped[str]
    seen_at: Mapped[datetime | None]
    seen_by: Mapped[str | None]
    created_at: Mapped[CreatedAt]
