"""Tables of ingest about the erasure of citizens' personal data."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.tables.base import Base, CreatedAt, Id, UpdatedAt


class Erasure(Base):
    """The erasure of one author's personal data; the row stays as a record of it.

    `author_digest` is a keyed digest of the author's key: it identifies the author, also after a restore from a
    backup, without containing the key. `status`: queued → running → done | failed. Messages written up to `until`,
    by the network's clock, are erased. `pseudonym` replaces the author's key in the remaining rows. `subject`: the
    key, the network's id and the conversations, encrypted; null once the erasure is done, and before the author of
    a repeated erasure is found. `counts`: erased rows by service and kind.
    """

    __tablename__ = "erasures"
    __table_args__ = (
        Index("ix_erasures_created_at", "created_at", "id"),
        Index("ix_erasures_author_digest", "author_digest", "created_at"),
        Index("ix_erasures_pseudonym", "pseudonym"),
        # One unfinished erasure of an author at a time; few rows.
        Index("uq_erasures_unfinished", "author_digest", unique=True, postgresql_where=text("status <> 'done'")),
    )

    id: Mapped[Id]
    author_digest: Mapped[str]
    ground: Mapped[str]
    reference: Mapped[str]
    status: Mapped[str] = mapped_column(default="queued")
    until: Mapped[datetime]
    pseudonym: Mapped[str]
    subject: Mapped[bytes | None] = mapped_column(LargeBinary)
    counts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    error: Mapped[str | None]
    requested_by: Mapped[str]
    created_at: Mapped[CreatedAt]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    updated_at: Mapped[UpdatedAt]


class ErasedKey(Base):
    """Keyed digest of an erased author or conversation: messages written up to `until` are stored without text."""

    __tablename__ = "erased_keys"

    digest: Mapped[str] = mapped_column(primary_key=True)
    until: Mapped[datetime]
    erasure_id: Mapped[UUID] = mapped_column(ForeignKey("erasures.id"))


class NamedPerson(Base):
    """A person whom a message of somebody else names, in its text or its payload, also before an edit.

    `digest`: keyed digest of the person's id in the network, without prefix. Erasures find the messages by it.
    `unreadable` instead: the message could not be read, so it may name anybody.
    """

    __tablename__ = "named_people"

    digest: Mapped[str] = mapped_column(primary_key=True)
    message_id: Mapped[UUID] = mapped_column(ForeignKey("messages.id"), primary_key=True)


class UnindexedMessages(Base):
    """One row while messages that a former release stored are not in `named_people` yet: those with ids after
    `after`, in order. No row: all are.
    """

    __tablename__ = "unindexed_messages"

    after: Mapped[UUID] = mapped_column(primary_key=True)
