"""In and out: what citizens wrote, how far each source is read, what we publish. Written by ingest."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, ForeignKey, Index, LargeBinary, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.tables.base import Base, CreatedAt, Exact, Id, UpdatedAt


class Message(Base):
    """One row per (network, kind, external id), whatever arrives twice.

    `kind`: comment | wall_post | message. `external_id` carries all that makes it unique in the network.
    `thread_key` names the place an answer goes back to: a post with its comments, or a dialogue.
    `from_community`: the page itself spoke; such words open no case. `publication_id`: they are ours.
    `history`: written before the page's go-live moment. `raw` is the payload as it came.
    """

    __tablename__ = "messages"
    __table_args__ = (
        UniqueConstraint("network", "kind", "external_id"),
        Index("ix_messages_page_id_received_at", "page_id", "received_at", "id"),
        Index("ix_messages_received_at_id", "received_at", "id"),
        Index("ix_messages_organisation_id_received_at", "organisation_id", "received_at", "id"),
        Index("ix_messages_thread_key", "thread_key", "written_at"),
    )

    id: Mapped[Id]
    network: Mapped[str]
    kind: Mapped[str]
    external_id: Mapped[str]
    page_id: Mapped[UUID] = mapped_column(ForeignKey("pages.id"))
    organisation_id: Mapped[UUID] = mapped_column(ForeignKey("organisations.id"))
    thread_key: Mapped[str]
    reply_to: Mapped[str | None]
    author_key: Mapped[str | None]
    from_community: Mapped[bool]
    publication_id: Mapped[UUID | None]
    text: Mapped[Exact]
    attachments: Mapped[list[Any]]
    url: Mapped[str]
    history: Mapped[bool]
    way_in: Mapped[str]
    written_at: Mapped[datetime]
    received_at: Mapped[datetime]
    edited_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]
    deleted_by: Mapped[str | None]
    version: Mapped[int] = mapped_column(default=1)
    raw: Mapped[dict[str, Any]] = mapped_column(JSON)  # json, not jsonb: jsonb refuses \u0000


class MessageVersion(Base):
    """The text a message had before an edit."""

    __tablename__ = "message_versions"

    message_id: Mapped[UUID] = mapped_column(ForeignKey("messages.id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[Exact]
    attachments: Mapped[list[Any]]
    raw: Mapped[dict[str, Any]] = mapped_column(JSON)
    replaced_at: Mapped[datetime]


class Author(Base):
    """Who wrote: a keyed digest for everyone, name and profile encrypted for those who may know."""

    __tablename__ = "authors"

    author_key: Mapped[str] = mapped_column(primary_key=True)
    network: Mapped[str]
    identity: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class Source(Base):
    """How far one way into one page is read. `cursor` is moved in the transaction that stored its batch."""

    __tablename__ = "sources"
    __table_args__ = (UniqueConstraint("page_id", "way"),)

    id: Mapped[Id]
    page_id: Mapped[UUID] = mapped_column(ForeignKey("pages.id"))
    way: Mapped[str]
    cursor: Mapped[dict[str, Any]]
    last_success_at: Mapped[datetime | None]
    last_message_at: Mapped[datetime | None]
    last_error_at: Mapped[datetime | None]
    last_error: Mapped[str | None]
    failures: Mapped[int] = mapped_column(default=0)
    updated_at: Mapped[UpdatedAt]


class Thread(Base):
    """How far one thread of a page is read.

    `marker` is what the network said of the thread when it was last read completely (a count, a last id, a time
    of activity): the thread is read again when the network says something else. `anchor`: where reading goes on.
    """

    __tablename__ = "threads"
    __table_args__ = (Index("ix_threads_page_id_read_at", "page_id", "read_at"),)

    thread_key: Mapped[str] = mapped_column(primary_key=True)
    page_id: Mapped[UUID] = mapped_column(ForeignKey("pages.id"))
    marker: Mapped[str | None]
    anchor: Mapped[str | None]
    read_at: Mapped[datetime]


class SetAside(Base):
    """A payload that could not be read, with the reason: nothing that came is thrown away."""

    __tablename__ = "set_aside"

    id: Mapped[Id]
    network: Mapped[str]
    page_id: Mapped[UUID | None]
    way_in: Mapped[str]
    reason: Mapped[str]
    raw: Mapped[str]
    created_at: Mapped[CreatedAt]


class NetworkToken(Base):
    """A credential of a network, encrypted; ingest alone may read `secret`.

    `state`: healthy | limited | captcha | revoked | blocked. `usage` counts the day's calls of budgeted methods.
    """

    __tablename__ = "network_tokens"
    __table_args__ = (Index("ix_network_tokens_network_kind", "network", "kind"),)

    id: Mapped[Id]
    network: Mapped[str]
    kind: Mapped[str]
    page_id: Mapped[UUID | None] = mapped_column(ForeignKey("pages.id"), index=True)
    digest: Mapped[str] = mapped_column(unique=True)
    secret: Mapped[bytes] = mapped_column(LargeBinary)
    state: Mapped[str] = mapped_column(default="healthy")
    reason: Mapped[str | None]
    limited_until: Mapped[datetime | None]
    usage: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class Publication(Base):
    """One answer to be published exactly once; `reply_id` is the idempotency key of the request.

    `status`: queued → sending → published | failed; `uncertain` when a call may or may not have worked.
    """

    __tablename__ = "publications"
    __table_args__ = (
        Index("ix_publications_page_id_created_at", "page_id", "created_at", "id"),
        Index(
            "uq_publications_one_at_a_time",
            "thread_key",
            unique=True,
            postgresql_where=text("status IN ('sending', 'uncertain')"),
        ),
        Index(
            "uq_publications_external_id",
            "network",
            "kind",
            "external_id",
            unique=True,
            postgresql_where=text("external_id IS NOT NULL"),
        ),
        Index(
            "ix_publications_unfinished",
            "thread_key",
            "created_at",
            postgresql_where=text("status IN ('queued', 'sending', 'uncertain')"),
        ),
    )

    id: Mapped[Id]
    reply_id: Mapped[UUID] = mapped_column(unique=True)
    page_id: Mapped[UUID] = mapped_column(ForeignKey("pages.id"))
    organisation_id: Mapped[UUID] = mapped_column(ForeignKey("organisations.id"))
    network: Mapped[str]
    kind: Mapped[str]
    thread_key: Mapped[str]
    target: Mapped[str | None]
    text: Mapped[Exact]
    on_behalf_of: Mapped[str]
    status: Mapped[str] = mapped_column(default="queued")
    attempts: Mapped[int] = mapped_column(default=0)
    sending_since: Mapped[datetime | None]
    external_id: Mapped[str | None]
    url: Mapped[str | None]
    published_at: Mapped[datetime | None]
    failure: Mapped[dict[str, Any] | None]
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]
