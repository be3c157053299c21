"""Schemas that several packages share."""

from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.appeals.classification.types import LOCATION_PARTS
from services.appeals.field_types import OKTMO_PATTERN, SingleLine
from shared.networks import NetworkName

_ID = "0193f0a4-7c11-7d0e-9d5b-3f1f5a4f2b10"


class RequestBody(BaseModel):
    """A request body. Unknown fields are an error, so that a typo is not ignored."""

    model_config = ConfigDict(extra="forbid")


class NamedRef(BaseModel):
    """A reference to a named object."""

    id: UUID
    name: str = Field(examples=["Комитет по строительству"])


def named_ref(found: UUID | None, name: str | None) -> NamedRef | None:
    """Return a reference to an object; None without an id."""
    return NamedRef(id=found, name=name or "") if found is not None else None


class TopicRef(NamedRef):
    """A topic, or a topic group, whose own `group` is null."""

    name: str = Field(examples=["Ямы на дорогах"])
    group: NamedRef | None


class MunicipalityRef(BaseModel):
    """A municipality."""

    oktmo: str = Field(examples=["81701000"])
    name: str = Field(examples=["Улан-Удэ"])


class Location(BaseModel):
    """The location of a problem, as far as it is known."""

    municipality: MunicipalityRef | None
    settlement: str | None = Field(examples=["Кабанск"])
    street: str | None = Field(examples=["улица Бабушкина"])
    house: str | None = Field(examples=["20"])


class Channel(BaseModel):
    """The channel by which the citizen wrote."""

    network: NetworkName | None = Field(examples=["vk"])
    page_id: UUID | None
    url: str | None = Field(
        description="The message that opened the appeal", examples=["https://vk.com/wall-1_2?reply=3"]
    )


class LocationIn(RequestBody):
    """A location. If a part changes, all finer parts that are not given become unknown."""

    municipality: str | None = Field(
        default=None, pattern=OKTMO_PATTERN, description="OKTMO", examples=["81701000"]
    )
    settlement: SingleLine | None = Field(default=None, examples=["Кабанск"])
    street: SingleLine | None = Field(default=None, examples=["улица Бабушкина"])
    house: SingleLine | None = Field(default=None, examples=["20"])

    def parts(self) -> dict[str, str]:
        """Return the given parts."""
        return {part: value for part in LOCATION_PARTS if (value := getattr(self, part)) is not None}
