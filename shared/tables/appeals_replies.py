"""Tables of appeals about replies: their texts and versions, templates, approval, changes, promises."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, foreign, mapped_column, relationship

from shared.tables import appeals  # noqa: F401 — foreign keys refer to their tables
from shared.tables.base import (
    Base,
    CreatedAt,
    ExactText,
    ExactTextColumn,
    Id,
    UpdatedAt,
)
from shared.tables.ingest import PublicationChange

_NO_IDS = text("'{}'")
_FALSE = text("false")
# Statuses of a reply that was submitted for publication and is neither published nor failed.
PENDING_REPLY_STATUSES = ("queued", "sending", "uncertain")
# Statuses of a reply that was not published or was withdrawn; its messages may be moved to another appeal.
VOID_REPLY_STATUSES = ("failed", "discarded", "withdrawn")
# Statuses of a reply that is being written or published. An appeal has at most one such reply.
REPLY_STATUSES_UNDER_WAY = ("draft", "on_approval", *PENDING_REPLY_STATUSES)


class Reply(Base):
    """A reply: written here (`origin: "gospablik"`), by staff in the network (`"network"`), or given by phone, in
    person or in writing and recorded (`"recorded"`, with its `channel`; `answered_by` is who gave it, as a partner
    system says).

    `in_reply_to` is the citizen's message that it answers, chosen once when the reply is created; null if staff
    replied to no particular message. `message_id` is the message of a reply written in the network. `created_at`
    and `submitted_at` (the last attempt; null: `created_at`) of a reply written here are the database's times.
    `created_at` of a draft is when it was begun, and is set again when the reply is submitted for publication;
    `organisation_id` is the organisation that had the appeal then (null: not submitted, or by a former version).
    A `discarded` draft is kept for its versions. `approval` is the last request for approval and its decision.
    """

    __tablename__ = "replies"
    __table_args__ = (
        Index("ix_replies_appeal_id", "appeal_id", "created_at"),
        UniqueConstraint("message_id"),
        # If two colleagues reply at the same time, the second reply is refused.
        Index(
            "uq_replies_under_way",
            "appeal_id",
            unique=True,
            postgresql_where=text(f"status IN {REPLY_STATUSES_UNDER_WAY!r}"),
        ),
        # A reply to an incident is sent to each of its appeals once.
        UniqueConstraint("incident_reply_id", "appeal_id"),
        # Replies that ingest has not accepted yet.
        Index(
            "ix_replies_unacknowledged",
            "created_at",
            postgresql_where=text("status = 'queued' AND publication_id IS NULL"),
        ),
        # Replies published in a period.
        Index("ix_replies_published_at", "published_at", "id", postgresql_where=text("status = 'published'")),
        # Replies that wait for an approver, oldest first.
        Index("ix_replies_on_approval", "submitted_at", "id", postgresql_where=text("status = 'on_approval'")),
    )

    id: Mapped[Id]
    appeal_id: Mapped[UUID] = mapped_column(ForeignKey("appeals.id"))
    incident_reply_id: Mapped[UUID | None] = mapped_column(ForeignKey("incident_replies.id"))
    organisation_id: Mapped[UUID | None] = mapped_column(ForeignKey("organisations.id"))
    origin: Mapped[str]
    kind: Mapped[str]
    text: Mapped[ExactTextColumn]
    # The outcome of the matter that its author gave for this final answer; null: not given.
    outcome: Mapped[str | None]
    # Whether the text ends with the request for a mark, which is added when the reply is submitted.
    asks_mark: Mapped[bool] = mapped_column(default=False, server_default=_FALSE)
    # The request for a mark that was added; null: none, not submitted yet, or submitted by a former version.
    mark_question: Mapped[str | None]
    status: Mapped[str]
    author: Mapped[str]
    promised_at: Mapped[datetime | None]
    publication_id: Mapped[UUID | None]
    in_reply_to: Mapped[UUID | None] = mapped_column(ForeignKey("messages.id"))
    message_id: Mapped[UUID | None] = mapped_column(ForeignKey("messages.id"))
    url: Mapped[str | None]
    channel: Mapped[str | None]
    answered_by: Mapped[str | None]
    published_at: Mapped[datetime | None]
    failure: Mapped[dict[str, Any] | None]
    version: Mapped[int] = mapped_column(default=1)
    submitted_at: Mapped[datetime | None]
    # {"requested_by", "requested_at", "reason", "decision", "decided_by", "decided_at", "remarks"}.
    approval: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    # The attachments in the order in which they are published.
    attachment_ids: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid), default=list, server_default=_NO_IDS)
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class Promise(Base):
    """The date that a published interim reply promised: open until it is kept, moved or broken.

    `organisation_id` is the organisation that promised; null: the centre. An edit of the reply that gives another
    date marks its promise as moved and creates a new promise. `ended_at`: when the reply that kept or moved it was
    published or edited, or the promised date that passed. `final_reply_at`: when the final reply came, also after
    a broken promise.
    """

    __tablename__ = "promises"
    __table_args__ = (
        # An event that is processed twice creates no second promise.
        Index("uq_promises_reply_id_made_at", "reply_id", "made_at", unique=True),
        Index("ix_promises_appeal_id", "appeal_id", "made_at"),
        Index("ix_promises_made_at", "made_at", "id"),
        Index("ix_promises_status_made_at", "status", "made_at", "id"),
        Index("ix_promises_organisation_id_made_at", "organisation_id", "made_at", "id"),
        # Promises of a period.
        Index("ix_promises_promised_at", "promised_at"),
        # Open promises, for reminders and for recording broken promises.
        Index("ix_promises_open", "promised_at", "id", postgresql_where=text("status = 'open'")),
    )

    id: Mapped[Id]
    appeal_id: Mapped[UUID] = mapped_column(ForeignKey("appeals.id"))
    organisation_id: Mapped[UUID | None] = mapped_column(ForeignKey("organisations.id"))
    reply_id: Mapped[UUID] = mapped_column(ForeignKey("replies.id"))
    promised_at: Mapped[datetime]
    made_at: Mapped[datetime]
    status: Mapped[str] = mapped_column(default="open")
    ended_at: Mapped[datetime | None]
    final_reply_at: Mapped[datetime | None]
    reminded_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class ReplyVersion(Base):
    """A version of the text of a draft. Consecutive saves of one person within a minute are one version.

    `hints` are the results of the checks at the submission; null: this version was not submitted. Both times are
    by the database's clock.
    """

    __tablename__ = "reply_versions"
    __table_args__ = (UniqueConstraint("reply_id", "number"),)

    id: Mapped[Id]
    reply_id: Mapped[UUID] = mapped_column(ForeignKey("replies.id"))
    number: Mapped[int]
    kind: Mapped[str]
    text: Mapped[ExactTextColumn]
    promised_at: Mapped[datetime | None]
    author: Mapped[str]
    hints: Mapped[list[dict[str, Any]] | None] = mapped_column(JSONB(none_as_null=True))
    attachment_ids: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid), default=list, server_default=_NO_IDS)
    created_at: Mapped[CreatedAt]
    saved_at: Mapped[datetime]


class ReplyLease(Base):
    """The right of one person to write the reply to an appeal until `expires_at`, by the database's clock."""

    __tablename__ = "reply_leases"

    appeal_id: Mapped[UUID] = mapped_column(ForeignKey("appeals.id"), primary_key=True)
    holder: Mapped[str]
    holder_name: Mapped[str]
    acquired_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class ReplyTemplate(Base):
    """A template of replies, of an organisation or, if `organisation_id` is null, of the centre for all.

    `topic_id` may be a group, which includes all its topics; null: any topic.
    """

    __tablename__ = "reply_templates"
    __table_args__ = (
        Index("ix_reply_templates_created_at", "created_at", "id"),
        Index("ix_reply_templates_organisation_id", "organisation_id", "created_at", "id"),
    )

    id: Mapped[Id]
    version: Mapped[int] = mapped_column(default=1)
    organisation_id: Mapped[UUID | None] = mapped_column(ForeignKey("organisations.id"))
    topic_id: Mapped[UUID | None] = mapped_column(ForeignKey("topics.id"))
    name: Mapped[str]
    kind: Mapped[str]
    text: Mapped[str]
    created_by: Mapped[str]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 — SQLAlchemy's own name


