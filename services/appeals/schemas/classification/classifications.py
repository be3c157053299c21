"""Schemas of classifications and of decisions about them."""

from dataclasses import replace
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field
from typing_extensions import TypeAliasType

from services.appeals.classification.types import LocationSource, MessageType, NeedsAnswer
from services.appeals.lifecycle.route_snapshot import TRIAGE_REASON_HELP, TriageReason
from services.appeals.moderation.corrections import Corrections
from services.appeals.schemas.classification.reviews import Agreement
from services.appeals.schemas.common import _ID, Location, LocationIn, NamedRef, TopicRef
from services.appeals.schemas.routing.routes import RouteOut
from shared.contracts.values import AppealStatus, Language, MessageKind, Urgency
from shared.networks import NetworkName

ClassifierMode = TypeAliasType("ClassifierMode", Literal["model", "rule"])


class TopicCandidate(BaseModel):
    """A topic that a message may be about."""

    topic: TopicRef
    confidence: float = Field(description="A probability", examples=[0.62])


class ClassificationOut(BaseModel):
    """The classification of a message, with its reasons."""

    needs_answer: NeedsAnswer
    type: MessageType
    urgency: Urgency
    topic_id: UUID | None
    topic: TopicRef | None
    needs_answer_confidence: float = Field(
        description="Confidence of `needs_answer`; 1 for a person's decision", examples=[0.94]
    )
    topic_confidence: float | None
    top3: list[TopicCandidate] = Field(description="At most three topics, most likely first")
    location: Location | None
    location_source: LocationSource | None = Field(description="Where the municipality comes from")
    language: Language
    utility_failure: str | None = Field(
        description="The utility failure, if the message reports one", examples=["power"]
    )
    why: str = Field(examples=["Вопрос: «?»; тема: «дорогу»"])
    classified_by: str = Field(
        description="The rule or model, or the id of the person", examples=["model:builtin-35de05f7+topics-3"]
    )
    version: int = Field(description="Send as `If-Match` to decide about the message")


class ClassifiedMessageOut(BaseModel):
    """A classified message as lists show it."""

    message_id: UUID = Field(description="`POST /messages/{id}/triage` confirms or corrects", examples=[_ID])
    network: NetworkName = Field(examples=["vk"])
    kind: MessageKind
    page_id: UUID
    organisation: NamedRef = Field(description="The organisation that owns the page")
    url: str = Field(examples=["https://vk.com/wall-1_2?reply=3"])
    text: str = Field(
        description="Personal data is masked, also in `classification.why`", examples=["Спасибо большое, [имя]!"]
    )
    written_at: datetime
    received_at: datetime
    deleted_at: datetime | None
    appeal_id: UUID | None = Field(description="The appeal that it belongs to")
    classification: ClassificationOut
    classified_at: datetime = Field(description="When it was first classified; the list is ordered by it")
    updated_at: datetime


class ClassifierOut(BaseModel):
    """The classifier of messages."""

    mode: ClassifierMode = Field(description="`GOSPABLIK_CLASSIFIER`")
    name: str = Field(
        description="`classified_by` of its classifications", examples=["model:builtin-35de05f7+topics-3"]
    )
    builtin_model: dict[str, Any] | None = Field(
        description="Model card of the built-in model; null with `rule`",
        examples=[{"name": "builtin", "examples": {"rows": 8222}, "thresholds": {"need": 0.37}}],
    )
    custom_model: dict[str, Any] | None = Field(
        description="Model card of the active version in `GOSPABLIK_TOPICS_MODEL`, if one is set",
        examples=[{"version": 3, "data": {"rows": 12000}}],
    )
    unmapped_labels: str | None = Field(
        description="Labels of the custom model that name no topic; the built-in model decides instead"
    )


class ClassificationIn(LocationIn):
    """A person's classification of an appeal. An omitted or null field changes nothing."""

    topic_id: UUID | None = Field(default=None, description="A topic, or a group if none of its topics fits")
    no_location: bool = Field(default=False, description="The classified location is wrong, and there is none")
    urgency: Urgency | None = Field(default=None, examples=["high"])
    organisation_id: UUID | None = Field(default=None, description="Who must answer")

    def corrections(self) -> Corrections:
        """Return the corrections as a domain object."""
        return Corrections(
            self.organisation_id, self.topic_id, self.urgency, location=self.parts(), no_location=self.no_location
        )


class TriageIn(ClassificationIn):
    """A person's decision about a message. An omitted or null field changes nothing."""

    needs_answer: bool = Field(examples=[True])
    confirm: bool = Field(
        default=False,
        description="The fields that are left out are correct as classified",
        examples=[False],
    )
    type: MessageType | None = Field(default=None, examples=["complaint"])
    appeal_version: int | None = Field(
        default=None,
        ge=1,
        description="The version of the message's appeal that you saw: 412 if the appeal was changed since. "
        "`If-Match` is about the classification",
        examples=[None],
    )

    def corrections(self) -> Corrections:
        """Return the corrections, without `needs_answer`, as a domain object."""
        return replace(super().corrections(), type=self.type, confirms_rest=self.confirm)


class SuggestedOrganisation(BaseModel):
    """The organisation that the rules suggest."""

    organisation: NamedRef
    reason: str = Field(examples=["Правило маршрутизации по теме"])


class TriageResult(BaseModel):
    """The result of a decision."""

    message_id: UUID
    classification: ClassificationOut
    agreement: Agreement
    appeal_id: UUID | None
    appeal_number: int | None
    appeal_status: AppealStatus | None
    appeal_version: int | None = Field(
        description="The appeal's version after the decision: `POST /appeals/{id}/undo` takes it as `If-Match`",
        examples=[4],
    )
    triage_reason: TriageReason | None = Field(
        description=f"In `triage`: why a moderator has to decide. {TRIAGE_REASON_HELP}"
    )
    organisation: NamedRef | None = Field(description="Who must answer")
    route: RouteOut | None
    rerouted: bool = Field(
        description="Whether the corrected topic or location gave the appeal another organisation"
    )
    suggested_organisation: SuggestedOrganisation | None = Field(
        description="The organisation that the rules suggest, if the appeal stays with another one that has "
        "started work or was chosen by a person"
    )
