"""Tables of ingest: messages, sources, tokens, reconciliations, backfills and publications."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, LargeBinary, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from shared.tables import registry  # noqa: F401 — foreign keys refer to their tables
from shared.tables.base import (
    Base,
    ConsumerOffsetMixin,
    CreatedAt,
    ExactText,
    ExactTextColumn,
    Id,
    IdempotencyMixin,
    UpdatedAt,
)

# Server defaults: of array columns, of a JSON column with a list, and of a number.
EMPTY = text("'{}'")
NO_OBJECTS = text("'[]'")
_ZERO = text("0")


class Message(Base):
    """A message; one row per (network, kind, external id), however often it is delivered.

    `kind`: comment | wall_post | message. `external_id` is unique within network and kind.
    `thread_key`: the thread a reply goes to: a post with its comments, a discussion or a conversation.
    `from_community`: written by the page itself; opens no appeal. `publication_id`: the publication by which this
    system wrote it, or null. `history`: opens no appeal (see `is_historical`). `raw`: the payload as received.
    `erased_at`: when the citizen's data was erased: the text, and in a direct conversation the network's ids, are
    gone permanently.
    """

    __tablename__ = "messages"
    __table_args__ = (
        UniqueConstraint("network", "kind", "external_id"),
        Index("ix_messages_page_id_received_at", "page_id", "received_at", "id"),
        Index("ix_messages_received_at_id", "received_at", "id"),
        Index("ix_messages_organisation_id_received_at", "organisation_id", "received_at", "id"),
        Index("ix_messages_thread_key", "thread_key", "written_at"),
        Index("ix_messages_author_key", "author_key", "written_at"),
        Index("ix_messages_kind_received_at", "kind", "received_at", "id"),
        Index("ix_messages_network_received_at", "network", "received_at", "id"),
        Index("ix_messages_history", "received_at", "id", postgresql_where=text("history")),
        Index("ix_messages_deleted", "received_at", "id", postgresql_where=text("deleted_by IS NOT NULL")),
        # Messages that communities deleted in a period.
        Index("ix_messages_deleted_by_community", "deleted_at", postgresql_where=text("deleted_by = 'community'")),
        Index(
            "ix_messages_undeleted_posts",
            "page_id",
            "written_at",
            postgresql_where=text("kind = 'wall_post' AND deleted_at IS NULL"),
        ),
        Index(
            "ix_messages_undeleted_comments",
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
    text: Mapped[ExactTextColumn]
    attachments: Mapped[list[Any]]
    url: Mapped[str]
    history: Mapped[bool]
    source_kind: Mapped[str]
    written_at: Mapped[datetime]
    received_at: Mapped[datetime]
    edited_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]
    deleted_by: Mapped[str | None]
    erased_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=1)
    raw: Mapped[dict[str, Any]] = mapped_column(JSON)  # json, not jsonb: jsonb refuses \u0000


class MessageVersion(Base):
    """The text a message had before an edit."""

    __tablename__ = "message_versions"
    __table_args__ = (Index("ix_message_versions_replaced_at", "replaced_at"),)

    message_id: Mapped[UUID] = mapped_column(ForeignKey("messages.id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[ExactTextColumn]
    attachments: Mapped[list[Any]]
    raw: Mapped[dict[str, Any]] = mapped_column(JSON)
    replaced_at: Mapped[datetime]


class PendingDeletion(Base):
    """A deletion received before its message; it is applied when the message arrives.

    `deleter_key`: pseudonym of the person who deleted it, null if the network does not say.
    """

    __tablename__ = "pending_deletions"

    network: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    external_id: Mapped[str] = mapped_column(primary_key=True)
    page_id: Mapped[UUID] = mapped_column(ForeignKey("pages.id"))
    deleter_key: Mapped[str | None]
    created_at: Mapped[CreatedAt]


class ProcessedPushEvent(Base):
    """A pushed event that was stored; a second delivery with the same id is ignored."""

    __tablename__ = "processed_push_events"
    __table_args__ = (Index("ix_processed_push_events_created_at", "created_at"),)

    page_id: Mapped[UUID] = mapped_column(ForeignKey("pages.id"), primary_key=True)
    event_id: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[CreatedAt]


class Author(Base):
    """An author of messages: a keyed digest as pseudonym, and the encrypted name and profile."""

    __tablename__ = "authors"

    author_key: Mapped[str] = mapped_column(primary_key=True)
    network: Mapped[str]
    identity: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class Source(Base):
    """One source of a page, and how far it is read. `cursor` is saved in the transaction of its batch.

    `gaps`: how many messages this source found that no regular source had stored within the grace period.
    """

    __tablename__ = "sources"
    __table_args__ = (UniqueConstraint("page_id", "kind"),)

    id: Mapped[Id]
    page_id: Mapped[UUID] = mapped_column(ForeignKey("pages.id"))
    kind: Mapped[str]
    cursor: Mapped[dict[str, Any]]
    last_success_at: Mapped[datetime | None]
    last_message_at: Mapped[datetime | None]
    last_error_at: Mapped[datetime | None]
    last_error: Mapped[str | None]
    consecutive_failures: Mapped[int] = mapped_column(default=0)
    gaps: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    last_gap_at: Mapped[datetime | None]
    updated_at: Mapped[UpdatedAt]


class Thread(Base):
    """One thread of a page, and how far it has been read.

    `marker`: state of the thread in the network at the last complete read (a count, a last id, a time of
    activity); the thread is read again when it differs. `cursor`: where reading continues. `count_difference`: how
    many more comments the network counted than were stored after the last complete read. A changed difference
    causes a read at once, an unchanged one at `recheck_at` (database time), with a delay that doubles each time. A
    thread that the network refused to show has a `recheck_at` without a difference too.
    """

    __tablename__ = "threads"
    __table_args__ = (Index("ix_threads_page_id_read_at", "page_id", "read_at"),)

    thread_key: Mapped[str] = mapped_column(primary_key=True)
    page_id: Mapped[UUID] = mapped_column(ForeignKey("pages.id"))
    marker: Mapped[str | None]
    cursor: Mapped[str | None]
    read_at: Mapped[datetime]
    count_difference: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    recheck_count: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    recheck_at: Mapped[datetime | None]


class QuarantinedPayload(Base):
    """A payload that could not be parsed or stored, with the reason."""

    __tablename__ = "quarantine"
    __table_args__ = (
        Index("ix_quarantine_created_at", "created_at", "id"),
        Index("ix_quarantine_page_id_created_at", "page_id", "created_at", "id"),
    )

    id: Mapped[Id]
    network: Mapped[str]
    page_id: Mapped[UUID | None]
    source_kind: Mapped[str]
    reason: Mapped[str]
    raw: Mapped[str]
    created_at: Mapped[CreatedAt]


class NetworkToken(Base):
    """A network token, encrypted; only ingest may read `secret`.

    `state`: healthy | limited | captcha | revoked | blocked. `limited_methods`: paused methods with the
    time until which they are paused, as `{method: RFC 3339 time}`.
    `challenge`: what a person has to solve before the network accepts the token again.
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
    limited_methods: Mapped[dict[str, Any]] = mapped_column(default=dict)
    challenge: Mapped[dict[str, Any] | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class CallCount(Base):
    """Calls of a method by a token in one time bucket; reserved before they are made."""

    __tablename__ = "call_counts"
    __table_args__ = (Index("ix_call_counts_bucket", "bucket"),)

    token_id: Mapped[UUID] = mapped_column(ForeignKey("network_tokens.id", ondelete="CASCADE"), primary_key=True)
    method: Mapped[str] = mapped_column(primary_key=True)
    bucket: Mapped[datetime] = mapped_column(primary_key=True)
    calls: Mapped[int]


class CallTurn(Base):
    """When the next call of a token may be made, by the database's clock; all processes reserve calls here."""

    __tablename__ = "call_turns"

    token_id: Mapped[UUID] = mapped_column(ForeignKey("network_tokens.id", ondelete="CASCADE"), primary_key=True)
    next_at: Mapped[datetime]


class ReadingLease(Base):
    """The worker that reads the networks, and until when its lease lasts, by the database's clock."""

    __tablename__ = "reading_leases"

    part: Mapped[str] = mapped_column(primary_key=True)
    holder: Mapped[str]
    expires_at: Mapped[datetime]


class PollRate(Base):
    """Learned message rate of a page, saved so that it survives restarts."""

    __tablename__ = "poll_rates"

    page_id: Mapped[UUID] = mapped_column(ForeignKey("pages.id"), primary_key=True)
    source_kind: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[dict[str, Any]]
    updated_at: Mapped[UpdatedAt]


class CallbackRegistration(Base):
    """The address to which a network pushes the events of a page, and whether this works.

    `secret` also contains the confirmation code; both are encrypted. `digest` finds the page by a secret URL.
    `state`: pending (requested, not confirmed) | active | failed. `manual`: a person set it up in the network.
    `confirmation_until` (database time): until when the network may request the confirmation code.
    """

    __tablename__ = "callback_registrations"

    page_id: Mapped[UUID] = mapped_column(ForeignKey("pages.id"), primary_key=True)
    network: Mapped[str]
    url: Mapped[str]
    secret: Mapped[bytes] = mapped_column(LargeBinary)
    digest: Mapped[str] = mapped_column(unique=True)
    server_id: Mapped[str | None]
    manual: Mapped[bool] = mapped_column(default=False)
    state: Mapped[str] = mapped_column(default="pending")
    reason: Mapped[str | None]
    confirmation_until: Mapped[datetime | None]
    checked_at: Mapped[datetime | None]
    last_event_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class Reconciliation(Base):
    """One comparison of a page's stored messages with the network.

    `compared`: items read; `gaps`: missing after the grace period; `within_grace`: missing but too recent to
    count; `edited`, `deleted`: changes that were not noticed before. The reconciliation stores all of them.
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
    within_grace: Mapped[int] = mapped_column(default=0)
    edited: Mapped[int] = mapped_column(default=0)
    deleted: Mapped[int] = mapped_column(default=0)
    error: Mapped[str | None]


class Backfill(Base):
    """A backfill of a page's history, resumed after every interruption.

    `status`: queued → running → done | failed | cancelled. `open_appeals`: messages may open appeals although
    they were written before the page's go-live time. `progress`: from 0 to 1. `items_read`: messages read from the
    network; `messages_added`: those that were not stored before.
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
    open_appeals: Mapped[bool]
    status: Mapped[str] = mapped_column(default="queued")
    cursor: Mapped[dict[str, Any]] = mapped_column(default=dict)
    progress: Mapped[float] = mapped_column(default=0.0)
    items_read: Mapped[int] = mapped_column(default=0)
    messages_added: Mapped[int] = mapped_column(default=0)
    error: Mapped[str | None]
    requested_by: Mapped[str]
    created_at: Mapped[CreatedAt]
    finished_at: Mapped[datetime | None]
    updated_at: Mapped[UpdatedAt]


class Publication(Base):
    """One reply, or one part of a long reply, to be published exactly once; unique by `reply_id` and `part`.

    `status`: queued → sending → published | failed; `uncertain` when a call may or may not have worked.
    `part` counts from 0 to `parts` - 1; a part is sent once the previous part is published.
    `sending_since`: start of the latest call that may have taken effect, by the database's clock; null: no call.
    `baseline_position`, `baseline_external_ids`: the thread's position before the first such call, in the
    network's order, and the community's messages stored from there on. `previous_texts`: earlier texts of such
    calls. `reply_to`: external id of the comment that it replies to; null: it is posted to the thread.
    `attachments`: the photos to publish with it, as appeals sent them; only the first part has any.
    `uploaded_media`: the network's references to these photos; null until all of them are uploaded.
    `unreachable_since`: since when its calls get no connection to the network; null: the last one got one.
    `unreachable_seconds`: how long they got none before that, in all.
    `withdrawn_at`: when a withdrawal, or an edit that needs fewer parts, deleted it in the network; it stays
    `published`, so that its comment is still recognised as ours. `erased_at`: when the citizen's data was erased,
    and the text with it.
    """

    __tablename__ = "publications"
    __table_args__ = (
        UniqueConstraint("reply_id", "part"),
        Index("ix_publications_page_id_created_at", "page_id", "created_at", "id"),
        Index("ix_publications_created_at", "created_at", "id"),
        Index("ix_publications_organisation_id_created_at", "organisation_id", "created_at", "id"),
        Index("ix_publications_network_created_at", "network", "created_at", "id"),
        Index("ix_publications_thread_key", "thread_key"),
        # Conversations of notices, which lists of messages leave out: few among all threads.
        Index("ix_publications_of_notices", "thread_key", postgresql_where=text("on_behalf_of = 'notices'")),
        # Unfinished or failed publications: few rows.
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
            "ix_publications_outcome_unknown",
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
    reply_to: Mapped[str | None]
    text: Mapped[ExactTextColumn]
    on_behalf_of: Mapped[str]
    status: Mapped[str] = mapped_column(default="queued")
    attempts: Mapped[int] = mapped_column(default=0)
    sending_since: Mapped[datetime | None]
    unreachable_since: Mapped[datetime | None]
    unreachable_seconds: Mapped[float] = mapped_column(default=0.0, server_default=_ZERO)
    baseline_position: Mapped[int | None] = mapped_column(BigInteger)
    baseline_external_ids: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list, server_default=EMPTY)
    previous_texts: Mapped[list[str]] = mapped_column(ARRAY(ExactText), default=list, server_default=EMPTY)
    attachments: Mapped[list[dict[str, Any]]] = mapped_column(default=list, server_default=NO_OBJECTS)
    uploaded_media: Mapped[list[str] | None] = mapped_column(JSONB(none_as_null=True))
    external_id: Mapped[str | None]
    url: Mapped[str | None]
    published_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]
    erased_at: Mapped[datetime | None]
    failure: Mapped[dict[str, Any] | None]
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class PublicationChange(Base):
    """An edit or withdrawal of a published reply, requested by appeals; `publication_id` is its first part.

    `id` is given by appeals. kind edit | withdrawal; `text` is the new text of an edit. `status`: queued → sending
    → done | failed; `uncertain` when a call may or may not have worked. `sending_since`: start of the latest call,
    by the database's clock; null: no call was made.

    `part_texts`: the new text of each part of the reply, in order; null for a part to be deleted. If the
    column is null, all parts get `text`. `parts` and `parts_done`: how many parts it changes, and how many of them
    have the wanted text. `attachments`: the photos of the reply after an edit; null: unchanged. `uploaded_media`:
    the network's references to these photos; null until all of them are uploaded. `unreachable_since`,
    `unreachable_seconds`: as for `Publication`.
    """

    __tablename__ = "publication_changes"
    __table_args__ = (
        # One unfinished change of a reply at a time, in the order of the requests.
        Index(
            "uq_publication_changes_unfinished",
            "publication_id",
            unique=True,
            postgresql_where=text("status IN ('queued', 'sending', 'uncertain')"),
        ),
        # Unfinished changes, oldest first: finds those whose job was lost.
        Index(
            "ix_publication_changes_unfinished",
            "updated_at",
            postgresql_where=text("status IN ('queued', 'sending', 'uncertain')"),
        ),
    )

    id: Mapped[Id]
    publication_id: Mapped[UUID] = mapped_column(ForeignKey("publications.id"))
    parts: Mapped[int] = mapped_column(default=1, server_default=text("1"))
    parts_done: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    kind: Mapped[str]
    text: Mapped[str | None] = mapped_column(ExactText)
    part_texts: Mapped[list[str | None] | None] = mapped_column(ARRAY(ExactText))
    attachments: Mapped[list[dict[str, Any]] | None] = mapped_column(JSONB(none_as_null=True))
    uploaded_media: Mapped[list[str] | None] = mapped_column(JSONB(none_as_null=True))
    on_behalf_of: Mapped[str]
    status: Mapped[str] = mapped_column(default="queued")
    attempts: Mapped[int] = mapped_column(default=0)
    sending_since: Mapped[datetime | None]
    unreachable_since: Mapped[datetime | None]
    unreachable_seconds: Mapped[float] = mapped_column(default=0.0, server_default=_ZERO)
    failure: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class IngestConsumerOffset(ConsumerOffsetMixin, Base):
    __tablename__ = "ingest_consumer_offsets"


class IngestIdempotency(IdempotencyMixin, Base):
    __tablename__ = "ingest_idempotency"
