"""Schemas of routing rules and rule sets."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field
from typing_extensions import TypeAliasType

from services.appeals.classification.types import NeedsAnswer
from services.appeals.field_types import OKTMO_PATTERN, BoundedDatetime, NonBlankText, SingleLine
from services.appeals.lifecycle.route_snapshot import TRIAGE_REASON_HELP, TriageReason
from services.appeals.routing.rules import PageOwnerKind, PageOwnerSphere, Rule, SendTo
from services.appeals.routing.validation import MAX_RULES
from services.appeals.schemas.common import NamedRef, RequestBody
from services.appeals.schemas.routing.routes import RouteOut
from shared.contracts.values import MessageKind, Urgency

_ID = "0193f0a4-7c11-7d0e-9d5b-3f1f5a4f2b10"
_REASON = "Дороги города переданы комитету"
_SEND_TO = (
    "`page_owner`: the page's organisation answers; `municipality_administration`: the administration of the "
    "location; `sphere_body`: the regional body of the topic's sphere; `page_owner_founder`: the organisation "
    "above the page's owner; `moderators` decide"
)
_OWNER_SPHERE = "Whether the page's owner belongs to the topic's sphere; an owner without a sphere is `other`"
_DESCRIPTION = "тема «Ямочный ремонт», город Улан-Удэ → Комитет по строительству"

Oktmo = Annotated[
    str, Field(pattern=OKTMO_PATTERN, description="OKTMO code of a municipality", examples=["81701000"])
]
RuleSetStatus = TypeAliasType("RuleSetStatus", Literal["draft", "active", "retired"])


class RuleIn(RequestBody):
    """A rule: the conditions of appeals and the organisation that gets them; an omitted condition matches any
    value.
    """

    topic_id: UUID | None = Field(default=None, description="A topic, or a group with all its topics")
    municipality: Oktmo | None = None
    settlement: SingleLine | None = Field(
        default=None, description="Requires `municipality`, in which it lies", examples=["Кабанск"]
    )
    page_owner_id: UUID | None = Field(
        default=None,
        description="The organisation that owns the page, or one to which another rule sends appeals: then "
        "this rule forwards them",
    )
    urgency: Urgency | None = None
    page_owner_sphere: PageOwnerSphere | None = Field(default=None, description=_OWNER_SPHERE)
    page_owner_kind: PageOwnerKind | None = Field(default=None, description="The kind of the page's owner")
    send_to: SendTo = Field(default="organisation", description=_SEND_TO)
    organisation_id: UUID | None = Field(
        default=None, description="With `organisation`: the one that answers", examples=[_ID]
    )
    reason: SingleLine | None = Field(
        default=None, description="Why the target answers, in words; shown in the route", examples=[_REASON]
    )

    def rule(self) -> Rule:
        """Return the rule as a domain object."""
        return Rule(
            None, self.send_to, self.organisation_id, self.topic_id, self.municipality, self.settlement,
            self.page_owner_id, self.urgency, self.page_owner_sphere, self.page_owner_kind, self.reason,
        )  # fmt: skip


class RuleOut(BaseModel):
    """A routing rule."""

    id: UUID
    topic_id: UUID | None
    municipality: str | None
    settlement: str | None
    page_owner: NamedRef | None
    urgency: Urgency | None
    page_owner_sphere: PageOwnerSphere | None = Field(description=_OWNER_SPHERE)
    page_owner_kind: PageOwnerKind | None
    send_to: SendTo
    organisation: NamedRef | None
    reason: str | None = Field(examples=[_REASON])
    description: str = Field(examples=[_DESCRIPTION])
    created_at: datetime


class DefaultRouteIn(RequestBody):
    """The target of appeals that no rule matches."""

    send_to: SendTo = Field(examples=["page_owner"])
    organisation_id: UUID | None = Field(default=None, description="With `organisation`: the one that answers")


class DefaultRouteOut(BaseModel):
    """The target of appeals that no rule matches."""

    send_to: SendTo
    organisation: NamedRef | None


class RuleSetIn(RequestBody):
    """A complete set of rules. It is a draft until it is activated, and is never edited."""

    note: SingleLine | None = Field(default=None, examples=["Дороги города переданы комитету"])
    default: DefaultRouteIn | None = Field(
        default=None, description="Required: a set without a default is refused"
    )
    rules: list[RuleIn] = Field(
        max_length=MAX_RULES,
        description="In any order: the most specific match wins",
        examples=[[{"municipality": "81701000", "urgency": "high", "send_to": "moderators"}]],
    )


class RuleSetSummary(BaseModel):
    """A rule set as lists show it."""

    id: UUID
    number: int
    version: int = Field(description="Send as `If-Match` to activate the set")
    status: RuleSetStatus
    note: str | None
    default: DefaultRouteOut
    rule_count: int
    created_by: str = Field(examples=["0193f0a4-7c11-7d0e-9d5b-3f1f5a4f2b11"])
    created_at: datetime
    activated_by: str | None
    activated_at: datetime | None = Field(description="When it was last activated")
    retired_at: datetime | None


class RuleSetOut(RuleSetSummary):
    """A rule set with its rules, in the order in which they were given."""

    rules: list[RuleOut]


class RuleSetActivationIn(RequestBody):
    """Options for the activation of a set."""

    expected_active_id: UUID | None = Field(
        default=None, description="The set that you believe to be active: 409 if another one is"
    )
    reroute: bool = Field(
        default=False,
        description="Also apply the rules to open appeals that nobody has moved or started to work on",
        examples=[True],
    )


class ChangedRule(BaseModel):
    """Two rules for the same appeals with different targets."""

    before: RuleOut
    after: RuleOut


class RuleSetChanges(BaseModel):
    """The differences between two sets."""

    against: int = Field(description="Number of the set compared with")
    default_before: DefaultRouteOut | None = Field(description="Null: the defaults are equal")
    added: list[RuleOut]
    removed: list[RuleOut]
    changed: list[ChangedRule]
    unchanged_count: int = Field(description="How many rules are unchanged")


class DryRunIn(RequestBody):
    """The appeals to be routed in a dry run."""

    from_: BoundedDatetime | None = Field(
        default=None,
        alias="from",
        description="Opened from; 30 days before `to` by default",
        examples=["2026-10-24T00:00:00+08:00"],
    )
    to: BoundedDatetime | None = Field(default=None, description="Opened before; now by default")
    only_untouched: bool = Field(
        default=False,
        description="Only appeals that `reroute` would change: open ones that nobody has moved or started to work "
        "on; by default of any time",
    )


class DryRunMovement(BaseModel):
    """The number of appeals that would move from one organisation to another; null is the moderators' queue."""

    from_organisation: NamedRef | None
    to_organisation: NamedRef | None
    count: int
    examples: list[UUID] = Field(description="Some of the appeals, latest first")


