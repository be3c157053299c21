"""Schemas of how an appeal without a thread was submitted: source, contact, data of the other system."""

import math
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, StringConstraints, model_validator

from services.appeals.field_types import SingleLine
from services.appeals.schemas.common import NamedRef, RequestBody

SOURCE_PATTERN = r"^[a-z][a-z0-9_-]{1,39}$"
SOURCE_HELP = "`phone`, `reception`, `letter`, or the name of the system that submitted it"
MAX_METADATA_FIELDS = 50

Source = Annotated[
    str, StringConstraints(pattern=SOURCE_PATTERN), Field(description=SOURCE_HELP, examples=["phone"])
]
ExternalId = Annotated[SingleLine, StringConstraints(max_length=200), Field(examples=["2026-11-0417"])]
ContactPart = Annotated[SingleLine, StringConstraints(max_length=300)]


def _storable(value: str | int | float | bool | None) -> str | int | float | bool | None:
    if isinstance(value, str) and ("\x00" in value or any("\ud800" <= letter <= "\udfff" for letter in value)):
        raise ValueError("NUL and lone surrogates are not allowed")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("The number must be finite")
    return value


MetadataName = Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(_storable)]
MetadataValue = Annotated[
    Annotated[str, StringConstraints(max_length=1_000)] | int | float | bool | None, AfterValidator(_storable)
]
Metadata = Annotated[
    dict[MetadataName, MetadataValue],
    Field(max_length=MAX_METADATA_FIELDS, examples=[{"operator": "12", "queue": "112"}]),
]


class ContactIn(RequestBody):
    """How to reach the citizen; at least one field must be given."""

    name: ContactPart | None = Field(default=None, examples=["Бадмаева Ирина Цыреновна"])
    phone: ContactPart | None = Field(default=None, examples=["+7 900 000-00-00"])
    email: ContactPart | None = Field(default=None, examples=["irina@example.org"])
    address: ContactPart | None = None

    @model_validator(mode="after")
    def _not_empty(self) -> "ContactIn":
        if not self.parts():
            raise ValueError("Give at least one field of the contact")
        return self

    def parts(self) -> dict[str, str]:
        """Return the given fields."""
        return {name: value for name, value in self.model_dump().items() if value is not None}


class ContactOut(BaseModel):
    """How to reach the citizen."""

    name: str | None = Field(default=None, examples=["Бадмаева Ирина Цыреновна"])
    phone: str | None = Field(default=None, examples=["+7 900 000-00-00"])
    email: str | None = Field(default=None, examples=["irina@example.org"])
    address: str | None = None


class SubmissionOut(BaseModel):
    """How an appeal without a thread was submitted."""

    source: Source
    external_id: str | None = Field(description="Its id in the source", examples=["2026-11-0417"])
    organisation: NamedRef | None = Field(description="Who entered it; null: the centre")
    contact: ContactOut | None = Field(
        description="Only for those who work on appeals, and only in `GET /appeals/{id}`; null otherwise"
    )
    metadata: Metadata
