"""Schemas of the clocks of an appeal."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypeAliasType

from services.appeals.assignees.directory import ActorRef
from services.appeals.field_types import SingleLine
from services.appeals.schemas.common import RequestBody
from services.appeals.schemas.sla.extensions import ExtensionRequestOut
from services.appeals.sla.deadlines import ClockEventKind, ClockState, NotCounted, TimeUnit
from shared.contracts.values import AwaitedClock, EscalationStep

ClockKind = TypeAliasType("ClockKind", Literal["first_response", "next_response", "final_answer", "promise"])
_ID = "0193f0a4-7c11-7d0e-9d5b-3f1f5a4f2b10"


class ClockPolicy(BaseModel):
    """The version of the SLA policy that a clock counts by; later versions do not change it."""

    id: UUID
    policy_key: UUID = Field(description="The same for all versions of the policy")
    name: str = Field(examples=["Обычное обращение: 9 рабочих часов"])
    version: int = Field(examples=[1])


class ClockSegment(BaseModel):
    """A span within one local day, or one pause, and the part of it that counts."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    from_: datetime = Field(alias="from")
    to: datetime
    seconds: int = Field(description="The counted time", examples=[4800])
    planned: bool = Field(description="Whether the segment is in the future, or after the answer")
    why_not: NotCounted | None = Field(description="Why no time counts; null: time counts")
    note: str | None = Field(description="Title of the day, or the reason of the pause", examples=["Сагаалган"])
    calendar: str = Field(description="The calendar in which it counts", examples=["Бурятия"])


class ClockEventOut(BaseModel):
    """An event of a clock; events are ordered by `sequence`."""

    sequence: int = Field(examples=[1])
    kind: ClockEventKind
    at: datetime
    actor: ActorRef
    reason: str | None = Field(
        description="Of a pause or its end, a reopening, a withdrawn answer, or a restart by a merge",
        examples=["Ждём адрес от автора"],
    )
    organisation_id: UUID | None = Field(description="The organisation that must answer from then on")
    policy_id: UUID | None = Field(description="The version of the policy from then on")
    starts_at: datetime | None = Field(description="The moment from which the clock counts")
    extension_seconds: int | None = Field(
        description="What an extension adds, in working or calendar time as the clock counts"
    )


class ClockOut(BaseModel):
    """A clock of an appeal, or the date of a promise, which has neither events nor segments.

    `used_seconds` and `left_seconds` of a clock are sums of its segments; the time that a clock paused before its
    deadline has left has no segments.
    """

    id: UUID = Field(examples=[_ID])
    kind: ClockKind
    state: ClockState = Field(
        description="`waiting`: a moderator must decide; `stopped` by a published answer, `cancelled` without one"
    )
    message_id: UUID | None = Field(
        description="The message to be answered; null: the one that opened the appeal, or a person reopened the "
        "appeal without a message"
    )
    written_at: datetime
    received_at: datetime
    policy: ClockPolicy | None
    target_seconds: int | None = Field(description="How long the answer may take", examples=[32400])
    unit: TimeUnit | None
    ceiling_seconds: int | None = Field(
        description="The answer may take at most this much calendar time; null: no limit"
    )
    extension_seconds: int = Field(
        default=0, description="What extensions added to `target_seconds`", examples=[0]
    )
    calendar: str | None = Field(default=None, description="The calendar that counts now", examples=["Бурятия"])
    time_zone: str | None = Field(default=None, examples=["Asia/Irkutsk"])
    started_at: datetime | None = Field(description="The moment from which it counts")
    due_at: datetime | None = Field(description="Null while the clock waits, or is paused before its deadline")
    unextended_due_at: datetime | None = Field(
        default=None, description="Of an extended clock: the deadline without the extensions"
    )
    due_if_resumed_now: datetime | None = Field(default=None, description="Of a paused clock")
    stopped_at: datetime | None
    on_time: bool | None = Field(description="Whether the answer came in time; null unless stopped")
    next_warning_at: datetime | None = Field(description="When the organisation is warned next")
    used_seconds: int | None = Field(default=None, description="Until now, or until the answer", examples=[4800])
    left_seconds: int | None = Field(default=None, description="Until the deadline", examples=[27600])
    segments: list[ClockSegment] = []
    events: list[ClockEventOut]
    text: str | None = Field(
        description="The explanation for people",
        examples=[
            "9 рабочих часов со вторника 17.02 16:40: 17.02 — 1 ч 20 мин; 18.02 — не идёт (Сагаалган); "
            "19.02 — 7 ч 40 мин → четверг 19.02 17:40. Использовано 1 ч 20 мин из 9 ч, осталось 7 ч 40 мин."
        ],
    )


class EscalationOut(BaseModel):
    """A step of the escalation: who was notified, and when, that a reply is late or nearly late."""

    step: EscalationStep = Field(examples=["manager"])
    clock: AwaitedClock = Field(description="What was due", examples=["first_response"])
    organisation_id: UUID = Field(description="The organisation that had the appeal", examples=[_ID])
    due_at: datetime = Field(description="The deadline, or the promised date")
    at: datetime = Field(description="When they were notified")
    notified: list[ActorRef] = Field(description="Who was notified")
    skipped: bool = Field(description="Nobody held the role", examples=[False])


class DeadlinesOut(BaseModel):
    """The clocks of an appeal, then its promises, each oldest first."""

    appeal_id: UUID
    version: int = Field(description="Version of the appeal, for `If-Match`", examples=[3])
    at: datetime = Field(description="The moment for which used and left time was computed")
    return_until: datetime | None = Field(
        description="Until when the organisation may return or transfer the appeal; null: without limit"
    )
    latest_promise_at: datetime | None = Field(
        description="The latest date that an interim reply should promise now; null: without limit"
    )
    next_escalation_at: datetime | None = Field(
        description="When the next level is notified, unless a reply comes"
    )
    clocks: list[ClockOut]
    escalations: list[EscalationOut] = Field(description="Oldest first")
    extension_requests: list[ExtensionRequestOut] = Field(
        description="Requests for more time, oldest first; an organisation sees its own"
    )


class ClockPauseIn(RequestBody):
    """A pause of the clocks of an appeal."""

    reason: SingleLine = Field(
        description="Why the time of the organisation must not count", examples=["Ждём адрес от автора"]
    )


class ClockResumeIn(RequestBody):
    """The end of a pause."""

    reason: SingleLine | None = Field(default=None, examples=["Автор назвал адрес"])
