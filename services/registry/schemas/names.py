"""What crosses the wire of a body's names and of what search finds."""

from datetime import date, datetime
from enum import StrEnum
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from services.registry.schemas.fields import Name, OrganisationKind, Strict
from services.registry.schemas.organisations import EXAMPLE_ID
from services.registry.schemas.requisites import Day


class NameKind(StrEnum):
    """What a name is to its body."""

    OFFICIAL = "official"
    SHORT = "short"
    FORMER = "former"
    ALIAS = "alias"


class NameNew(Strict):
    """A name that a body had, or is called by."""

    kind: Literal["former", "alias"] = Field(examples=["alias"])
    name: Name
    valid_from: Day | None = Field(default=None, description="The first day of it; null: not known")
    valid_to: Day | None = Field(default=None, description="The last day of it; null: not known, or none")

    @field_validator("valid_to")
    @classmethod
    def _not_before(cls, value: date | None, info: ValidationInfo) -> date | None:
        begins = info.data.get("valid_from")
        if value is not None and begins is not None and value < begins:
            raise ValueError("the last day lies before the first")
        return value


class NameShown(BaseModel):
    """A name of a body. `official` and `short` are the ones it has now."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID = Field(examples=[EXAMPLE_ID])
    organisation_id: UUID = Field(examples=[EXAMPLE_ID])
    kind: NameKind
    name: str = Field(examples=["Школа № 71 города Улан-Удэ"])
    valid_from: date | None = Field(examples=["2016-09-01"])
    valid_to: date | None = Field(examples=[None])
    created_at: datetime


class Found(BaseModel):
    """An organisation that search found, by which of its names, and how well that fits (1: wholly)."""

    id: UUID = Field(examples=[EXAMPLE_ID])
    code: str | None = Field(examples=["school71-ulanude"])
    name: str = Field(examples=["Школа № 71 города Улан-Удэ"])
    kind: OrganisationKind
    municipality: str | None = Field(examples=["81701000"])
    active: bool
    found_by: str = Field(description="The name that fits best", examples=["МАОУ «СОШ № 71 г. Улан-Удэ»"])
    found_by_kind: NameKind
    score: float = Field(ge=0, le=1, examples=[0.93])


class FoundList(BaseModel):
    """Best first."""

    items: list[Found]
