"""The case: appeals, their messages, replies, timeline, topics, rules, SLA policies. Written by appeals."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.tables.base import Base, CreatedAt, Exact, Id, UpdatedAt

OPEN_STATUSES = ("new", "triage", "assigned", "in_progress", "on_approval", "interim", "reopened")


class Topic(Base):
    """A class of the classifier; `words` are the stems by which the plain rule knows it."""

    __tablename__ = "topics"

    id: Mapped[Id]
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    position: Mapped[int]
    words: Mapped[list[str]]
    active: Mapped[bool] = mapped_column(default=True)


class SlaPolicy(Base):
    """How soon an answer is due, in working hours, from the moment `starts_from`: received | written | assigned.

    A policy is never edited: a change is a new row with a later `valid_from`, so old deadlines stay explained.
    """

    __tablename__ = "sla_policies"

    id: Mapped[Id]
    name: Mapped[str]
    urgency: Mapped[str]
    first_response_hours: Mapped[float]
    resolution_hours: Mapped[float]
    starts_from: Mapped[str] = mapped_column(default="received")
    valid_from: Mapped[datetime]
    created_at: Mapped[CreatedAt]


class Appeal(Base):
    """A citizen's case, from the message that opened it to its outcome.

    `first_response_*` are facts of the first answer and stay; `next_response_due_at` is the deadline of the answer
    to a message that reopened the case, null while none is awaited. `deadline` explains both.
    """

    __tablename__ = "appeals"
    __table_args__ = (
        # One open case per thread and author: two workers at the same instant cannot open two.
        Index(
            "uq_appeals_open_thread",
            "thread_key",
            "author_key",
            unique=True,
            postgresql_where=text(f"status IN {OPEN_STATUSES!r}"),
        ),
        Index("ix_appeals_opened_at", "opened_at", "id"),
        Index("ix_appeals_organisation_id_opened_at", "organisation_id", "opened_at", "id"),
        Index("ix_appeals_status_opened_at", "status", "opened_at", "id"),
        Index("ix_appeals_thread_key", "thread_key"),
        Index(
            "ix_appeals_waiting",
            "first_response_due_at",
            "id",
            postgresql_where=text("first_response_at IS NULL AND closed_at IS NULL"),
        ),
        Index(
            "ix_appeals_next_response_due_at",
            "next_response_due_at",
            postgresql_where=text("next_response_due_at IS NOT NULL"),
        ),
    )

    id: Mapped[Id]
    number: Mapped[int] = mapped_column(BigInteger, Identity(), unique=True)
    version: Mapped[int] = mapped_column(default=1)
    status: Mapped[str]
    urgency: Mapped[str] = mapped_column(default="normal")
    outcome: Mapped[str | None]
    organisation_id: Mapped[UUID | None] = mapped_column(ForeignKey("organisations.id"))
    topic_id: Mapped[UUID | None] = mapped_column(ForeignKey("topics.id"))
    page_id: Mapped[UUID | None] = mapped_column(ForeignKey("pages.id"))
    network: Mapped[str | None]
    thread_key: Mapped[str | None]
    author_key: Mapped[str | None]
    url: Mapped[str | None]
    text: Mapped[Exact]
    written_at: Mapped[datetime]
    opened_at: Mapped[datetime]
    assigned_at: Mapped[datetime | None]
    sla_policy_id: Mapped[UUID | None] = mapped_column(ForeignKey("sla_policies.id"))
    first_response_due_at: Mapped[datetime | None]
    first_response_at: Mapped[datetime | None]
    first_response_working_seconds: Mapped[int | None]
    deadline: Mapped[dict[str, Any] | None]
    next_response_due_at: Mapped[datetime | None]
    overdue_noted_at: Mapped[datetime | None]
    resolution_due_at: Mapped[datetime | None]
    promised_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    route: Mapped[dict[str, Any]]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 — SQLAlchemy's own name


class AppealMessage(Base):
    """A message of the case. A message belongs to one case at most."""

    __tablename__ = "appeal_messages"

    message_id: Mapped[UUID] = mapped_column(ForeignKey("messages.id"), primary_key=True)
    appeal_id: Mapped[UUID] = mapped_column(ForeignKey("appeals.id"), index=True)
    created_at: Mapped[CreatedAt]


class Triage(Base):
    """What was judged of a citizen's message, by which rule or person, and why."""

    __tablename__ = "triage"
    __table_args__ = (Index("ix_triage_needs_answer_created_at", "needs_answer", "created_at"),)

    message_id: Mapped[UUID] = mapped_column(ForeignKey("messages.id"), primary_key=True)
    needs_answer: Mapped[str]
    type: Mapped[str]
    urgency: Mapped[str]
    topic_id: Mapped[UUID | None] = mapped_column(ForeignKey("topics.id"))
    confidence: Mapped[float]
    why: Mapped[str]
    judged_by: Mapped[str]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class Reply(Base):
    """An answer: drafted here (`origin: "gospablik"`) or written by hand in the network (`"network"`)."""

    __tablename__ = "replies"
    __table_args__ = (
        Index("ix_replies_appeal_id", "appeal_id", "created_at"),
        UniqueConstraint("message_id"),
    )

    id: Mapped[Id]
    appeal_id: Mapped[UUID] = mapped_column(ForeignKey("appeals.id"))
    origin: Mapped[str]
    kind: Mapped[str]
    text: Mapped[Exact]
    status: Mapped[str]
    author: Mapped[str]
    promised_at: Mapped[datetime | None]
    publication_id: Mapped[UUID | None]
    message_id: Mapped[UUID | None] = mapped_column(ForeignKey("messages.id"))
    url: Mapped[str | None]
    published_at: Mapped[datetime | None]
    failure: Mapped[dict[str, Any] | None]
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class TimelineEntry(Base):
    """One step of a case, kept for good: who did what, when, and why."""

    __tablename__ = "timeline"
    __table_args__ = (Index("ix_timeline_appeal_id", "appeal_id", "at", "id"),)

    id: Mapped[Id]
    appeal_id: Mapped[UUID] = mapped_column(ForeignKey("appeals.id"))
    at: Mapped[datetime]
    kind: Mapped[str]
    actor: Mapped[str]
    data: Mapped[dict[str, Any]]


class RoutingRule(Base):
    """Sends appeals of a topic and municipality to an organisation; the most specific rule wins."""

    __tablename__ = "routing_rules"

    id: Mapped[Id]
    topic_id: Mapped[UUID | None] = mapped_column(ForeignKey("topics.id"))
    municipality: Mapped[str | None]
    organisation_id: Mapped[UUID] = mapped_column(ForeignKey("organisations.id"))
    active: Mapped[bool] = mapped_column(default=True)
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[CreatedAt]
