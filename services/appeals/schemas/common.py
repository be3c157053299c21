"""What the bodies of several capabilities share."""

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.appeals.classification.types import PLACE
from services.appeals.schemas.types import Line

Urgency = Literal["normal", "high"]

OKTMO = r"^\d{8}(\d{3})?$"
_ID = "0193f0a4-7c11-7d0e-9d5b-3f1f5a4f2b10"


class Body(BaseModel):
    """A request body: an unknown field is an error, so that a typing slip is never silently ignored."""

    model_config = ConfigDict(extra="forbid")


class Named(BaseModel):
    """Something with a name."""

    id: UUID
    name: str = Field(examples=["Комитет по строительству"])


class TopicNamed(Named):
    """A topic, or a group of the classifier, whose own `group` is null."""

    name: str = Field(examples=["Ямы на дорогах"])
    group: Named | None


class MunicipalityNamed(BaseModel):
    """A municipality."""

    oktmo: str = Field(examples=["81701000"])
    name: str = Field(examples=["Улан-Удэ"])


class Place(BaseModel):
    """Where the trouble is, as far as it is known."""

    municipality: MunicipalityNamed | None
    settlement: str | None = Field(examples=["Кабанск"])
    street: str | None = Field(examples=["улица Бабушкина"])
    house: str | None = Field(examples=["20"])


class Channel(BaseModel):
    """Where the citizen wrote."""

    network: str | None = Field(examples=["vk"])
    page_id: UUID | None
    url: str | None = Field(
        description="The message that opened the case", examples=["https://vk.com/wall-1_2?reply=3"]
    )


class PlaceIn(Body):
    """A place; what is finer than a part that is named, and is not named itself, is unknown then."""

    municipality: str | None = Field(default=None, pattern=OKTMO, description="OKTMO", examples=["81701000"])
    settlement: Line | None = Field(default=None, examples=["Кабанск"])
    street: Line | None = Field(default=None, examples=["улица Бабушкина"])
    house: Line | None = Field(default=None, examples=["20"])

    def place(self) -> dict[str, str]:
        """The parts that are named."""
        return {part: value for part in PLACE if (value := getattr(self, part)) is not None}
