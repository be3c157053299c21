"""Tables of appeals: appeals, messages, replies, timeline, topics, routing rules, SLA policies."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, UniqueConstraint, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from shared.tables.base import (
    Base,
    ConsumerOffsetMixin,
    CreatedAt,
    ExactTextColumn,
    Id,
    IdempotencyMixin,
    UpdatedAt,
)

# An automatic classifier is named `rule:…` or `model:…`; a person is stored by id.
CLASSIFIED_BY_PERSON = "classified_by !~ '^(rule|model):'"
OPEN_APPEAL_STATUSES = ("triage", "assigned", "in_progress", "interim", "reopened")
# A reply that was handed over for publication and is neither published nor failed.
PENDING_REPLY_STATUSES = ("queued", "sending", "uncertain")
# A reply that the citizen does not have: its messages may belong to another appeal.
VOID_REPLY_STATUSES = ("failed", "discarded", "withdrawn")
# A reply that somebody writes or that is on its way to the citizen. An appeal has at most one.
REPLY_STATUSES_UNDER_WAY = ("draft", "on_approval", *PENDING_REPLY_STATUSES)
_FALSE = text("false")
_NO_IDS = text("'{}'")
UNFINISHED_CLOCK_STATES = ("waiting", "running", "paused")
# The executor at a share of the time, the others so many working hours after the deadline.
DEFAULT_ESCALATION: dict[str, float | None] = {
    "executor_share": 0.8,
    "manager_hours": 0,
    "centre_hours": 4,
    "deputy_head_hours": 9,
}
# By clock: how often it may be extended, and by how many hours of its unit each time; null: never.
DEFAULT_EXTENSIONS: dict[str, dict[str, float] | None] = {
    "final_answer": {"count": 2, "hours": 40},
    "first_response": None,
    "next_response": None,
}
# The indexes include statuses that are no longer assigned: a wider condition serves the same queries.
_INDEXED_OPEN = ("new", "triage", "assigned", "in_progress", "on_approval", "interim", "reopened")


class Topic(Base):
    """An entry of the topic taxonomy: a group («группа тем») if `group_id` is null, else a topic («тема»).

    `taxonomy_version` is the version of the taxonomy that added it. `includes` describes what belongs to it
    («должна содержать»), `excludes` which similar topics do not («не путать с»); `aliases` are former names and
    common words.
    """

    __tablename__ = "topics"
    __table_args__ = (Index("ix_topics_group_id", "group_id", "position"),)

    id: Mapped[Id]
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    position: Mapped[int]
    group_id: Mapped[UUID | None] = mapped_column(ForeignKey("topics.id"))
    taxonomy_version: Mapped[str]
    includes: Mapped[str | None]
    excludes: Mapped[str | None]
    aliases: Mapped[list[str]]
    active: Mapped[bool] = mapped_column(default=True)


class SlaPolicy(Base):
    """A version of an SLA policy: which appeals it is for, and how long a reply may take.

    `policy_key` is the same for all versions of a policy. A version is in effect from `valid_from` until before
    `valid_until` (null: without end) and is never edited or deleted, so that it explains old deadlines.
    Conditions are null for any value: `topic_id` may be a group, `channel` is a network, the source of an
    appeal or `manual`. Amounts are hours of the unit beside them: working | calendar; `ceiling_hours` are calendar
    hours. `starts_from`: received | written | assigned.
    """

    __tablename__ = "sla_policies"
    __table_args__ = (
        # A policy has one version of each number: two changes at once do not both succeed.
        UniqueConstraint("policy_key", "version"),
        Index("ix_sla_policies_valid_from", "valid_from", "id"),
    )

    id: Mapped[Id]
    policy_key: Mapped[UUID]
    version: Mapped[int] = mapped_column(default=1)
    name: Mapped[str]
    urgency: Mapped[str | None]
    topic_id: Mapped[UUID | None] = mapped_column(ForeignKey("topics.id"))
    organisation_kind: Mapped[str | None]
    channel: Mapped[str | None]
    legal_regime: Mapped[str | None]
    first_response_hours: Mapped[float]
    first_response_unit: Mapped[str] = mapped_column(default="working")
    ceiling_hours: Mapped[float | None]
    resolution_hours: Mapped[float]
    resolution_unit: Mapped[str] = mapped_column(default="working")
    promise_hours: Mapped[float | None]
    promise_unit: Mapped[str] = mapped_column(default="working")
    return_hours: Mapped[float | None]
    return_unit: Mapped[str] = mapped_column(default="working")
    starts_from: Mapped[str] = mapped_column(default="received")
    # The shares of the time after which the organisation is warned, in order.
    warn_at: Mapped[list[float]] = mapped_column(JSONB, default=lambda: [0.5, 0.8])
    # When to tell whom, as in `DEFAULT_ESCALATION`; null: never.
    escalation: Mapped[dict[str, float | None]] = mapped_column(JSONB, default=lambda: dict(DEFAULT_ESCALATION))
    # How far the deadline of each clock may be extended, as in `DEFAULT_EXTENSIONS`; null: not.
    extensions: Mapped[dict[str, dict[str, float] | None]] = mapped_column(
        JSONB, default=lambda: dict(DEFAULT_EXTENSIONS)
    )
    valid_from: Mapped[datetime]
    valid_until: Mapped[datetime | None]
    created_by: Mapped[str | None]
    created_at: Mapped[CreatedAt]


class SlaClock(Base):
    """A clock of an appeal, kind first_response | next_response | final_answer. A promise is a row of `promises`.

    `message_id` is the citizen's message that it answers; null: the one that opened the appeal. `policy_id` is the
    version of the policy that applies, kept when the policy changes or ends. The row itself is the start of the
    clock, which is also written as an event before another event changes what the row says. `due_at`,
    `used_seconds` and `on_time` are computed from the start, the events and the calendars, and stored. `due_at` is
    null while a clock is paused in time. A clock that is `waiting` has not started: a moderator has to decide.
    """

    __tablename__ = "sla_clocks"
    __table_args__ = (
        Index("ix_sla_clocks_appeal_id", "appeal_id", "created_at", "id"),
        # An appeal has one unfinished clock of each kind. Also lists the appeals with unfinished clocks.
        Index(
            "uq_sla_clocks_unfinished",
            "appeal_id",
            "kind",
            unique=True,
            postgresql_where=text(f"state IN {UNFINISHED_CLOCK_STATES!r}"),
        ),
        Index(
            "ix_sla_clocks_next_warning_at",
            "next_warning_at",
            "id",
            postgresql_where=text("next_warning_at IS NOT NULL"),
        ),
        # Clocks with an open extension request, which ends with the deadline.
        Index(
            "ix_sla_clocks_extension_requested",
            "due_at",
            "id",
            postgresql_where=text("extension_request_id IS NOT NULL"),
        ),
    )

    id: Mapped[Id]
    appeal_id: Mapped[UUID] = mapped_column(ForeignKey("appeals.id"))
    kind: Mapped[str]
    # waiting | running | paused | stopped (by a published answer) | cancelled (without one).
    state: Mapped[str]
    message_id: Mapped[UUID | None] = mapped_column(ForeignKey("messages.id"))
    written_at: Mapped[datetime]
    received_at: Mapped[datetime]
    policy_id: Mapped[UUID | None] = mapped_column(ForeignKey("sla_policies.id"))
    target_seconds: Mapped[int | None] = mapped_column(BigInteger)
    unit: Mapped[str | None]
    ceiling_seconds: Mapped[int | None] = mapped_column(BigInteger)
    started_at: Mapped[datetime | None]
    due_at: Mapped[datetime | None]
    # Of a clock that was extended: its deadline without the extensions.
    unextended_due_at: Mapped[datetime | None]
    # The open request to extend it, which whoever ends the clock ends too; the request refers to the clock.
    extension_request_id: Mapped[UUID | None]
    stopped_at: Mapped[datetime | None]
    used_seconds: Mapped[int | None] = mapped_column(BigInteger)
    on_time: Mapped[bool | None]
    # Who has to answer, and in which calendar it counts; null: the centre, the program's default calendar.
    organisation_id: Mapped[UUID | None] = mapped_column(ForeignKey("organisations.id"))
    calendar_id: Mapped[UUID | None] = mapped_column(ForeignKey("calendars.id"))
    # Who started it, and when that was recorded.
    started_by: Mapped[str | None]
    start_recorded_at: Mapped[datetime | None]
    # Of a clock that has ended: what counted. A calendar may change later.
    explanation: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    # The last share of the time that the organisation was warned of, and when the next warning is due.
    warned_share: Mapped[float | None]
    next_warning_at: Mapped[datetime | None]
    # Of a final answer: when its breach was recorded; that of a response is recorded in the appeal.
    overdue_recorded_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]

    # Whoever changes an appeal needs its clocks; lists of appeals leave them out.
    events: Mapped[list["SlaClockEvent"]] = relationship(
        order_by="SlaClockEvent.sequence", lazy="selectin", cascade="save-update, merge"
    )


class SlaClockEvent(Base):
    """What happened to a clock after its start, kept permanently and never changed.

    kind started (written when a later event changes what the clock's row says of it) | restarted (by a new
    question) | reopened (after a stop: the matter is not solved) | moved (to another organisation or calendar) |
    paused | resumed | policy_changed | merged (an appeal with an earlier start joined) | extended (by
    `extension_seconds` of its unit) | stopped | cancelled | answer_withdrawn (the last answer is taken back).
    Events are ordered by `sequence`, which is given under the lock of the appeal and begins at 2 while the start
    is not written; `at` comes from the clocks of several machines.
    `starts_at` is the moment from which the clock counts.
    """

    __tablename__ = "sla_clock_events"

    clock_id: Mapped[UUID] = mapped_column(ForeignKey("sla_clocks.id"), primary_key=True)
    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str]
    at: Mapped[datetime]
    actor: Mapped[str]
    reason: Mapped[str | None]
    organisation_id: Mapped[UUID | None] = mapped_column(ForeignKey("organisations.id"))
    # Null: the program's default calendar.
    calendar_id: Mapped[UUID | None] = mapped_column(ForeignKey("calendars.id"))
    policy_id: Mapped[UUID | None] = mapped_column(ForeignKey("sla_policies.id"))
    starts_at: Mapped[datetime | None]
    target_seconds: Mapped[int | None] = mapped_column(BigInteger)
    unit: Mapped[str | None]
    ceiling_seconds: Mapped[int | None] = mapped_column(BigInteger)
    extension_seconds: Mapped[int | None] = mapped_column(BigInteger)
    recorded_at: Mapped[CreatedAt]


class Escalation(Base):
    """A step of the escalation of a late or nearly late appeal: whom this system told, and when.

    step executor | manager | centre | deputy_head. `told` is empty if nobody holds the role: then the step was
    skipped. A transfer or another deadline starts them again: both are part of the key. A step whose people were
    all told of the same breach before is not stored.
    """

    __tablename__ = "escalations"
    __table_args__ = (UniqueConstraint("appeal_id", "clock", "organisation_id", "due_at", "step"),)

    id: Mapped[Id]
    appeal_id: Mapped[UUID] = mapped_column(ForeignKey("appeals.id"))
    organisation_id: Mapped[UUID] = mapped_column(ForeignKey("organisations.id"))
    # first_response | next_response | final_answer | promise.
    clock: Mapped[str]
    due_at: Mapped[datetime]
    step: Mapped[str]
    told: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid))
    created_at: Mapped[CreatedAt]


class Appeal(Base):
    """A citizen's matter, from the message that opened it to its outcome.

    `first_response_*` describe the first reply and are not changed later; `next_response_due_at` is the deadline
    of the reply to a message that reopened the appeal, or null. Due dates are results of `clocks`, stored for
    lists.
    `legal_regime`: open_source_message unless the law treats the message as an appeal of its own kind.
    """

    __tablename__ = "appeals"
    __table_args__ = (
        # One appeal per matter of an author in a thread: two concurrent workers that see the same appeals take the
        # same next number, and one of them has to look again.
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
        Index(
            "ix_appeals_first_response_due",
            "first_response_due_at",
            "id",
            postgresql_where=text("first_response_at IS NULL AND closed_at IS NULL"),
        ),
        Index(
            "ix_appeals_next_response_due_at",
            "next_response_due_at",
            postgresql_where=text("next_response_due_at IS NOT NULL"),
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
        Index("ix_appeals_incident_id", "incident_id", postgresql_where=text("incident_id IS NOT NULL")),
        # Appeals that are transferred repeatedly.
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
        # Appeals of a person; open appeals that nobody has.
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
        # Appeals by what the citizen said about the last final answer.
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
    # The person who owes the next step: of the organisation, in triage of the centre.
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
    # Which of the author's matters in the thread it is: 1, 2 …
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
    # When the first final answer was published, and what the citizen said about the last one, as in
    # `feedback_rounds`.
    final_answer_at: Mapped[datetime | None]
    feedback_kind: Mapped[str | None]
    next_response_due_at: Mapped[datetime | None]
    # Of the awaited response or promise; that of the final answer is recorded in its clock.
    overdue_recorded_at: Mapped[datetime | None]
    # When to look whether somebody has to be told that an awaited answer is late or nearly late.
    next_escalation_at: Mapped[datetime | None]
    # The deadline of the last final answer, given or not, and of the one that is awaited.
    resolution_due_at: Mapped[datetime | None]
    final_answer_due_at: Mapped[datetime | None]
    promised_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
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
    """How an appeal without a thread was submitted: by phone, in person, by letter, or by another system.

    `organisation_id` entered it (null: the centre); with `source` and `external_id` it identifies the
    submission for good. `fingerprint` is a digest of the request, `contact` an encrypted JSON object, `extra`
    the source's own data.
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
    """A message of an appeal. A message belongs to at most one appeal."""

    __tablename__ = "appeal_messages"

    message_id: Mapped[UUID] = mapped_column(ForeignKey("messages.id"), primary_key=True)
    appeal_id: Mapped[UUID] = mapped_column(ForeignKey("appeals.id"), index=True)
    # The database's clock, under the lock of the appeal.
    created_at: Mapped[CreatedAt]


