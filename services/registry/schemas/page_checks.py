"""API models of the daily page checks."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.registry.schemas.fields import EXAMPLE_ID, OrganisationRef
from shared.contracts.values import ReachCountedBy
from shared.networks import NetworkName


class PageState(StrEnum):
    """State of a page in its network; `gone`: the network no longer returns it."""

    OPEN = "open"
    CLOSED = "closed"
    GONE = "gone"


class WatchedPageField(StrEnum):
    """Fields whose changes are reported; members and posts change every day."""

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
    """What a network reports about a page; null: not reported, or empty."""

    model_config = ConfigDict(from_attributes=True)

    name: str | None = Field(default=None, examples=["Школа № 71"])
    screen_name: str | None = Field(default=None, examples=["school71"])
    verified: bool | None = Field(
        default=None, description="The network's own badge: `verified` in VK, `gos_org` in OK"
    )
    avatar: bool | None = None
    cover: bool | None = None
    description: bool | None = Field(default=None, description="Whether the page has a description")
    phone: str | None = Field(
        default=None,
        description="From the field of the network, else from the description",
        examples=["+7 301 221-44-11"],
    )
    address: str | None = Field(
        default=None,
        description="From the field of the network, else from the description",
        examples=["ул. Ленина, 54"],
    )
    site: str | None = Field(default=None, examples=["https://school71.example.ru"])
    comments_open: bool | None = Field(default=None, description="Whether citizens may comment")
    members: int | None = Field(default=None, examples=[1250])
    last_post_at: datetime | None = None
    posts_7_days: int | None = Field(
        default=None, description="The page's own posts; null: its wall could not be read", examples=[4]
    )
    views_7_days: int | None = Field(
        default=None,
        description="How often these posts were shown, the same person counted again; OK does not report it",
        examples=[2100],
    )
    likes_7_days: int | None = Field(default=None, description="Likes of these posts", examples=[64])
    comments_7_days: int | None = Field(
        default=None, description="Comments on these posts, those of the page included", examples=[12]
    )
    reposts_7_days: int | None = Field(default=None, description="Reposts of these posts", examples=[7])
    reach_7_days: int | None = Field(
        default=None,
        description="How many people the page reached. Only a token of its manager may read it: null without one, "
        "and if the network refuses it",
        examples=[830],
    )
    reach_counted_by: ReachCountedBy | None = Field(
        default=None,
        description="`week`: each person once (VK); `days`: the sum of days, a person once a day (OK)",
        examples=["week"],
    )
    mean_post_reach: int | None = Field(
        default=None, description="People per post; OK does not report it", examples=[310]
    )


class PageDescription(PageSnapshot):
    """Ingest's description of one page."""

    page_id: UUID
    state: PageState
    reason: str | None
    calls: int


class PageDescriptions(BaseModel):
    """Ingest's descriptions of several pages; `error` says why some are missing.

    `calls` counts all calls except those for reach.
    """

    items: list[PageDescription]
    calls: int
    reach_calls: int = 0
    error: str | None = None


class PageFieldChange(BaseModel):
    """A field that differs from the previous check; it may be `state`."""

    field: WatchedPageField = Field(examples=["verified"])
    before: Any = Field(examples=[True])
    after: Any = Field(examples=[False])


class CheckedPage(BaseModel):
    """The page that was checked."""

    id: UUID = Field(examples=[EXAMPLE_ID])
    network: NetworkName
    external_id: str = Field(examples=["101"])
    name: str = Field(description="As in the registry", examples=["Школа № 71"])
    url: str = Field(examples=["https://vk.com/club101"])
    organisation: OrganisationRef


class PageCheck(BaseModel):
    """The check of a page on one day: what the network reported, and what changed."""

    model_config = ConfigDict(from_attributes=True)

    day: date
    checked_at: datetime
    state: PageState
    reason: str | None = Field(
        description="Why the page is not open: `deleted`, `banned`, `closed_group`, `private_group`, `not_found`"
    )
    snapshot: PageSnapshot
    changes: list[PageFieldChange] = Field(
        description="Differences from the previous check; empty in the first check"
    )
    calls: int = Field(
        description="Calls it cost; a call shared by several pages is counted with the first of them"
    )


class PageCheckWithPage(PageCheck):
    """A check with its page, in the list of a day."""

    page: CheckedPage


class PageCheckDay(BaseModel):
    """Totals of the checks of a day."""

    day: date
    pages: int = Field(description="Pages checked", examples=[3600])
    changed: int = Field(description="Pages on which something changed", examples=[12])
    closed: int = Field(examples=[3])
    gone: int = Field(examples=[1])
    calls: int = Field(
        description="Calls to the networks, failed calls and lost responses included", examples=[26]
    )
