"""Schemas of SLA policies."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints
from typing_extensions import TypeAliasType

from services.appeals.field_types import BoundedDatetime, SingleLine
from services.appeals.schemas.appeals.submissions import SOURCE_PATTERN
from services.appeals.schemas.common import RequestBody
from services.appeals.sla.deadlines import TimeUnit
from services.appeals.sla.policy_selection import MANUAL_CHANNEL
from shared.contracts.values import OrganisationKind, Urgency
from shared.tables.appeals_sla import DEFAULT_ESCALATION, DEFAULT_EXTENSIONS

DeadlineStart = TypeAliasType("DeadlineStart", Literal["received", "written", "assigned"])


def _hours(description: str, example: float, *, at_most: float = 2_000) -> Any:
    return Field(gt=0, le=at_most, allow_inf_nan=False, description=description, examples=[example])


def _hours_late(level: str) -> Any:
    hours = DEFAULT_ESCALATION[level]
    return Field(default=hours, ge=0, le=2_000, allow_inf_nan=False, examples=[hours])


class EscalationTimes(RequestBody):
    """When each level is notified that a reply is late or nearly late; null means never.

    Hours are working hours of the organisation after the deadline.
    """

    executor_share: float | None = Field(
        default=DEFAULT_ESCALATION["executor_share"],
        gt=0,
        lt=1,
        allow_inf_nan=False,
        description="The share of the time after which the executor is notified",
        examples=[0.8],
    )
    manager_hours: float | None = _hours_late("manager_hours")
    centre_hours: float | None = _hours_late("centre_hours")
    deputy_head_hours: float | None = _hours_late("deputy_head_hours")


class ExtensionLimitIn(RequestBody):
    """How often a deadline may be extended, and by how much."""

    count: int = Field(ge=1, le=20, description="How many times", examples=[2])
    hours: float = _hours("The most hours of one extension, in the unit of the clock", 40)


class ExtensionLimits(RequestBody):
    """How far the deadline of each clock may be extended at the request of the organisation; null means not at
    all.
    """

    final_answer: ExtensionLimitIn | None = Field(
        default=ExtensionLimitIn(**(DEFAULT_EXTENSIONS["final_answer"] or {})),
        examples=[DEFAULT_EXTENSIONS["final_answer"]],
    )
    first_response: ExtensionLimitIn | None = None
    next_response: ExtensionLimitIn | None = None


class SlaPolicyIn(RequestBody):
    """An SLA policy: the appeals that it applies to, and how long a reply may take."""

    name: SingleLine = Field(examples=["Обычное обращение: 8 рабочих часов"])
    urgency: Urgency | None = Field(default=None, description="Null: any, as in all conditions")
    topic_id: UUID | None = Field(default=None, description="A topic; a group takes all its topics")
    organisation_kind: OrganisationKind | None = Field(
        default=None, description="Kind of the organisation that answers"
    )
    channel: Annotated[str, StringConstraints(pattern=SOURCE_PATTERN)] | None = Field(
        default=None,
        description="A network, the source of an appeal without a thread (`phone`, `reception`, `letter`, a "
        f"system), or `{MANUAL_CHANNEL}`: opened by a moderator without a source",
        examples=["vk"],
    )
    legal_regime: SingleLine | None = Field(default=None, examples=["open_source_message"])
    first_response_hours: float = _hours("How long the answer to a message may take", 8, at_most=720)
    first_response_unit: TimeUnit = "working"
    ceiling_hours: float | None = Field(
        default=None,
        gt=0,
        le=2_000,
        allow_inf_nan=False,
        description="The answer may take at most this many calendar hours; null: no limit",
    )
    resolution_hours: float = _hours("How long the final answer may take", 56)
    resolution_unit: TimeUnit = "working"
    promise_hours: float | None = Field(
        default=None, gt=0, le=10_000, allow_inf_nan=False, description="How far ahead an answer may be promised"
    )
    promise_unit: TimeUnit = "working"
    return_hours: float | None = Field(
        default=None,
        gt=0,
        le=2_000,
        allow_inf_nan=False,
        description="How long after it got an appeal an organisation may return or transfer it",
    )
    return_unit: TimeUnit = "working"
    starts_from: DeadlineStart = "received"
    warn_at: list[Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]] = Field(
        default=[0.5, 0.8],
        max_length=5,
        description="Shares of the time after which the organisation is warned, in order",
    )
    escalation: EscalationTimes = Field(default_factory=EscalationTimes, examples=[DEFAULT_ESCALATION])
    extensions: ExtensionLimits = Field(default_factory=ExtensionLimits, examples=[DEFAULT_EXTENSIONS])
    valid_from: BoundedDatetime | None = Field(default=None, description="Now by default; never in the past")


class SlaPolicyOut(BaseModel):
    """A version of an SLA policy."""

    id: UUID
    policy_key: UUID = Field(description="The same for all versions of the policy")
    version: int = Field(examples=[1])
    name: str = Field(examples=["Обычное обращение: 8 рабочих часов"])
    urgency: Urgency | None
    topic_id: UUID | None
    organisation_kind: OrganisationKind | None
    channel: str | None
    legal_regime: str | None
    first_response_hours: float = Field(examples=[8])
    first_response_unit: TimeUnit
    ceiling_hours: float | None
    resolution_hours: float = Field(examples=[56])
    resolution_unit: TimeUnit
    promise_hours: float | None = Field(examples=[56])
    promise_unit: TimeUnit
    return_hours: float | None
    return_unit: TimeUnit
    starts_from: DeadlineStart
    warn_at: list[float] = Field(examples=[[0.5, 0.8]])
    escalation: EscalationTimes = Field(examples=[DEFAULT_ESCALATION])
    extensions: ExtensionLimits = Field(examples=[DEFAULT_EXTENSIONS])
    valid_from: datetime
    valid_until: datetime | None = Field(
        description="Null: no end. The version is in effect until this moment, not at it"
    )
