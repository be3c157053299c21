"""Tables into which every service but the console inserts: outbox, audit trail, reads of personal data, epochs.

Only the relay sets positions. All services may read the outbox and the trail; only registry may
read the reads of personal data.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Index, LargeBinary, Sequence, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from shared.tables.base import Base, CreatedAt, Id

WRITE_ORDER_SEQUENCE = Sequence("write_order_seq", metadata=Base.metadata)
_NUMBERED = text("position IS NOT NULL")


class Event(Base):
    """An event, written in the transaction of the change.

    `position` is null until the relay numbers the committed row: readers page only by position. `write_order` is
    the order of writing in the database, which the relay follows. `organisation_id` determines who may see the
    event; null: only the centre.
    """

    __tablename__ = "events"
    __table_args__ = (
        Index("ix_events_position", "position", unique=True),
        Index(
            "ix_events_unnumbered", "write_order", "created_at", "id", postgresql_where=text("position IS NULL")
        ),
        Index("ix_events_subject_id", "subject_id", "position"),
        # Rows are added to these two indexes when they are numbered, not when they are written.
        Index("ix_events_organisation_id", "organisation_id", "position", postgresql_where=_NUMBERED),
        Index("ix_events_type", "type", "position", postgresql_where=_NUMBERED),
    )

    id: Mapped[Id]
    position: Mapped[int | None] = mapped_column(BigInteger)
    write_order: Mapped[int | None] = mapped_column(BigInteger, server_default=WRITE_ORDER_SEQUENCE.next_value())
    type: Mapped[str]
    subject_id: Mapped[UUID]
    organisation_id: Mapped[UUID | None]
    actor: Mapped[str]
    occurred_at: Mapped[datetime]
    created_at: Mapped[CreatedAt]
    data: Mapped[dict[str, Any]]


class AuditEntry(Base):
    """A change by a person or client, written in its transaction; texts and names are stored as keyed digests.

    `position` and `chain` are null until the relay numbers the committed row and chains it to the previous one.
    `actor` made the change, `on_behalf_of` is the person a service acted for, `ip_address` the network address.
    """

    __tablename__ = "audit"
    __table_args__ = (
        Index("ix_audit_position", "position", unique=True),
        Index("ix_audit_unchained", "write_order", "created_at", "id", postgresql_where=text("position IS NULL")),
        Index("ix_audit_subject_id", "subject_id", "position"),
        Index("ix_audit_organisation_id", "organisation_id", "position"),
        Index("ix_audit_actor", "actor", "position"),
        Index(
            "ix_audit_on_behalf_of",
            "on_behalf_of",
            "position",
            postgresql_where=text("on_behalf_of IS NOT NULL"),
        ),
        Index("ix_audit_action", "action", "position"),
        Index("ix_audit_created_at", "created_at", "position"),
    )

    id: Mapped[Id]
    position: Mapped[int | None] = mapped_column(BigInteger)
    write_order: Mapped[int | None] = mapped_column(BigInteger, server_default=WRITE_ORDER_SEQUENCE.next_value())
    chain: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[CreatedAt]
    service: Mapped[str]
    actor: Mapped[str]
    on_behalf_of: Mapped[str | None]
    action: Mapped[str]
    subject_kind: Mapped[str]
    subject_id: Mapped[str]
    organisation_id: Mapped[UUID | None]
    before: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    after: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    request_id: Mapped[str | None]
    # Cannot be renamed: the hash chain covers the column's name.
    ip_address: Mapped[str | None] = mapped_column("came_from")


class PersonalDataRead(Base):
    """A record that somebody read unmasked texts of citizens, or exported appeals; committed before the response.

    `actor` read them, with this role and organisation at that time; `action` is the operation of the request.
    `subject_kind`: appeal | message | payload. `subject_ids` are the ids of the read subjects, `subject_count` is
    their number.
    """

    __tablename__ = "personal_data_reads"
    __table_args__ = (
        Index("ix_personal_data_reads_read_at", "read_at", "id"),
        Index("ix_personal_data_reads_actor", "actor", "read_at", "id"),
        Index("ix_personal_data_reads_action", "action", "read_at", "id"),
        Index("ix_personal_data_reads_organisation_id", "organisation_id", "read_at", "id"),
        Index("ix_personal_data_reads_subject_ids", "subject_ids", postgresql_using="gin"),
    )

    id: Mapped[Id]
    read_at: Mapped[datetime]
    service: Mapped[str]
    actor: Mapped[str]
    role: Mapped[str]
    organisation_id: Mapped[UUID | None]
    action: Mapped[str]
    subject_kind: Mapped[str]
    subject_ids: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid))
    subject_count: Mapped[int]
    request_id: Mapped[str | None]
    ip_address: Mapped[str | None]


class FeedEpoch(Base):
    """A range of event positions, from `epoch << 27` on; `server` names the server, its timeline and its table."""

    __tablename__ = "feed_epochs"

    epoch: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    server: Mapped[str]
    created_at: Mapped[CreatedAt]
