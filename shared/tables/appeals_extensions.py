"""Table of appeals about requests to extend a deadline."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.tables import appeals, registry  # noqa: F401 — foreign keys refer to their tables
from shared.tables.base import Base, CreatedAt, ExactText, ExactTextColumn, Id, UpdatedAt

_IS_OPEN = text("status = 'open'")


class ExtensionRequest(Base):
    """A request for more time by the organisation that has an appeal, and the centre's decision.

    `clock` is the kind of the clock. `extension_seconds` count in its `unit`: working | calendar. `due_at` is the
    deadline at the request (null: paused), `extended_due_at` is the deadline after the approval. status open |
    approved | refused | withdrawn (by the organisation; `decided_by` says by whom) | ended (automatically, for
    `ended_reason`).
    """

    __tablename__ = "extension_requests"
    __table_args__ = (
        # A clock has at most one open request: of two concurrent requests one fails.
        Index("uq_extension_requests_open", "clock_id", unique=True, postgresql_where=_IS_OPEN),
        # The open requests, oldest first.
        Index("ix_extension_requests_open", "created_at", "id", postgresql_where=_IS_OPEN),
        Index("ix_extension_requests_appeal_id", "appeal_id", "created_at", "id"),
    )

    id: Mapped[Id]
    appeal_id: Mapped[UUID] = mapped_column(ForeignKey("appeals.id"))
    clock_id: Mapped[UUID] = mapped_column(ForeignKey("sla_clocks.id"))
    clock: Mapped[str]
    organisation_id: Mapped[UUID] = mapped_column(ForeignKey("organisations.id"))
    extension_seconds: Mapped[int] = mapped_column(BigInteger)
    unit: Mapped[str]
    ground: Mapped[ExactTextColumn]
    due_at: Mapped[datetime | None]
    extended_due_at: Mapped[datetime | None]
    status: Mapped[str] = mapped_column(default="open")
    requested_by: Mapped[str]
    decided_by: Mapped[str | None]
    decided_at: Mapped[datetime | None]
    remarks: Mapped[str | None] = mapped_column(ExactText)
    ended_reason: Mapped[str | None]
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 — SQLAlchemy's own name
