"""What crosses the wire of organisations, pages and municipalities."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, HttpUrl, TypeAdapter

from services.registry.schemas.fields import (
    Change,
    Code,
    Line,
    Moment,
    Name,
    Oktmo,
    OrganisationKind,
    ShortName,
    Sphere,
    Strict,
)
from shared.networks import NetworkName

EXAMPLE_ID = "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"
_url = TypeAdapter(HttpUrl)


def _http(value: str) -> str:
    _url.validate_python(value)
    return value


class Municipality(BaseModel):
    """A district or city of the region."""

    model_config = ConfigDict(from_attributes=True)

    oktmo: Oktmo
    name: str = Field(examples=["Город Улан-Удэ"])
    kind: str = Field(description="`district` or `city`", examples=["city"])


class OrganisationNew(Strict):
    """A body that answers citizens."""

    name: Name
    short_name: ShortName | None = None
    code: Code | None = None
    kind: OrganisationKind = Field(examples=["institution"])
    sphere: Sphere | None = None
    municipality: Oktmo | None = None
    parent_id: UUID | None = Field(default=None, description="The body it belongs to", examples=[EXAMPLE_ID])
    calendar_id: UUID | None = Field(
        default=None, description="Its own working calendar; null: the region's", examples=[None]
    )


class OrganisationChange(Change):
    """Fields to change; those left out stay, null empties a field that may be empty."""

    name: Name | None = None
    short_name: ShortName | None = None
    code: Code | None = None
    kind: OrganisationKind | None = Field(default=None, examples=["institution"])
    sphere: Sphere | None = None
    municipality: Oktmo | None = None
    parent_id: UUID | None = Field(default=None, examples=[EXAMPLE_ID])
    calendar_id: UUID | None = Field(default=None, examples=[None])
    active: bool | None = Field(default=None, description="false: it no longer exists or answers")

    @classmethod
    def nullable(cls) -> frozenset[str]:
        """All but name, kind and active."""
        return frozenset({"short_name", "code", "sphere", "municipality", "parent_id", "calendar_id"})


class Organisation(BaseModel):
    """An organisation as the registry knows it."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID = Field(examples=[EXAMPLE_ID])
    version: int = Field(description="Goes into `If-Match` of a change", examples=[1])
    code: str | None = Field(examples=["school71-ulanude"])
    name: str = Field(examples=["Школа № 71 города Улан-Удэ"])
    short_name: str | None = Field(examples=["Школа № 71"])
    kind: OrganisationKind
    sphere: str | None = Field(examples=["образование"])
    municipality: str | None = Field(examples=["81701000"])
    parent_id: UUID | None = Field(examples=[None])
    calendar_id: UUID | None = Field(examples=[None])
    active: bool
    created_at: datetime
    updated_at: datetime


ScreenName = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$", description="Short name in the address", examples=["school71"])
]
ExternalId = Annotated[
    str,
    Field(
        pattern=r"^[1-9][0-9]{0,19}$",
        description="The network's own id of the community: digits, without a minus, as text",
        examples=["101"],
    ),
]
Url = Annotated[Line, AfterValidator(_http), Field(max_length=500, examples=["https://vk.com/club101"])]


class PageNew(Strict):
    """An official page of an organisation."""

    organisation_id: UUID = Field(examples=[EXAMPLE_ID])
    network: NetworkName = Field(examples=["vk"])
    external_id: ExternalId
    name: Name
    screen_name: ScreenName | None = None
    url: Url | None = Field(default=None, description="Left out: made from the network and the id")
    live_from: Moment | None = Field(
        default=None,
        description="The page's go-live: what was written before is history and opens no case. Left out: now",
    )


class PageChange(Change):
    """Fields to change; those left out stay. Network and id of a page never change."""

    organisation_id: UUID | None = Field(default=None, description="The page changes hands", examples=[EXAMPLE_ID])
    name: Name | None = None
    screen_name: ScreenName | None = None
    url: Url | None = None
    live_from: Moment | None = None
    active: bool | None = Field(default=None, description="false: nothing is collected or answered there")

    @classmethod
    def nullable(cls) -> frozenset[str]:
        """The short name alone."""
        return frozenset({"screen_name"})


class OfficialPage(BaseModel):
    """A page as the registry knows it."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID = Field(examples=[EXAMPLE_ID])
    version: int = Field(description="Goes into `If-Match` of a change", examples=[1])
    organisation_id: UUID = Field(examples=[EXAMPLE_ID])
    network: NetworkName
    external_id: str = Field(examples=["101"])
    name: str = Field(examples=["Школа № 71"])
    screen_name: str | None = Field(examples=["school71"])
    url: str = Field(examples=["https://vk.com/club101"])
    live_from: datetime
    active: bool
    created_at: datetime
    updated_at: datetime
