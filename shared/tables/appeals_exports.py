"""Tables of appeals about exports: lists that a job writes to files."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from shared.tables.base import Base, CreatedAt, Id


class AppealExport(Base):
    """A list of appeals that its author can download as a file once a job has read the rows.

    `format`: csv | xlsx. `layout`: list | incident_management. `status`: queued | running | ready | failed;
    `failure` says why. `author` is a person or client; `scopes` are the scopes of the request. `rows_done` of
    `total` appeals are read. The export is deleted with its parts at `expires_at`, which is set when it is ready
    or failed.
    """

    __tablename__ = "appeal_exports"
    __table_args__ = (
        Index("ix_appeal_exports_author", "author", "created_at", "id"),
        Index("ix_appeal_exports_expires_at", "expires_at", postgresql_where=text("expires_at IS NOT NULL")),
    )

    id: Mapped[Id]
    author: Mapped[str]
    format: Mapped[str]
    layout: Mapped[str] = mapped_column(default="list", server_default=text("'list'"))
    status: Mapped[str] = mapped_column(default="queued")
    scopes: Mapped[list[str] | None] = mapped_column(JSONB(none_as_null=True))
    total: Mapped[int]
    rows_done: Mapped[int] = mapped_column(default=0)
    failure: Mapped[str | None]
    created_at: Mapped[CreatedAt]
    completed_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]


class AppealExportPart(Base):
    """A part of an export's rows: its appeals in the order of the list, fixed at the request.

    `rows`: their cells, compressed JSON with personal data masked; null until they are read.
    """

    __tablename__ = "appeal_export_parts"
    __table_args__ = (
        Index("ix_appeal_export_parts_unread", "export_id", "number", postgresql_where=text("rows IS NULL")),
    )

    export_id: Mapped[UUID] = mapped_column(ForeignKey("appeal_exports.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    appeal_ids: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid))
    rows: Mapped[bytes | None] = mapped_column(LargeBinary)
