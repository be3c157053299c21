"""Schemas of reviews."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field

from services.appeals.assignees.directory import ActorRef
from services.appeals.classification.types import MessageType, NeedsAnswer
from services.appeals.schemas.common import Location, TopicRef
from shared.contracts.values import Urgency


class Agreement(BaseModel):
    """Whether people agree with the prediction, by field; null if the prediction or the decision has no value for
    it.
    """

    needs_answer: bool | None
    topic_group: bool | None
    topic: bool | None
    location: bool | None = Field(description="The municipality")
    urgency: bool | None
    organisation: bool | None = Field(description="The organisation that the rules assigned or suggested")


class ReviewSide(BaseModel):
    """The prediction or people's decision about a message; null fields have no value."""

    needs_answer: NeedsAnswer | None
    type: MessageType | None
    topic: TopicRef | None
    location: Location | None
    urgency: Urgency | None
    organisation_id: UUID | None


class ReviewOut(BaseModel):
    """A message that a person reviewed."""

    message_id: UUID
    predicted_by: str = Field(
        description="The rule or model; `none` where a person decided first",
        examples=["model:builtin-35de05f7+topics-3"],
    )
    predicted: ReviewSide
    decided: ReviewSide
    agreement: Agreement
    organisation_id: UUID | None = Field(
        description="The organisation that has the appeal, else the one that owns the page"
    )
    reviewed_by: ActorRef = Field(description="The last reviewer")
    created_at: datetime = Field(description="When it was first reviewed")
    updated_at: datetime