class ApprovalRule(Base):
    """A rule by which replies need approval: each condition may be null, which means any.

    `topic_id` may be a group, which includes all its topics; `organisation_kind` is the kind of the organisation
    that answers. A rule is never edited.
    """

    __tablename__ = "approval_rules"
    __table_args__ = (
        Index("ix_approval_rules_created_at", "created_at", "id"),
        UniqueConstraint(
            "topic_id",
            "urgency",
            "organisation_id",
            "organisation_kind",
            name="uq_approval_rules_conditions",
            postgresql_nulls_not_distinct=True,
        ),
    )

    id: Mapped[Id]
    topic_id: Mapped[UUID | None] = mapped_column(ForeignKey("topics.id"))
    urgency: Mapped[str | None]
    organisation_id: Mapped[UUID | None] = mapped_column(ForeignKey("organisations.id"))
    organisation_kind: Mapped[str | None]
    created_by: Mapped[str]
    created_at: Mapped[CreatedAt]


class ReplyChange(Base):
    """A person's request to edit or withdraw a published reply, or such a change that staff made in the network to
    a reply written there (by the actor `network`, applied from the beginning). Kept permanently with both texts.

    kind edit | withdrawal; status queued | applied | failed. `text` is the new text of an edit, `hints` the
    results of the checks, `former_text` the text in the network before; `ground` is given for a withdrawal.
    `requested_at` is the database's time. `accepted_at`: when ingest accepted it. `failure`: {"code", "message"}.
    `promised_at`: the new date that an edit of an interim reply promises; null: the date stays. `attachment_ids`:
    the photos of the reply after the edit; null: unchanged. `former_…`: the reply's former values, if they change.
    """

    __tablename__ = "reply_changes"
    __table_args__ = (
        Index("ix_reply_changes_reply_id", "reply_id", "requested_at", "id"),
        # One queued change at a time, so that network calls follow the order of the requests.
        Index("uq_reply_changes_under_way", "reply_id", unique=True, postgresql_where=text("status = 'queued'")),
        Index(
            "ix_reply_changes_unacknowledged",
            "requested_at",
            postgresql_where=text("status = 'queued' AND accepted_at IS NULL"),
        ),
    )

    id: Mapped[Id]
    reply_id: Mapped[UUID] = mapped_column(ForeignKey("replies.id"))
    kind: Mapped[str]
    status: Mapped[str] = mapped_column(default="queued")
    text: Mapped[str | None] = mapped_column(ExactText)
    former_text: Mapped[ExactTextColumn]
    ground: Mapped[str | None]
    promised_at: Mapped[datetime | None]
    former_promised_at: Mapped[datetime | None]
    attachment_ids: Mapped[list[UUID] | None] = mapped_column(ARRAY(Uuid))
    former_attachment_ids: Mapped[list[UUID] | None] = mapped_column(ARRAY(Uuid))
    reason: Mapped[ExactTextColumn]
    hints: Mapped[list[dict[str, Any]] | None] = mapped_column(JSONB(none_as_null=True))
    requested_by: Mapped[str]
    requested_at: Mapped[datetime]
    accepted_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    failure: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))

    # The status of the change in ingest; null until ingest has accepted it.
    progress: Mapped[PublicationChange | None] = relationship(
        primaryjoin=lambda: foreign(ReplyChange.id) == PublicationChange.id,
        viewonly=True, lazy="raise", uselist=False,
    )  # fmt: skip
