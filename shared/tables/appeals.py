"""Tables of appeals: appeals with their submissions, messages, timeline and assignments."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ColumnElement, ForeignKey, Identity, Index, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from shared.tables import appeals_classification, appeals_incidents, ingest, registry  # noqa: F401 — foreign keys refer to their tables
from shared.tables.appeals_sla import SlaClock
from shared.tables.base import (
    Base,
    ConsumerOffsetMixin,
    CreatedAt,
    ExactTextColumn,
    Id,
    IdempotencyMixin,
    UpdatedAt,
)

# Includes statuses that are no longer used, so that the indexes need not be rebuilt: queries still match.
_INDEXED_OPEN = ("new", "triage", "assigned", "in_progress", "on_approval", "interim", "reopened")
OPEN_APPEAL_STATUSES = ("triage", "assigned", "in_progress", "interim", "reopened")
WITH_SOMEBODY_STATUSES = ("assigned", "in_progress", "interim", "reopened")
# SQL: the earliest deadline that an appeal must meet, or null; as in `services/appeals/sla/breaches.py`.
_NEXT_DUE = (
    f"(CASE WHEN status IN {WITH_SOMEBODY_STATUSES!r} THEN "
    "LEAST(CASE WHEN first_response_at IS NULL THEN first_response_due_at END, "
    "next_response_due_at, promised_at, final_answer_due_at) END)"
)


class Appeal(Base):
    """A citizen's matter, from the message that opened it to its outcome.

    `first_response_*` describe the first reply, unless it is withdrawn; `next_response_due_at` is the deadline
    of the reply to a message that reopened the appeal, or null. Due dates are copied from the clocks, for lists.
    `legal_regime`: the law that applies to the appeal; `open_source_message` for all appeals so far.
    `erased_at`: when the citizen's data was erased: texts are gone; steps and their times stay.
    """

    __tablename__ = "appeals"
    __table_args__ = (
        # One appeal per matter of an author in a thread: two concurrent workers that see the same appeals take the
        # same next number, and one of them fails and must read the appeals again.
        Index("uq_appeals_matter", "thread_key", "author_key", "matter_number", unique=True),
        Index(
            "ix_appeals_open_thread",
            "thread_key",
            "author_key",
            postgresql_where=text(f"status IN {_INDEXED_OPEN!r}"),
        ),
        Index("ix_appeals_opened_at", "opened_at", "id"),
        Index("ix_appeals_organisation_id_opened_at", "organisation_id", "opened_at", "id"),
        Index("ix_appeals_status_opened_at", "status", "opened_at", "id"),
        Index("ix_appeals_network_opened_at", "network", "opened_at", "id"),
        # Appeals by their last change.
        Index("ix_appeals_updated_at", "updated_at", "id"),
        Index("ix_appeals_organisation_id_updated_at", "organisation_id", "updated_at", "id"),
        Index("ix_appeals_status_updated_at", "status", "updated_at", "id"),
        Index(
            "ix_appeals_assignee_id_updated_at",
            "assignee_id",
            "updated_at",
            "id",
            postgresql_where=text("assignee_id IS NOT NULL"),
        ),
        # Appeals with a deadline to meet, by the next one: a small part of all appeals.
        *(
            Index(f"ix_appeals_{name}next_due", *columns, text(_NEXT_DUE), "id", postgresql_where=text(where))
            for name, columns, where in (
                ("", (), f"{_NEXT_DUE} IS NOT NULL"),
                ("organisation_id_", ("organisation_id",), f"{_NEXT_DUE} IS NOT NULL"),
                ("assignee_id_", ("assignee_id",), f"assignee_id IS NOT NULL AND {_NEXT_DUE} IS NOT NULL"),
                ("status_", ("status",), f"{_NEXT_DUE} IS NOT NULL"),
                ("urgent_", (), f"urgency = 'high' AND {_NEXT_DUE} IS NOT NULL"),
            )
        ),
        Index(
            "ix_appeals_next_escalation_at",
            "next_escalation_at",
            "id",
            postgresql_where=text("next_escalation_at IS NOT NULL"),
        ),
        # Recent appeals with the same topic and location: similar appeals, spikes.
        Index("ix_appeals_municipality_opened_at", "municipality", "opened_at"),
        Index("ix_appeals_topic_id_opened_at", "topic_id", "opened_at"),
        # Appeals of one incident, or of any incident.
        Index(
            "ix_appeals_incident_id_opened_at",
            "incident_id",
            "opened_at",
            "id",
            postgresql_where=text("incident_id IS NOT NULL"),
        ),
        Index("ix_appeals_in_incident", "opened_at", "id", postgresql_where=text("incident_id IS NOT NULL")),
        # Appeals without a published reply.
        Index(
            "ix_appeals_unanswered",
            "opened_at",
            "id",
            postgresql_where=text(f"first_response_at IS NULL AND status IN {WITH_SOMEBODY_STATUSES!r}"),
        ),
        # Appeals that were closed in a period without a reply.
        Index(
            "ix_appeals_closed_unanswered",
            "closed_at",
            postgresql_where=text("status = 'closed' AND first_response_at IS NULL"),
        ),
        # Appeals that were returned; appeals that are transferred repeatedly.
        Index("ix_appeals_returned", "opened_at", "id", postgresql_where=text("returns > 0")),
        Index("ix_appeals_transferred", "opened_at", "id", postgresql_where=text("transfers > 0")),
        # Similar appeals: the same author, text, street or utility failure.
        Index("ix_appeals_author_key_opened_at", "author_key", "opened_at"),
        Index("ix_appeals_text_hash", text("hashtextextended(lower(text), 0)"), "opened_at"),
        Index(
            "ix_appeals_municipality_street",
            "municipality",
            "street",
            "opened_at",
            postgresql_where=text("street IS NOT NULL"),
        ),
        Index(
            "ix_appeals_municipality_utility_failure",
            "municipality",
            "utility_failure",
            "opened_at",
            postgresql_where=text("utility_failure IS NOT NULL"),
        ),
        # Partial indexes for values that few appeals have, newest first.
        Index("ix_appeals_urgent", "opened_at", "id", postgresql_where=text("urgency = 'high'")),
        Index("ix_appeals_language", "language", "opened_at", "id", postgresql_where=text("language <> 'ru'")),
        Index(
            "ix_appeals_settlement",
            "settlement",
            "opened_at",
            "id",
            postgresql_where=text("settlement IS NOT NULL"),
        ),
        Index(
            "ix_appeals_utility_failure",
            "utility_failure",
            "opened_at",
            "id",
            postgresql_where=text("utility_failure IS NOT NULL"),
        ),
        # Appeals whose last reply failed.
        Index("ix_appeals_reply_failed", "opened_at", "id", postgresql_where=text("reply_failed IS NOT NULL")),
        # Appeals that did not come from a network.
        Index(
            "ix_appeals_source_opened_at", "source", "opened_at", "id", postgresql_where=text("source IS NOT NULL")
        ),
        # Appeals assigned to a person; open appeals without an assignee.
        Index(
            "ix_appeals_assignee_id_opened_at",
            "assignee_id",
            "opened_at",
            "id",
            postgresql_where=text("assignee_id IS NOT NULL"),
        ),
        Index(
            "ix_appeals_without_assignee",
            "opened_at",
            "id",
            postgresql_where=text(f"assignee_id IS NULL AND status IN {OPEN_APPEAL_STATUSES!r}"),
        ),
        # Appeals with a message that may be about another matter.
        Index(
            "ix_appeals_possible_other_matters",
            "opened_at",
            "id",
            postgresql_where=text("possible_other_matters IS NOT NULL"),
        ),
        # Appeals by the citizen's feedback on the last final answer.
        Index(
            "ix_appeals_feedback_kind",
            "feedback_kind",
            "opened_at",
            "id",
            postgresql_where=text("feedback_kind IS NOT NULL"),
        ),
        # Unrouted appeals: routed again when rules or the registry change.
        Index(
            "ix_appeals_unassigned",
            "opened_at",
            "id",
            postgresql_where=text("organisation_id IS NULL AND status = 'triage'"),
        ),
    )

    id: Mapped[Id]
    number: Mapped[int] = mapped_column(BigInteger, Identity(), unique=True)
    version: Mapped[int] = mapped_column(default=1)
    status: Mapped[str]
    urgency: Mapped[str] = mapped_column(default="normal")
    outcome: Mapped[str | None]
    organisation_id: Mapped[UUID | None] = mapped_column(ForeignKey("organisations.id"))
    # The person who owes the next step: from the organisation or, in triage, from the centre.
    assignee_id: Mapped[UUID | None]
    topic_id: Mapped[UUID | None] = mapped_column(ForeignKey("topics.id"))
    # The location of the problem: OKTMO of the municipality; settlement, street and house from the text.
    municipality: Mapped[str | None]
    settlement: Mapped[str | None]
    street: Mapped[str | None]
    house: Mapped[str | None]
    # The utility that failed, if any: power, heat, water …
    utility_failure: Mapped[str | None]
    language: Mapped[str | None]
    incident_id: Mapped[UUID | None] = mapped_column(ForeignKey("incidents.id"))
    # How often the appeal was transferred, how often it was returned, and how often a deadline was extended.
    transfers: Mapped[int] = mapped_column(default=0)
    returns: Mapped[int] = mapped_column(default=0)
    extensions: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    page_id: Mapped[UUID | None] = mapped_column(ForeignKey("pages.id"))
    network: Mapped[str | None]
    thread_key: Mapped[str | None]
    author_key: Mapped[str | None]
    # The number of this matter among the author's matters in the thread: 1, 2 …
    matter_number: Mapped[int] = mapped_column(default=1, server_default=text("1"))
    # Messages that may be about another matter, until a person decides: [{"message_id", "reason", "at"}], or null.
    possible_other_matters: Mapped[list[dict[str, Any]] | None] = mapped_column(JSONB(none_as_null=True))
    url: Mapped[str | None]
    # As in `appeal_submissions`; null: from a network, or entered without a source.
    source: Mapped[str | None]
    legal_regime: Mapped[str] = mapped_column(default="open_source_message", server_default="open_source_message")
    text: Mapped[ExactTextColumn]
    written_at: Mapped[datetime]
    opened_at: Mapped[datetime]
    assigned_at: Mapped[datetime | None]
    sla_policy_id: Mapped[UUID | None] = mapped_column(ForeignKey("sla_policies.id"))
    first_response_due_at: Mapped[datetime | None]
    first_response_at: Mapped[datetime | None]
    first_response_working_seconds: Mapped[int | None]
    # When the first final answer was published, and the citizen's feedback on the last one, as in
    # `feedback_rounds`.
    final_answer_at: Mapped[datetime | None]
    feedback_kind: Mapped[str | None]
    next_response_due_at: Mapped[datetime | None]
    # When the breach of the awaited response or promise was recorded; the final answer's is in its clock.
    overdue_recorded_at: Mapped[datetime | None]
    # When to check next whether people must be notified of a late or nearly late answer.
    next_escalation_at: Mapped[datetime | None]
    # The deadline of the last final answer, given or not, and the deadline of the awaited one.
    resolution_due_at: Mapped[datetime | None]
    final_answer_due_at: Mapped[datetime | None]
    promised_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    erased_at: Mapped[datetime | None]
    # The last reply, if it failed: {"reply_id", "code", "message", "at"}.
    reply_failed: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    route: Mapped[dict[str, Any]]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]

    clocks: Mapped[list[SlaClock]] = relationship(
        order_by="(SlaClock.created_at, SlaClock.id)", lazy="selectin", cascade="save-update, merge"
    )

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 — SQLAlchemy's own name


class AppealSubmission(Base):
    """The submission of an appeal without a thread: by phone, in person, by letter, or by another system.

    `organisation_id` is the organisation that entered it (null: the centre); with `source` and `external_id` it
    identifies the submission permanently. `fingerprint` is a digest of the request, `contact` an encrypted JSON
    object, `extra` the source's own data.
    """

    __tablename__ = "appeal_submissions"
    __table_args__ = (
        Index(
            "uq_appeal_submissions_external_id",
            "external_id",
            "source",
            "organisation_id",
            unique=True,
            postgresql_where=text("external_id IS NOT NULL"),
            postgresql_nulls_not_distinct=True,
        ),
    )

    appeal_id: Mapped[UUID] = mapped_column(ForeignKey("appeals.id"), primary_key=True)
    source: Mapped[str]
    external_id: Mapped[str | None]
    organisation_id: Mapped[UUID | None] = mapped_column(ForeignKey("organisations.id"))
    fingerprint: Mapped[str]
    contact: Mapped[bytes | None]
    extra: Mapped[dict[str, Any]]
    created_at: Mapped[CreatedAt]


class AppealMessage(Base):
    """A message of an appeal. A message belongs to at most one appeal.

    `created_at`: when the message joined its first appeal, or was edited into one that asks. `merged_at`: when a
    merge in effect brought it to the appeal; null for others. Both are the database's time, under the lock of the
    appeal.
    """

    __tablename__ = "appeal_messages"

    message_id: Mapped[UUID] = mapped_column(ForeignKey("messages.id"), primary_key=True)
    appeal_id: Mapped[UUID] = mapped_column(ForeignKey("appeals.id"), index=True)
    created_at: Mapped[CreatedAt]
    merged_at: Mapped[datetime | None]

    @classmethod
    def received_at(cls) -> ColumnElement[datetime]:
        """Return the SQL expression of when the appeal got the message: whoever replied to the appeal or looked at
        it before has not seen it.
        """
        return func.greatest(cls.created_at, cls.merged_at)


class TimelineEntry(Base):
    """A step in the history of an appeal, kept permanently: who did what, when, and why."""

    __tablename__ = "timeline"
    __table_args__ = (
        Index("ix_timeline_appeal_id", "appeal_id", "at", "id"),
        # Closures of a past week: a reopening removes `closed_at` from the appeal.
        Index("ix_timeline_closures", "at", postgresql_where=text("kind = 'moved' AND data ->> 'to' = 'closed'")),
    )

    id: Mapped[Id]
    appeal_id: Mapped[UUID] = mapped_column(ForeignKey("appeals.id"))
    at: Mapped[datetime]
    kind: Mapped[str]
    actor: Mapped[str]
    data: Mapped[dict[str, Any]]


class Assignment(Base):
    """An assignment of an appeal: kind routed | assigned | returned | transferred | rerouted."""

    __tablename__ = "assignments"
    __table_args__ = (Index("ix_assignments_appeal_id", "appeal_id", "at", "id"),)

    id: Mapped[Id]
    appeal_id: Mapped[UUID] = mapped_column(ForeignKey("appeals.id"))
    at: Mapped[datetime]
    kind: Mapped[str]
    from_organisation_id: Mapped[UUID | None] = mapped_column(ForeignKey("organisations.id"))
    to_organisation_id: Mapped[UUID | None] = mapped_column(ForeignKey("organisations.id"))
    rule_id: Mapped[UUID | None]
    reason: Mapped[str | None]
    actor: Mapped[str]


class AppealsConsumerOffset(ConsumerOffsetMixin, Base):
    __tablename__ = "appeals_consumer_offsets"


class AppealsIdempotency(IdempotencyMixin, Base):
    __tablename__ = "appeals_idempotency"
