"""Reviews as they cross the wire."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from services.appeals.classification.types import MessageType
from services.appeals.schemas.common import Location, TopicRef, Urgency


class Agreement(BaseModel):
    """Whether people agree with what was judged, by question; null where either said nothing about it."""

    need: bool | None
    group: bool | None
    topic: bool | None
    place: bool | None = Field(description="The municipality")
    urgency: bool | None
    owner: bool | None = Field(description="Whom the rules gave the case to, or suggested")


class ReviewSide(BaseModel):
    """What was judged of a message, or decided by people; null where nothing was said."""

    needs_answer: Literal["yes", "no", "unsure"] | None
    type: MessageType | None
    topic: TopicRef | None
    place: Location | None
    urgency: Urgency | None
    organisation_id: UUID | None


class ReviewOut(BaseModel):
    """A message that a person reviewed."""

    message_id: UUID
    judged_by: str = Field(description="The rule or model; `nobody` where a person was the first")
    judged: ReviewSide
    decided: ReviewSide
    agreement: Agreement
    organisation_id: UUID | None = Field(description="Whose case it is, else whose page")
    reviewed_by: str = Field(description="The last who reviewed it")
    created_at: datetime = Field(description="When it was reviewed first")
    updated_at: datetime
