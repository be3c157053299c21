"""Schemas of partners: other systems that send signed events."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints, field_validator

from services.appeals.assignees.directory import ActorRef
from services.appeals.field_types import SingleLine
from services.appeals.schemas.appeals.submissions import SOURCE_PATTERN
from services.appeals.schemas.common import NamedRef, RequestBody

PartnerName = Annotated[SingleLine, StringConstraints(max_length=200), Field(examples=["Портал ЕДДС"])]
PartnerSource = Annotated[
    str,
    StringConstraints(pattern=SOURCE_PATTERN),
    Field(
        description="The `source` of the appeals that it opens, to which its external ids belong",
        examples=["edds"],
    ),
]


class PartnerCreate(RequestBody):
    """A partner to create."""

    name: PartnerName
    source: PartnerSource


class PartnerUpdate(RequestBody):
    """Fields to change. Omitted fields keep their values."""

    name: PartnerName | None = None
    active: bool | None = Field(default=None, description="false: its events are refused with 403")

    @field_validator("*", mode="before")
    @classmethod
    def _given(cls, value: object) -> object:
        if value is None:
            raise ValueError("null is not allowed here: leave the field out to keep its value")
        return value


class PartnerOut(BaseModel):
    """A partner. Its secret is shown only when it is created or rotated."""

    id: UUID
    version: int
    name: PartnerName
    source: PartnerSource
    organisation: NamedRef | None = Field(description="Whose appeals it can reach; null: it belongs to the centre")
    active: bool = Field(examples=[True])
    owner: ActorRef = Field(description="The person or client whose rights its events use")
    refusal_reason: str | None = Field(
        description="Why its events are refused although it is active; null: they are processed", examples=[None]
    )
    created_at: datetime
    updated_at: datetime


class PartnerWithSecret(PartnerOut):
    """A partner and its secret."""

    secret: str | None = Field(
        default=None,
        description="Store it: it is shown once. Null when a repeated request returns the first response again",
        examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="],
    )
