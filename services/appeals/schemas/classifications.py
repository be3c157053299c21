"""Classifications and decisions about them as they cross the wire."""

from dataclasses import replace
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from services.appeals.classification.types import Language, MessageType
from services.appeals.lifecycle.route_snapshot import TriageReason
from services.appeals.lifecycle.workflow import AppealStatus
from services.appeals.moderation.corrections import Corrections
from services.appeals.schemas.common import _ID, Location, LocationIn, NamedRef, TopicRef, Urgency
from services.appeals.schemas.reviews import Agreement
from services.appeals.schemas.routes import TRIAGE_REASON_HELP, RouteOut


class TopicCandidate(BaseModel):
    """A topic that a message may be about."""

    topic: TopicRef
    confidence: float = Field(description="A probability", examples=[0.62])


class ClassificationOut(BaseModel):
    """What was judged of a message, and why."""

    needs_answer: Literal["yes", "no", "unsure"]
    type: MessageType
    urgency: Urgency
    topic_id: UUID | None
    topic: TopicRef | None
    confidence: float = Field(description="Of the need; a person is certain")
    topic_confidence: float | None
    top3: list[TopicCandidate] = Field(description="At most three topics, the likeliest first")
    place: Location | None
    place_from: Literal["text", "page", "person"] | None = Field(description="What told the municipality")
    language: Language
    fault: str | None = Field(description="What is out, when that is the matter", examples=["power"])
    why: str = Field(examples=["Вопрос: «?»; тема: «дорогу»"])
    judged_by: str = Field(description="The rule, or the id of the person")
    version: int = Field(description="Send as `If-Match` to decide about the message")


class ClassifiedMessageOut(BaseModel):
    """A message with what was judged of it, as lists show it."""

    message_id: UUID = Field(description="`POST /messages/{id}/triage` confirms or corrects", examples=[_ID])
    network: str = Field(examples=["vk"])
    kind: Literal["comment", "wall_post", "message"]
    page_id: UUID
    organisation: NamedRef = Field(description="Whose page it is")
    url: str = Field(examples=["https://vk.com/wall-1_2?reply=3"])
    text: str = Field(
        description="Personal data is masked, also in `triage.why`", examples=["Спасибо большое, [имя]!"]
    )
    written_at: datetime
    received_at: datetime
    deleted_at: datetime | None
    appeal_id: UUID | None = Field(description="The case that holds it")
    triage: ClassificationOut
    judged_at: datetime = Field(description="When it was judged first; the list is ordered by it")
    updated_at: datetime


class ClassifierOut(BaseModel):
    """What judges messages."""

    understanding: Literal["model", "rule"] = Field(description="`GOSPABLIK_UNDERSTANDING`")
    judged_by: str = Field(
        description="The name that its judgements hold", examples=["model:builtin-35de05f7+topics-3"]
    )
    built_in: dict[str, Any] | None = Field(
        description="Data card of the model that comes with the house; null with `rule`",
        examples=[{"name": "builtin", "examples": {"rows": 8222}, "thresholds": {"need": 0.37}}],
    )
    taught: dict[str, Any] | None = Field(
        description="Data card of the version in force in `GOSPABLIK_TOPICS_MODEL`, if one is set",
        examples=[{"version": 3, "data": {"rows": 12000}}],
    )
    foreign_labels: str | None = Field(
        description="Which labels of the taught model name no class, and are left to the built-in one"
    )


class ClassificationIn(LocationIn):
    """What a person says of a case. What is left out, or null, they say nothing about."""

    topic_id: UUID | None = Field(default=None, description="A topic, or a group where no topic of it fits")
    no_place: bool = Field(default=False, description="The place that was judged is wrong, and there is none")
    urgency: Urgency | None = Field(default=None, examples=["high"])
    organisation_id: UUID | None = Field(default=None, description="Who must answer")

    def corrections(self) -> Corrections:
        """What they say, for the domain."""
        return Corrections(
            self.organisation_id, self.topic_id, self.urgency, location=self.parts(), no_location=self.no_place
        )


class TriageIn(ClassificationIn):
    """A person's decision about a message. What is left out, or null, they say nothing about."""

    needs_answer: bool = Field(examples=[True])
    confirm: bool = Field(
        default=False,
        description="What is left out is right as it was judged: with nothing else, all of it",
        examples=[False],
    )
    type: MessageType | None = Field(default=None, examples=["complaint"])

    def corrections(self) -> Corrections:
        """What they say besides the need, for the domain."""
        return replace(super().corrections(), type=self.type, confirms_rest=self.confirm)


class SuggestedOrganisation(BaseModel):
    """Whom the rules would give the case to."""

    organisation: NamedRef
    reason: str = Field(examples=["Правило маршрутизации по теме"])


class TriageResult(BaseModel):
    """What the decision led to."""

    message_id: UUID
    triage: ClassificationOut
    agreement: Agreement
    appeal_id: UUID | None
    appeal_number: int | None
    appeal_status: AppealStatus | None
    waiting_for: TriageReason | None = Field(
        description=f"In `triage`: why it is still to be decided. {TRIAGE_REASON_HELP}"
    )
    organisation: NamedRef | None = Field(description="Who must answer")
    route: RouteOut | None
    rerouted: bool = Field(description="The corrected class or place gave the case another owner")
    suggested: SuggestedOrganisation | None = Field(
        description="Another owner by the rules, where the case stays with who has begun or was chosen by a person"
    )