class DryRunOut(BaseModel):
    """The result of a dry run."""

    rule_set: int
    from_: datetime | None = Field(serialization_alias="from")
    to: datetime | None
    appeals: int = Field(description="Appeals that were routed")
    would_move: int = Field(description="Appeals that would have another organisation")
    unrouted: int = Field(description="Appeals that would go to the moderators' queue")
    need_unclear: int = Field(description="Not routed: it is undecided whether an answer is due")
    movements: list[DryRunMovement] = Field(description="The 50 most common")


class RulePreviewIn(RequestBody):
    """A message to preview. Given fields take precedence over values found in the text."""

    text: Annotated[NonBlankText, Field(max_length=20_000)] | None = Field(
        default=None, examples=["Яма на улице Бабушкина, в городе всё так же"]
    )
    kind: MessageKind = Field(
        default="comment", description="A comment, a post on the wall, or a message to the page"
    )
    post_context: Annotated[NonBlankText, Field(max_length=20_000)] | None = Field(
        default=None,
        description="The text of the post above the message: it may indicate topic and location",
        examples=["Когда начнут ремонт дорог?"],
    )
    topic_id: UUID | None = None
    municipality: Oktmo | None = None
    settlement: SingleLine | None = None
    page_id: UUID | None = None
    urgency: Urgency | None = None


class RoutingFactsOut(BaseModel):
    """The facts that the rules compared."""

    topic: NamedRef | None
    topic_confidence: float | None = Field(description="Null: the topic was given, or there is none")
    municipality: str | None
    settlement: str | None
    urgency: Urgency
    page_owner: NamedRef | None
    needs_answer: NeedsAnswer | None = Field(description="Null without a text")


class RulePreviewOut(BaseModel):
    """The route that the message would get, and every rule that matches it, most specific first."""

    rule_set: int
    organisation: NamedRef | None = Field(description="Null: moderators decide")
    triage_reason: TriageReason | None = Field(description=f"Why moderators decide. {TRIAGE_REASON_HELP}")
    route: RouteOut
    facts: RoutingFactsOut
    matching_rules: list[RuleOut]
