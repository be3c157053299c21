"""API models of official pages, their addresses and steps."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, HttpUrl, TypeAdapter
from typing_extensions import TypeAliasType

from services.registry.schemas.fields import (
    EXAMPLE_ID,
    Moment,
    Name,
    OrganisationRef,
    SingleLine,
    StrictModel,
    UpdateModel,
    storable,
)
from shared.networks import NetworkName

_url = TypeAdapter(HttpUrl)


def _http(value: str) -> str:
    _url.validate_python(value)
    return value


class PageStepKind(StrEnum):
    """The steps by which a page becomes official and goes live, in their usual order."""

    CREATED = "created"
    VERIFIED = "verified"
    GOV_BADGE = "gov_badge"
    CONNECTED = "connected"
    WIDGETS = "widgets"
    LIVE = "live"


class EvidenceKind(StrEnum):
    """Kind of evidence for a step: `network`: the network reports it; `manual`: only a person confirmed it."""

    NETWORK = "network"
    DOCUMENT = "document"
    SCREENSHOT = "screenshot"
    MANUAL = "manual"


OfficialPageState = TypeAliasType("OfficialPageState", Literal["unknown", "open", "closed", "gone"])
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
Url = Annotated[SingleLine, AfterValidator(_http), Field(max_length=500, examples=["https://vk.com/club101"])]
PastedAddress = Annotated[
    str,
    AfterValidator(storable),
    Field(
        min_length=1,
        max_length=2000,
        description="The page's address in any form that people paste: a link to the page or to one of its posts, "
        "`@name`, a short name or a bare id (these two with `network`)",
        examples=["https://vk.com/school71"],
    ),
]
ReasonText = Annotated[
    SingleLine,
    BeforeValidator(lambda value: value.strip() if isinstance(value, str) else value),
    Field(min_length=1, max_length=1000),
]
Day = Annotated[date, Field(examples=["2026-11-25"])]


class PageCreate(StrictModel):
    """An official page of an organisation: given by `address`, or by `network`, `external_id` and `name`."""

    organisation_id: UUID = Field(examples=[EXAMPLE_ID])
    address: PastedAddress | None = Field(
        default=None, description="Instead of `external_id`: the network is asked for id, name and short name"
    )
    network: NetworkName | None = Field(default=None, examples=["vk"])
    external_id: ExternalId | None = None
    name: Name | None = Field(default=None, description="With `address`, left out: the name in the network")
    screen_name: ScreenName | None = None
    url: Url | None = Field(default=None, description="Left out: built from the network and the id")
    go_live_at: Moment | None = Field(
        default=None,
        description="When the page goes live: earlier messages are history and open no appeal. Left out: now",
    )


class PageUpdate(UpdateModel):
    """Fields to change; those left out are kept. Network and id of a page cannot change."""

    organisation_id: UUID | None = Field(
        default=None, description="Moves the page to another organisation", examples=[EXAMPLE_ID]
    )
    name: Name | None = None
    screen_name: ScreenName | None = None
    url: Url | None = None
    go_live_at: Moment | None = None
    active: bool | None = Field(
        default=None, description="false: messages are neither collected nor answered there"
    )

    @classmethod
    def nullable(cls) -> frozenset[str]:
        """Return the short name, the only nullable field."""
        return frozenset({"screen_name"})


class OfficialPageBase(BaseModel):
    """Fields of a page's row."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID = Field(examples=[EXAMPLE_ID])
    version: int = Field(description="Send it in `If-Match` of a change", examples=[1])
    organisation_id: UUID = Field(examples=[EXAMPLE_ID])
    network: NetworkName
    external_id: str = Field(examples=["101"])
    name: str = Field(examples=["Школа № 71"])
    screen_name: str | None = Field(examples=["school71"])
    url: str = Field(examples=["https://vk.com/club101"])
    go_live_at: datetime
    state: OfficialPageState = Field(description="State found by the last daily check; `unknown` before the first")
    checked_at: datetime | None = Field(description="When the network was last asked about the page")
    active: bool
    created_at: datetime
    updated_at: datetime


class OfficialPage(OfficialPageBase):
    """An official page with its current steps."""

    organisation: OrganisationRef
    steps: dict[PageStepKind, date] = Field(
        description="Current steps, each with the day it was reached",
        examples=[{"created": "2026-11-25", "verified": "2026-11-30"}],
    )


class PageAddressToResolve(StrictModel):
    """An address as a person pasted it."""

    address: PastedAddress
    network: NetworkName | None = Field(
        default=None,
        description="Required when the address does not show the network, such as a bare id",
        examples=["vk"],
    )


class ResolvedPageAddress(BaseModel):
    """The community at an address, as its network reports it, and its page and organisation if registered."""

    network: NetworkName
    external_id: str = Field(examples=["101"])
    name: str = Field(examples=["Школа № 71"])
    screen_name: str | None = Field(examples=["school71"])
    url: str = Field(examples=["https://vk.com/club101"])
    page_id: UUID | None = Field(
        description="Its page in the registry; null: not registered", examples=[EXAMPLE_ID]
    )
    organisation: OrganisationRef | None = Field(description="The organisation that keeps the page")


class PageStepConfirm(StrictModel):
    """Request to confirm that a page has reached a step."""

    reached_on: Day | None = Field(default=None, description="Left out: today in the region")
    evidence_kind: EvidenceKind = EvidenceKind.MANUAL
    evidence: ReasonText | None = Field(
        default=None,
        description="Number of a document, address of a screenshot, or a note",
        examples=["Письмо № 17 от 20.11.2026"],
    )


class PageStep(BaseModel):
    """A step of a page: when it was reached, what proves it, who confirmed it, and when it was lost."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID = Field(examples=[EXAMPLE_ID])
    step: PageStepKind
    reached_on: Day
    evidence_kind: EvidenceKind
    evidence: str | None = Field(examples=["Письмо № 17 от 20.11.2026"])
    confirmed_by: str = Field(
        description="Id of the person or API client; `registry`: the daily check; `migration`: the page is "
        "older than its steps",
        examples=[EXAMPLE_ID],
    )
    lost_on: Day | None
    lost_reason: str | None = Field(examples=["Сеть больше не показывает отметку"])
    created_at: datetime


class LostPageStep(BaseModel):
    """A step that a page has lost."""

    page_id: UUID = Field(examples=[EXAMPLE_ID])
    network: NetworkName
    external_id: str = Field(examples=["101"])
    name: str = Field(examples=["Школа № 71"])
    url: str = Field(examples=["https://vk.com/club101"])
    organisation: OrganisationRef
    step: PageStepKind
    reached_on: Day
    lost_on: Day
    lost_reason: str | None = Field(examples=["Сеть больше не показывает отметку"])
    regained_on: Day | None = Field(description="The day on which the page reached the step again")
