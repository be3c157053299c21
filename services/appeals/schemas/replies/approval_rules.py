"""Schemas of approval rules."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field

from services.appeals.schemas.common import NamedRef, RequestBody, TopicRef
from shared.contracts.values import OrganisationKind, Urgency


class ApprovalRuleIn(RequestBody):
    """Conditions of the appeals whose replies need approval; null matches any value."""

    topic_id: UUID | None = Field(default=None, description="A topic, or a group with all its topics")
    urgency: Urgency | None = Field(default=None, examples=["high"])
    organisation_id: UUID | None = Field(
        default=None, description="The organisation that answers, without its subordinates"
    )
    organisation_kind: OrganisationKind | None = Field(
        default=None, description="Kind of the organisation that answers"
    )


class ApprovalRuleOut(BaseModel):
    """A rule by which replies need approval."""

    id: UUID
    topic: TopicRef | None
    urgency: Urgency | None
    organisation: NamedRef | None
    organisation_kind: OrganisationKind | None
    created_by: str = Field(examples=["0193f0a4-7c11-7d0e-9d5b-3f1f5a4f2b11"])
    created_at: datetime
