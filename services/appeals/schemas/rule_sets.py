"""What crosses the wire about routing rules and their sets."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from services.appeals.classification.types import MessageKind
from services.appeals.lifecycle.route_snapshot import TriageReason
from services.appeals.routing.engine import Rule, SendTo
from services.appeals.routing.validation import MAX_RULES
from services.appeals.schemas.common import OKTMO_PATTERN, NamedRef, RequestBody, Urgency
from services.appeals.schemas.routes import TRIAGE_REASON_HELP, RouteOut
from services.appeals.schemas.types import BoundedDatetime, NonBlankText, SingleLine

_ID = "0193f0a4-7c11-7d0e-9d5b-3f1f5a4f2b10"
_WORDS = "тема «Ямочный ремонт», город Улан-Удэ → Комитет по строительству"

Oktmo = Annotated[
    str, Field(pattern=OKTMO_PATTERN, description="OKTMO code of a municipality", examples=["81701000"])
]
RuleSetStatus = Literal["draft", "active", "retired"]


class RuleIn(RequestBody):
    """Which cases go to whom; what is left out means any."""

    topic_id: UUID | None = Field(default=None, description="A topic, or a group with all its topics")
    municipality: Oktmo | None = None
    settlement: SingleLine | None = Field(
        default=None, description="With its `municipality`, in which it lies", examples=["Кабанск"]
    )
    page_owner_id: UUID | None = Field(
        default=None,
        description="Whose page the message came to; also whose desk a rule sends to: then this rule hands it on",
    )
    urgency: Urgency | None = None
    send_to: SendTo = Field(default="organisation", description="`page_owner`: that organisation keeps it")
    organisation_id: UUID | None = Field(
        default=None, description="With `organisation`: who answers", examples=[_ID]
    )

    def rule(self) -> Rule:
        """The rule as routing reads it."""
        return Rule(
            None, self.send_to, self.organisation_id, self.topic_id, self.municipality, self.settlement,
            self.page_owner_id, self.urgency,
        )  # fmt: skip


class RuleOut(BaseModel):
    """A routing rule."""

    id: UUID
    topic_id: UUID | None
    municipality: str | None
    settlement: str | None
    page_owner: NamedRef | None
    urgency: Urgency | None
    send_to: SendTo
    organisation: NamedRef | None
    words: str = Field(examples=[_WORDS])
    created_at: datetime


class DefaultRouteIn(RequestBody):
    """Where goes what no rule takes."""

    send_to: SendTo = Field(examples=["page_owner"])
    organisation_id: UUID | None = Field(default=None, description="With `organisation`: who answers")


class DefaultRouteOut(BaseModel):
    """Where goes what no rule takes."""

    send_to: SendTo
    organisation: NamedRef | None


class RuleSetIn(RequestBody):
    """A whole set of rules; it is a draft until it is activated, and is never edited."""

    note: SingleLine | None = Field(default=None, examples=["Дороги города переданы комитету"])
    default: DefaultRouteIn | None = Field(default=None, description="Required; a set without one is refused")
    rules: list[RuleIn] = Field(
        max_length=MAX_RULES,
        description="In any order: the most specific that fits wins",
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
    made_by: str
    created_at: datetime
    activated_by: str | None
    activated_at: datetime | None = Field(description="When it last came into force")
    retired_at: datetime | None


class RuleSetOut(RuleSetSummary):
    """A rule set with its rules, in the order they were given."""

    rules: list[RuleOut]


class RuleSetActivationIn(RequestBody):
    """How a set comes into force."""

    replaces: UUID | None = Field(
        default=None, description="The set you believe to be in force: 409 if it is another by now"
    )
    reroute: bool = Field(
        default=False,
        description="Apply the rules also to open cases that nobody has moved or begun to work on",
        examples=[True],
    )


class ChangedRule(BaseModel):
    """Two rules for the same cases that send them elsewhere."""

    before: RuleOut
    after: RuleOut


class RuleSetChanges(BaseModel):
    """What a set says otherwise than another."""

    against: int = Field(description="Number of the set compared with")
    default_before: DefaultRouteOut | None = Field(description="Null: the default is the same")
    added: list[RuleOut]
    removed: list[RuleOut]
    changed: list[ChangedRule]
    same: int = Field(description="How many rules are the same")


class DryRunIn(RequestBody):
    """Which cases are routed anew, without changing anything."""

    from_: BoundedDatetime | None = Field(
        default=None,
        alias="from",
        description="Opened from; 30 days ago by default",
        examples=["2026-10-24T00:00:00+08:00"],
    )
    to: BoundedDatetime | None = Field(default=None, description="Opened before; now by default")
    only_untouched: bool = Field(
        default=False,
        description="Only what `reroute` would touch: open, nobody moved or began it; no window by default",
    )


class DryRunMovement(BaseModel):
    """Cases that would go from one owner to another; null is the moderators' queue."""

    from_organisation: NamedRef | None
    to_organisation: NamedRef | None
    count: int
    examples: list[UUID] = Field(description="Some of the cases, the latest first")


class DryRunOut(BaseModel):
    """What the rules would do with those cases."""

    rule_set: int
    from_: datetime | None = Field(serialization_alias="from")
    to: datetime | None
    cases: int = Field(description="Cases that were routed")
    would_move: int = Field(description="Would have another owner than they have")
    unrouted: int = Field(description="Would go to the moderators' queue")
    unclear: int = Field(description="Not routed: nobody has said that an answer is due, or that none is")
    movements: list[DryRunMovement] = Field(description="The 50 commonest")


class RulePreviewIn(RequestBody):
    """A message as it might come. What is given stands over what the text tells."""

    text: Annotated[NonBlankText, Field(max_length=20_000)] | None = Field(
        default=None, examples=["Яма на улице Бабушкина, в городе всё так же"]
    )
    kind: MessageKind = Field(
        default="comment", description="A comment, a post on the wall, or a message to the page"
    )
    post_context: Annotated[NonBlankText, Field(max_length=20_000)] | None = Field(
        default=None,
        description="The post above, as the column of `gospablik understand`: it may tell topic and place",
        examples=["Когда начнут ремонт дорог?"],
    )
    topic_id: UUID | None = None
    municipality: Oktmo | None = None
    settlement: SingleLine | None = None
    page_id: UUID | None = None
    urgency: Urgency | None = None


class RoutingFactsOut(BaseModel):
    """What the rules looked at."""

    topic: NamedRef | None
    topic_confidence: float | None = Field(description="Null: the topic was given, or there is none")
    municipality: str | None
    settlement: str | None
    urgency: Urgency
    page_owner: NamedRef | None
    needs_answer: Literal["yes", "no", "unsure"] | None = Field(description="Null without a text")


class RulePreviewOut(BaseModel):
    """Where the message would go, and every rule that fits it, the most specific first."""

    rule_set: int
    organisation: NamedRef | None = Field(description="Null: moderators decide")
    waiting_for: TriageReason | None = Field(description=f"Why they would. {TRIAGE_REASON_HELP}")
    route: RouteOut
    read: RoutingFactsOut
    fitting: list[RuleOut]
