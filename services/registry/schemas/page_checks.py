"""What crosses the wire of the daily checks of pages."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.registry.schemas.pages import EXAMPLE_ID, Owner
from shared.networks import NetworkName


class PageState(StrEnum):
    """How a network shows a page: `gone` when it does not know it any more."""

    OPEN = "open"
    CLOSED = "closed"
    GONE = "gone"


class WatchedPageField(StrEnum):
    """What a change is told of; members and posts move by themselves."""

    STATE = "state"
    NAME = "name"
    SCREEN_NAME = "screen_name"
    VERIFIED = "verified"
    AVATAR = "avatar"
    COVER = "cover"
    DESCRIPTION = "description"
    PHONE = "phone"
    ADDRESS = "address"
    SITE = "site"
    COMMENTS_OPEN = "comments_open"


class PageSnapshot(BaseModel):
    """What a network says of a page; null: it does not tell, or there is none."""

    model_config = ConfigDict(from_attributes=True)

    name: str | None = Field(default=None, examples=["Школа № 71"])
    screen_name: str | None = Field(default=None, examples=["school71"])
    verified: bool | None = Field(
        default=None, description="The network's own mark: `verified` in VK, `gos_org` in OK"
    )
    avatar: bool | None = None
    cover: bool | None = None
    description: bool | None = Field(default=None, description="Whether there is a description")
    phone: str | None = Field(
        default=None, description="From its own field, else from the description", examples=["+7 301 221-44-11"]
    )
    address: str | None = Field(
        default=None, description="From its own field, else from the description", examples=["ул. Ленина, 54"]
    )
    site: str | None = Field(default=None, examples=["https://school71.example.ru"])
    comments_open: bool | None = Field(default=None, description="Whether citizens may comment")
    members: int | None = Field(default=None, examples=[1250])
    last_post_at: datetime | None = None
    posts_7_days: int | None = Field(
        default=None, description="The page's own posts; null: its wall could not be read", examples=[4]
    )


class PageDescription(PageSnapshot):
    """What ingest answers about one page."""

    page_id: UUID
    outcome: PageState
    reason: str | None
    calls: int


class PageDescriptions(BaseModel):
    """What ingest answers about many pages; `trouble` says why some are left out."""

    items: list[PageDescription]
    calls: int
    trouble: str | None = None


class PageFieldChange(BaseModel):
    """A fact that is not what it was at the check before; `state` is one of them."""

    field: WatchedPageField = Field(examples=["verified"])
    before: Any = Field(examples=[True])
    after: Any = Field(examples=[False])


class CheckedPage(BaseModel):
    """The page a check is of."""

    id: UUID = Field(examples=[EXAMPLE_ID])
    network: NetworkName
    external_id: str = Field(examples=["101"])
    name: str = Field(description="As the registry has it", examples=["Школа № 71"])
    url: str = Field(examples=["https://vk.com/club101"])
    owner: Owner


class PageCheck(BaseModel):
    """What a network said of a page on a day."""

    model_config = ConfigDict(from_attributes=True)

    day: date
    checked_at: datetime
    state: PageState
    reason: str | None = Field(
        description="Why it is not open: `deleted`, `banned`, `closed_group`, `private_group`, `not_found`"
    )
    facts: PageSnapshot
    changed: list[PageFieldChange] = Field(description="Against the check before; the first check changes nothing")
    calls: int = Field(description="Calls it cost; what many pages share is counted with the first of them")


class PageCheckWithPage(PageCheck):
    """One page's check in the list of a day."""

    page: CheckedPage


class PageCheckDay(BaseModel):
    """How the checks of a day went."""

    day: date
    pages: int = Field(description="Pages checked", examples=[3600])
    changed: int = Field(description="Of them, pages on which something changed", examples=[12])
    closed: int = Field(examples=[3])
    gone: int = Field(examples=[1])
    calls: int = Field(
        description="Calls to the networks, failed ones and those of lost answers too", examples=[26]
    )