class Classification(Base):
    """The classification of a message by a model, a rule or a person, with reasons."""

    __tablename__ = "classifications"
    __table_args__ = (
        # Classifications newest first: all, and with any one filter; rare values have their own index.
        Index("ix_classifications_created_at", "created_at", "message_id"),
        Index("ix_classifications_needs_answer_created_at", "needs_answer", "created_at", "message_id"),
        Index("ix_classifications_classified_by_created_at", "classified_by", "created_at", "message_id"),
        Index(
            "ix_classifications_by_person", "created_at", "message_id", postgresql_where=text(CLASSIFIED_BY_PERSON)
        ),
        Index(
            "ix_classifications_topic_id_created_at",
            "topic_id",
            "created_at",
            "message_id",
            postgresql_where=text("topic_id IS NOT NULL"),
        ),
        Index("ix_classifications_urgent", "created_at", "message_id", postgresql_where=text("urgency = 'high'")),
        Index(
            "ix_classifications_language",
            "language",
            "created_at",
            "message_id",
            postgresql_where=text("language <> 'ru'"),
        ),
    )

    message_id: Mapped[UUID] = mapped_column(ForeignKey("messages.id"), primary_key=True)
    needs_answer: Mapped[str]
    type: Mapped[str]
    urgency: Mapped[str]
    topic_id: Mapped[UUID | None] = mapped_column(ForeignKey("topics.id"))
    needs_answer_confidence: Mapped[float]
    topic_confidence: Mapped[float | None]
    # At most three topics, best first: [{"topic_id", "confidence"}].
    top3: Mapped[list[dict[str, Any]]]
    municipality: Mapped[str | None]
    settlement: Mapped[str | None]
    street: Mapped[str | None]
    house: Mapped[str | None]
    # text | page | person: the source of the municipality.
    location_source: Mapped[str | None]
    language: Mapped[str]
    utility_failure: Mapped[str | None]
    why: Mapped[str]
    classified_by: Mapped[str]
    # The version of the classification; a person's decision refers to the version that the person saw.
    version: Mapped[int] = mapped_column(default=1, server_default=text("1"))
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class Reply(Base):
    """A reply: written here (`origin: "gospablik"`), by staff in the network (`"network"`), or given by phone, in
    person or in writing and recorded (`"recorded"`, with its `channel`).

    `in_reply_to` is the citizen's message that it answers, chosen once when the reply is created; null if staff
    replied to no particular message. `message_id` is the message of a reply written in the network. `created_at`
    and `submitted_at` (the last attempt; null: `created_at`) of a reply written here are the database's times.
    `created_at` of a draft is when it was begun, and is set again when the reply is handed over for publication. A
    `discarded` draft is kept for its versions. `approval` is the last request for approval and its decision.
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
        # Replies that wait for an approver, oldest first.
        Index("ix_replies_on_approval", "submitted_at", "id", postgresql_where=text("status = 'on_approval'")),
    )

    id: Mapped[Id]
    appeal_id: Mapped[UUID] = mapped_column(ForeignKey("appeals.id"))
    incident_reply_id: Mapped[UUID | None] = mapped_column(ForeignKey("incident_replies.id"))
    origin: Mapped[str]
    kind: Mapped[str]
    text: Mapped[ExactTextColumn]
    # How the matter ends with this final answer, as its author says; null: not said.
    outcome: Mapped[str | None]
    # Whether the text ends with the request for a mark, which is added when the reply is submitted.
    asks_mark: Mapped[bool] = mapped_column(default=False, server_default=_FALSE)
    status: Mapped[str]
    author: Mapped[str]
    promised_at: Mapped[datetime | None]
    publication_id: Mapped[UUID | None]
    in_reply_to: Mapped[UUID | None] = mapped_column(ForeignKey("messages.id"))
    message_id: Mapped[UUID | None] = mapped_column(ForeignKey("messages.id"))
    url: Mapped[str | None]
    channel: Mapped[str | None]
    published_at: Mapped[datetime | None]
    failure: Mapped[dict[str, Any] | None]
    version: Mapped[int] = mapped_column(default=1)
    submitted_at: Mapped[datetime | None]
    # {"requested_by", "requested_at", "reason", "decision", "decided_by", "decided_at", "remarks"}.
    approval: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    # In the order in which they are published.
    attachment_ids: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid), default=list, server_default=_NO_IDS)
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class Promise(Base):
    """The date that a published interim reply promised: open until it is kept, moved or broken.

    `organisation_id` is the organisation that promised; null: the centre. `ended_at`: when the reply that kept or
    moved it was published, or the promised date that passed. `final_reply_at`: when the final reply came, also
    after a broken promise.
    """

    __tablename__ = "promises"
    __table_args__ = (
        UniqueConstraint("reply_id"),
        Index("ix_promises_appeal_id", "appeal_id", "made_at"),
        Index("ix_promises_made_at", "made_at", "id"),
        Index("ix_promises_status_made_at", "status", "made_at", "id"),
        Index("ix_promises_organisation_id_made_at", "organisation_id", "made_at", "id"),
        # Promises to remind of, and to record as broken.
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

    `hints` are the hints of the checks at the submission; null: this version was not submitted. Both times are the
    database's.
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


class TimelineEntry(Base):
    """A step in the history of an appeal, kept permanently: who did what, when, and why."""

    __tablename__ = "timeline"
    __table_args__ = (Index("ix_timeline_appeal_id", "appeal_id", "at", "id"),)

    id: Mapped[Id]
    appeal_id: Mapped[UUID] = mapped_column(ForeignKey("appeals.id"))
    at: Mapped[datetime]
    kind: Mapped[str]
    actor: Mapped[str]
    data: Mapped[dict[str, Any]]


class Review(Base):
    """A person's review of a classification: confirmed or corrected. One per message; the last one is kept.

    `predicted` is the model's classification, `decided` the person's; both are part of the training set.
    `agrees_*` is null if the person was not asked or the model predicted nothing. `organisation_id` is the current
    organisation of the appeal, kept by a trigger; without one it is the owner of the page.
    """

    __tablename__ = "reviews"
    __table_args__ = (
        Index("ix_reviews_created_at", "created_at", "message_id"),
        Index("ix_reviews_organisation_id", "organisation_id", "created_at", "message_id"),
    )

    message_id: Mapped[UUID] = mapped_column(ForeignKey("messages.id"), primary_key=True)
    predicted_by: Mapped[str]
    predicted: Mapped[dict[str, Any]]
    decided: Mapped[dict[str, Any]]
    topic_group_id: Mapped[UUID | None] = mapped_column(ForeignKey("topics.id"))
    organisation_id: Mapped[UUID | None] = mapped_column(ForeignKey("organisations.id"))
    agrees_needs_answer: Mapped[bool | None]
    agrees_topic_group: Mapped[bool | None]
    agrees_topic: Mapped[bool | None]
    agrees_location: Mapped[bool | None]
    agrees_urgency: Mapped[bool | None]
    agrees_organisation: Mapped[bool | None]
    reviewed_by: Mapped[str]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


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


class Incident(Base):
    """One problem reported by many: appeals grouped by topic, location and time, each with its author and thread.

    origin spike | person. `organisation_id` is the leading organisation or null; members keep their own.
    """

    __tablename__ = "incidents"
    __table_args__ = (
        Index("ix_incidents_opened_at", "opened_at", "id"),
        Index("ix_incidents_open", "municipality", "last_written_at", postgresql_where=text("closed_at IS NULL")),
    )

    id: Mapped[Id]
    number: Mapped[int] = mapped_column(BigInteger, Identity(), unique=True)
    version: Mapped[int] = mapped_column(default=1)
    origin: Mapped[str]
    title: Mapped[str]
    topic_id: Mapped[UUID | None] = mapped_column(ForeignKey("topics.id"))
    utility_failure: Mapped[str | None]
    municipality: Mapped[str | None]
    settlement: Mapped[str | None]
    street: Mapped[str | None]
    urgency: Mapped[str]
    organisation_id: Mapped[UUID | None] = mapped_column(ForeignKey("organisations.id"))
    member_count: Mapped[int]
    first_written_at: Mapped[datetime]
    last_written_at: Mapped[datetime]
    opened_at: Mapped[datetime]
    opened_by: Mapped[str]
    closed_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 — SQLAlchemy's own name


class IncidentMember(Base):
    """The membership of an appeal in an incident. An appeal is in one incident at a time."""

    __tablename__ = "incident_members"
    __table_args__ = (
        Index("ix_incident_members_incident_id", "incident_id", "joined_at", "id"),
        # An appeal that left an incident is never added to it automatically again.
        Index("ix_incident_members_appeal_id", "appeal_id"),
        Index("uq_incident_members_current", "appeal_id", unique=True, postgresql_where=text("left_at IS NULL")),
    )

    id: Mapped[Id]
    incident_id: Mapped[UUID] = mapped_column(ForeignKey("incidents.id"))
    appeal_id: Mapped[UUID] = mapped_column(ForeignKey("appeals.id"))
    similarity: Mapped[float | None]
    why: Mapped[str]
    joined_at: Mapped[datetime]
    joined_by: Mapped[str]
    left_at: Mapped[datetime | None]
    left_by: Mapped[str | None]


class IncidentReply(Base):
    """A reply to all appeals of an incident; each appeal gets its own reply in its own thread."""

    __tablename__ = "incident_replies"
    __table_args__ = (Index("ix_incident_replies_incident_id", "incident_id", "created_at"),)

    id: Mapped[Id]
    incident_id: Mapped[UUID] = mapped_column(ForeignKey("incidents.id"))
    kind: Mapped[str]
    text: Mapped[ExactTextColumn]
    promised_at: Mapped[datetime | None]
    author: Mapped[str]
    # Null: for all appeals; else only for those of this organisation, with `include_subordinates` also of
    # subordinate ones.
    organisation_id: Mapped[UUID | None] = mapped_column(ForeignKey("organisations.id"))
    include_subordinates: Mapped[bool] = mapped_column(default=False)
    # Whether appeals that join later get it too.
    include_later_members: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[CreatedAt]


class Alert(Base):
    """An alert for moderators: kind urgent (an appeal) | spike (an incident) | repeated_transfers (an appeal)."""

    __tablename__ = "alerts"
    __table_args__ = (
        Index("ix_alerts_created_at", "created_at", "id"),
        Index("ix_alerts_unseen", "created_at", "id", postgresql_where=text("seen_at IS NULL")),
        Index("ix_alerts_kind_created_at", "kind", "created_at", "id"),
        UniqueConstraint("kind", "appeal_id"),
        UniqueConstraint("kind", "incident_id"),
    )

    id: Mapped[Id]
    kind: Mapped[str]
    appeal_id: Mapped[UUID | None] = mapped_column(ForeignKey("appeals.id"))
    incident_id: Mapped[UUID | None] = mapped_column(ForeignKey("incidents.id"))
    why: Mapped[str]
    seen_at: Mapped[datetime | None]
    seen_by: Mapped[str | None]
    created_at: Mapped[CreatedAt]


class RuleSet(Base):
    """A version of the routing rules: draft | active | retired. One is active; former ones are never edited.

    `default_to` is the target of appeals that no rule matches, with the same values as `send_to` of a rule.
    """

    __tablename__ = "rule_sets"
    __table_args__ = (
        Index("uq_rule_sets_active", "status", unique=True, postgresql_where=text("status = 'active'")),
    )

    id: Mapped[Id]
    number: Mapped[int] = mapped_column(Identity(), unique=True)
    version: Mapped[int] = mapped_column(default=1)
    status: Mapped[str]
    note: Mapped[str | None]
    default_to: Mapped[str]
    default_organisation_id: Mapped[UUID | None] = mapped_column(ForeignKey("organisations.id"))
    created_by: Mapped[str]
    activated_by: Mapped[str | None]
    activated_at: Mapped[datetime | None]
    retired_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 — SQLAlchemy's own name


class RoutingRule(Base):
    """A routing rule: topic × location × page owner × urgency → organisation; null: any. The most specific wins.

    `send_to`: organisation | page_owner | moderators | municipality_administration | sphere_body |
    page_owner_founder; `organisation_id` is the target for the first. `topic_id` may be a group, which includes
    all its topics. `page_owner_sphere`: same | other than the topic's; `page_owner_kind`: a kind of organisation.
    """

    __tablename__ = "routing_rules"
    __table_args__ = (Index("ix_routing_rules_rule_set_id", "rule_set_id", "created_at", "id"),)

    id: Mapped[Id]
    rule_set_id: Mapped[UUID] = mapped_column(ForeignKey("rule_sets.id"))
    topic_id: Mapped[UUID | None] = mapped_column(ForeignKey("topics.id"))
    municipality: Mapped[str | None]
    settlement: Mapped[str | None]
    page_owner_id: Mapped[UUID | None] = mapped_column(ForeignKey("organisations.id"))
    urgency: Mapped[str | None]
    send_to: Mapped[str]
    organisation_id: Mapped[UUID | None] = mapped_column(ForeignKey("organisations.id"))
    page_owner_sphere: Mapped[str | None]
    page_owner_kind: Mapped[str | None]
    reason: Mapped[str | None]
    created_at: Mapped[CreatedAt]


class AppealsConsumerOffset(ConsumerOffsetMixin, Base):
    __tablename__ = "appeals_consumer_offsets"


class AppealsIdempotency(IdempotencyMixin, Base):
    __tablename__ = "appeals_idempotency"
