"""In and out: what citizens wrote, how far each source is read, what we publish. Written by ingest."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, LargeBinary, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from shared.tables.base import Base, CreatedAt, CursorMixin, Exact, ExactText, Id, IdempotencyMixin, UpdatedAt

# The empty array of a column.
EMPTY = text("'{}'")


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
        Index("ix_messages_kind_received_at", "kind", "received_at", "id"),
        Index("ix_messages_network_received_at", "network", "received_at", "id"),
        Index("ix_messages_history", "received_at", "id", postgresql_where=text("history")),
        Index("ix_messages_deleted", "received_at", "id", postgresql_where=text("deleted_by IS NOT NULL")),
        Index(
            "ix_messages_living_posts",
            "page_id",
            "written_at",
            postgresql_where=text("kind = 'wall_post' AND deleted_at IS NULL"),
        ),
        Index(
            "ix_messages_living_comments",
            "thread_key",
            postgresql_where=text("kind = 'comment' AND deleted_at IS NULL"),
        ),
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
    __table_args__ = (Index("ix_message_versions_replaced_at", "replaced_at"),)

    message_id: Mapped[UUID] = mapped_column(ForeignKey("messages.id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[Exact]
    attachments: Mapped[list[Any]]
    raw: Mapped[dict[str, Any]] = mapped_column(JSON)
    replaced_at: Mapped[datetime]


class PendingDeletion(Base):
    """A deletion that was announced before the message itself came; it is applied when the message comes.

    `deleter_key` is the pseudonym of who deleted, null where the network does not tell.
    """

    __tablename__ = "tombstones"

    network: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    external_id: Mapped[str] = mapped_column(primary_key=True)
    page_id: Mapped[UUID] = mapped_column(ForeignKey("pages.id"))
    deleter_key: Mapped[str | None]
    created_at: Mapped[CreatedAt]


class ProcessedPushEvent(Base):
    """An event that a network pushed and that is stored: a second delivery of the same id changes nothing."""

    __tablename__ = "seen_events"
    __table_args__ = (Index("ix_seen_events_created_at", "created_at"),)

    page_id: Mapped[UUID] = mapped_column(ForeignKey("pages.id"), primary_key=True)
    event_id: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[CreatedAt]


class Author(Base):
    """Who wrote: a keyed digest for everyone, name and profile encrypted for those who may know."""

    __tablename__ = "authors"

    author_key: Mapped[str] = mapped_column(primary_key=True)
    network: Mapped[str]
    identity: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class Source(Base):
    """How far one way into one page is read. `cursor` is moved in the transaction that stored its batch.

    `gaps`: how many messages this way found that no ordinary way had brought although it had had the time.
    """

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
    gaps: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    last_gap_at: Mapped[datetime | None]
    updated_at: Mapped[UpdatedAt]


class Thread(Base):
    """How far one thread of a page is read.

    `marker` is what the network said of the thread when it was last read completely (a count, a last id, a time
    of activity): the thread is read again when the network says something else. `anchor`: where reading goes on.
    `difference`: how many comments more the network counted than we held after the last complete reading. Another
    difference is read at once, the same one at `recheck_at` (database time): after twice as long each time.
    """

    __tablename__ = "threads"
    __table_args__ = (Index("ix_threads_page_id_read_at", "page_id", "read_at"),)

    thread_key: Mapped[str] = mapped_column(primary_key=True)
    page_id: Mapped[UUID] = mapped_column(ForeignKey("pages.id"))
    marker: Mapped[str | None]
    anchor: Mapped[str | None]
    read_at: Mapped[datetime]
    difference: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    rechecks: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    recheck_at: Mapped[datetime | None]


class QuarantinedPayload(Base):
    """A payload that could not be read, with the reason: nothing that came is thrown away."""

    __tablename__ = "set_aside"
    __table_args__ = (
        Index("ix_set_aside_created_at", "created_at", "id"),
        Index("ix_set_aside_page_id_created_at", "page_id", "created_at", "id"),
    )

    id: Mapped[Id]
    network: Mapped[str]
    page_id: Mapped[UUID | None]
    way_in: Mapped[str]
    reason: Mapped[str]
    raw: Mapped[str]
    created_at: Mapped[CreatedAt]


class NetworkToken(Base):
    """A credential of a network, encrypted; ingest alone may read `secret`.

    `state`: healthy | limited | captcha | revoked | blocked. `usage` holds until when single methods rest.
    `challenge`: what a person has to solve before the network takes the token again.
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
    challenge: Mapped[dict[str, Any] | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class CallCount(Base):
    """Calls of a method by a token in one part of the network's day; reserved before they are made."""

    __tablename__ = "call_counts"
    __table_args__ = (Index("ix_call_counts_bucket", "bucket"),)

    token_id: Mapped[UUID] = mapped_column(ForeignKey("network_tokens.id", ondelete="CASCADE"), primary_key=True)
    method: Mapped[str] = mapped_column(primary_key=True)
    bucket: Mapped[datetime] = mapped_column(primary_key=True)
    calls: Mapped[int]


class PollRate(Base):
    """What is learnt of how often a page brings something, so that a restart does not forget it."""

    __tablename__ = "poll_rates"

    page_id: Mapped[UUID] = mapped_column(ForeignKey("pages.id"), primary_key=True)
    way: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[dict[str, Any]]
    updated_at: Mapped[UpdatedAt]


class CallbackRegistration(Base):
    """Where a network pushes the events of a page to, and whether it does.

    `secret` and `confirmation_code` lie encrypted together; `digest` finds the page of a secret path.
    `state`: waiting (asked for, not confirmed) | working | failed. `by_hand`: a person set it up in the network.
    `awaited_until` (database time): so long the network is told the confirmation code.
    """

    __tablename__ = "callback_servers"

    page_id: Mapped[UUID] = mapped_column(ForeignKey("pages.id"), primary_key=True)
    network: Mapped[str]
    url: Mapped[str]
    secret: Mapped[bytes] = mapped_column(LargeBinary)
    digest: Mapped[str] = mapped_column(unique=True)
    server_id: Mapped[str | None]
    by_hand: Mapped[bool] = mapped_column(default=False)
    state: Mapped[str] = mapped_column(default="waiting")
    reason: Mapped[str | None]
    awaited_until: Mapped[datetime | None]
    checked_at: Mapped[datetime | None]
    last_event_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class Reconciliation(Base):
    """One comparison of what the network holds of a page with what is stored.

    `compared` items were read; `gaps` were missing although ordinary ways had had the time, `late` were missing
    but too young to count, `edited` and `deleted` had changed unnoticed. All of them are mended by it.
    """

    __tablename__ = "reconciliations"
    __table_args__ = (
        Index("ix_reconciliations_page_id_started_at", "page_id", "started_at"),
        Index("ix_reconciliations_started_at_id", "started_at", "id"),
        Index(
            "ix_reconciliations_unfinished",
            "started_at",
            "id",
            postgresql_where=text("finished_at IS NULL"),
        ),
    )

    id: Mapped[Id]
    page_id: Mapped[UUID] = mapped_column(ForeignKey("pages.id"))
    since: Mapped[datetime]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    cursor: Mapped[dict[str, Any]] = mapped_column(default=dict)
    compared: Mapped[int] = mapped_column(default=0)
    gaps: Mapped[int] = mapped_column(default=0)
    late: Mapped[int] = mapped_column(default=0)
    edited: Mapped[int] = mapped_column(default=0)
    deleted: Mapped[int] = mapped_column(default=0)
    error: Mapped[str | None]


class Backfill(Base):
    """A page's history being fetched: asked for once, resumed after every interruption.

    `status`: queued → running → done | failed | cancelled. `open_cases`: what is found may open cases although it
    was written before the page's go-live moment. `share` is how much of it is done, from 0 to 1.
    """

    __tablename__ = "backfills"
    __table_args__ = (
        Index("ix_backfills_created_at", "created_at", "id"),
        Index(
            "uq_backfills_one_at_a_time",
            "page_id",
            unique=True,
            postgresql_where=text("status IN ('queued', 'running')"),
        ),
    )

    id: Mapped[Id]
    page_id: Mapped[UUID] = mapped_column(ForeignKey("pages.id"))
    organisation_id: Mapped[UUID] = mapped_column(ForeignKey("organisations.id"))
    since: Mapped[datetime]
    open_cases: Mapped[bool]
    status: Mapped[str] = mapped_column(default="queued")
    cursor: Mapped[dict[str, Any]] = mapped_column(default=dict)
    share: Mapped[float] = mapped_column(default=0.0)
    found: Mapped[int] = mapped_column(default=0)
    stored: Mapped[int] = mapped_column(default=0)
    error: Mapped[str | None]
    asked_by: Mapped[str]
    created_at: Mapped[CreatedAt]
    finished_at: Mapped[datetime | None]
    updated_at: Mapped[UpdatedAt]


class Publication(Base):
    """One answer, or one part of a long one, to be published exactly once; `reply_id` and `part` are its key.

    `status`: queued → sending → published | failed; `uncertain` when a call may or may not have worked.
    `part` counts from 0 to `parts` - 1; a part is sent when its elder stands in the network.
    `sending_since`: when the latest call that may have taken effect began, by the database's clock; null: none was
    made. `sent_after` and `stood_before`: where the thread stood before the first of them in the network's own
    order, and the community's words that were stored from there on. `sent_texts`: former words of such calls.
    """

    __tablename__ = "publications"
    __table_args__ = (
        UniqueConstraint("reply_id", "part"),
        Index("ix_publications_page_id_created_at", "page_id", "created_at", "id"),
        Index("ix_publications_created_at", "created_at", "id"),
        Index("ix_publications_organisation_id_created_at", "organisation_id", "created_at", "id"),
        Index("ix_publications_network_created_at", "network", "created_at", "id"),
        # Those that are on their way or failed: few.
        Index(
            "ix_publications_unpublished",
            "status",
            "created_at",
            "id",
            postgresql_where=text("status <> 'published'"),
        ),
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
        Index(
            "ix_publications_in_doubt",
            "thread_key",
            postgresql_where=text("sending_since IS NOT NULL AND external_id IS NULL"),
        ),
    )

    id: Mapped[Id]
    reply_id: Mapped[UUID]
    appeal_id: Mapped[UUID | None]
    part: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    parts: Mapped[int] = mapped_column(default=1, server_default=text("1"))
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
    sent_after: Mapped[int | None] = mapped_column(BigInteger)
    stood_before: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list, server_default=EMPTY)
    sent_texts: Mapped[list[str]] = mapped_column(ARRAY(ExactText), default=list, server_default=EMPTY)
    external_id: Mapped[str | None]
    url: Mapped[str | None]
    published_at: Mapped[datetime | None]
    failure: Mapped[dict[str, Any] | None]
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class IngestCursor(CursorMixin, Base):
    __tablename__ = "ingest_cursors"


class IngestIdempotency(IdempotencyMixin, Base):
    __tablename__ = "ingest_idempotency"
