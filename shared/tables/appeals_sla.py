"""Tables of appeals about deadlines: SLA policies, clocks and their events, escalations."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, UniqueConstraint, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from shared.tables import appeals_classification, ingest, registry  # noqa: F401 — foreign keys refer to their tables
from shared.tables.base import (
    Base,
    CreatedAt,
    Id,
    UpdatedAt,
)

UNFINISHED_CLOCK_STATES = ("waiting", "running", "paused")
# The executor is notified at this share of the time, the other roles this many working hours after the deadline.
DEFAULT_ESCALATION: dict[str, float | None] = {
    "executor_share": 0.8,
    "manager_hours": 0,
    "centre_hours": 4,
    "deputy_head_hours": 9,
}
# For each clock: the maximum number of extensions, and of hours in its unit for one extension; null: none.
DEFAULT_EXTENSIONS: dict[str, dict[str, float] | None] = {
    "final_answer": {"count": 2, "hours": 40},
    "first_response": None,
    "next_response": None,
}


class SlaPolicy(Base):
    """A version of an SLA policy: which appeals it is for, and how long a reply may take.

    `policy_key` is the same for all versions of a policy. A version is in effect from `valid_from` to
    `valid_until`, exclusive (null: without end), and is never edited or deleted, so that it explains old
    deadlines. Conditions are null for any value: `topic_id` may be a group, `channel` is a network, the source of
    an appeal or `manual`. `…_hours` are hours of the unit in `…_unit`: working | calendar; `ceiling_hours` are
    calendar hours. `starts_from`: received | written | assigned.
    """

    __tablename__ = "sla_policies"
    __table_args__ = (
        # A version number is unique within a policy: of two concurrent changes one fails.
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
    # The time of each step of the escalation, as in `DEFAULT_ESCALATION`; null: the step is never taken.
    escalation: Mapped[dict[str, float | None]] = mapped_column(JSONB, default=lambda: dict(DEFAULT_ESCALATION))
    # The limits of extensions of each clock, as in `DEFAULT_EXTENSIONS`; null: no extensions.
    extensions: Mapped[dict[str, dict[str, float] | None]] = mapped_column(
        JSONB, default=lambda: dict(DEFAULT_EXTENSIONS)
    )
    valid_from: Mapped[datetime]
    valid_until: Mapped[datetime | None]
    created_by: Mapped[str | None]
    created_at: Mapped[CreatedAt]


class SlaClock(Base):
    """A clock of an appeal, kind first_response | next_response | final_answer. Promises have another table.

    `message_id` is the citizen's message that awaits the answer; null: the message that opened the appeal.
    `policy_id` is the version of the policy that applies, kept when the policy changes or ends. The start of the
    clock is stored in the row itself, and is also written as an event before another event changes these columns.
    `due_at`, `used_seconds` and `on_time` are computed from the start, the events and the calendars, and stored.
    `due_at` is null while a clock that was not late is paused. A clock that is `waiting` has not started: a
    moderator has to decide.
    """

    __tablename__ = "sla_clocks"
    __table_args__ = (
        Index("ix_sla_clocks_appeal_id", "appeal_id", "created_at", "id"),
        # At most one unfinished clock of each kind per appeal. The index also finds appeals with such clocks.
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
        # Clocks with an open extension request, which lapses when the deadline passes.
        Index(
            "ix_sla_clocks_extension_requested",
            "due_at",
            "id",
            postgresql_where=text("extension_request_id IS NOT NULL"),
        ),
        # Responses given or due in a period.
        Index("ix_sla_clocks_due_at", "due_at", postgresql_where=text("state <> 'cancelled'")),
        Index("ix_sla_clocks_stopped_at", "stopped_at", postgresql_where=text("stopped_at IS NOT NULL")),
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
    # For an extended clock: its deadline without the extensions.
    unextended_due_at: Mapped[datetime | None]
    # The open extension request of the clock, which ends with the clock. No foreign key, since the request
    # refers to the clock.
    extension_request_id: Mapped[UUID | None]
    stopped_at: Mapped[datetime | None]
    used_seconds: Mapped[int | None] = mapped_column(BigInteger)
    on_time: Mapped[bool | None]
    # The organisation that must answer (null: the centre), and the calendar (null: the program's default).
    organisation_id: Mapped[UUID | None] = mapped_column(ForeignKey("organisations.id"))
    calendar_id: Mapped[UUID | None] = mapped_column(ForeignKey("calendars.id"))
    # Who started the clock, and when the start was recorded.
    started_by: Mapped[str | None]
    start_recorded_at: Mapped[datetime | None]
    # For an ended clock: the result, which is kept even if a calendar changes later.
    explanation: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    # The last share of the time that the organisation was warned of, and when the next warning is due.
    warned_share: Mapped[float | None]
    next_warning_at: Mapped[datetime | None]
    # For a final answer: when its breach was recorded; a response's breach is recorded in the appeal.
    overdue_recorded_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]

    # Loaded with a single appeal, whose changes need its clocks, but not with lists of appeals.
    events: Mapped[list["SlaClockEvent"]] = relationship(
        order_by="SlaClockEvent.sequence", lazy="selectin", cascade="save-update, merge"
    )


class SlaClockEvent(Base):
    """An event of a clock after its start, kept permanently and never changed.

    kind started (written when a later event changes the columns of the start in the clock's row) | restarted (by a
    new question) | reopened (after a stop: the matter is not solved) | moved (to another organisation or calendar)
    | paused | resumed | policy_changed | merged (an appeal with an earlier start joined) | extended (by
    `extension_seconds` of its unit) | stopped | cancelled | answer_withdrawn (the last answer was withdrawn).
    Events are ordered by `sequence`, which is given under the lock of the appeal and begins at 2 while the start
    is not written; `at` comes from the clocks of several machines. `starts_at` is the moment from which the clock
    counts.
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
    """A step of the escalation of a late or nearly late appeal: who was notified, and when.

    step executor | manager | centre | deputy_head. `told` is empty if nobody has the role: then the step was
    skipped. After a transfer or with a different deadline the steps start again, so both are part of the key. A
    step whose people were all notified of the same breach before is not stored.
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
