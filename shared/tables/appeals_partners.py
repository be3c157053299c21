"""Tables of appeals about partners: systems that send signed events, and the events that were received."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.tables import registry  # noqa: F401 — foreign keys refer to their tables
from shared.tables.base import Base, CreatedAt, Id, UpdatedAt


class Partner(Base):
    """Another system that sends signed events about appeals of one organisation (null: of the centre).

    Its external ids belong to `source`. `owner_id` is the person or API client whose rights its events use.
    `secret` is the encrypted secret, and during a rotation the previous one too. A deleted partner keeps its row,
    because timelines name it, but not its secret.
    """

    __tablename__ = "partners"
    __table_args__ = (
        # External ids of two partners must not be mixed up.
        Index(
            "uq_partners_source",
            "source",
            "organisation_id",
            unique=True,
            postgresql_where=text("deleted_at IS NULL"),
            postgresql_nulls_not_distinct=True,
        ),
    )

    id: Mapped[Id]
    name: Mapped[str]
    source: Mapped[str]
    organisation_id: Mapped[UUID | None] = mapped_column(ForeignKey("organisations.id"))
    owner_id: Mapped[UUID]
    secret: Mapped[bytes] = mapped_column(LargeBinary)
    active: Mapped[bool] = mapped_column(default=True)
    created_by: Mapped[str]
    deleted_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class PartnerEvent(Base):
    """An event that a partner sent and that was processed, by its `webhook-id`: a repeated one changes nothing.

    The body is not stored: `fingerprint` is its keyed digest. `appeal_id` and `reply_id` are what it changed or
    created, set in the transaction of the effect; `opened`: it opened the appeal. `received_at` is by the
    database's clock.
    """

    __tablename__ = "partner_events"
    __table_args__ = (Index("ix_partner_events_received_at", "received_at"),)

    partner_id: Mapped[UUID] = mapped_column(ForeignKey("partners.id"), primary_key=True)
    webhook_id: Mapped[str] = mapped_column(primary_key=True)
    type: Mapped[str]
    fingerprint: Mapped[str]
    appeal_id: Mapped[UUID | None]
    reply_id: Mapped[UUID | None]
    opened: Mapped[bool] = mapped_column(default=False)
    received_at: Mapped[datetime]
