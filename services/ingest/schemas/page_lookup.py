"""Models of page lookup between the registry and ingest."""

from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.contracts.values import ReachCountedBy
from shared.networks import NetworkName


class PageProfilesRequest(BaseModel):
    """Pages to look up with at most `call_budget` calls, of which `wall_read_budget` may read single walls.

    Walls that ingest polls need no call. Pages for which no call is left are omitted from the response. Reactions
    (one call for posts of many pages) and reach (one call per page) have separate budgets.
    """

    model_config = ConfigDict(extra="forbid")

    page_ids: Annotated[list[UUID], Field(min_length=1, max_length=500)]
    call_budget: int = Field(default=500, ge=0, le=1_000)
    wall_read_budget: int = Field(default=0, ge=0, le=500)
    reaction_call_budget: int = Field(default=0, ge=0, le=500)
    reach_call_budget: int = Field(default=0, ge=0, le=500)


class PageProfileOut(BaseModel):
    """A page's profile in its network; null if the network does not provide the value.

    `phone` and `address` come from their own fields, else from the description. `posts_7_days` is null if the wall
    was not read. Views, likes, comments and reposts are sums over these posts. `reach_7_days` counts people; with
    `reach_counted_by` = `days` a person counts once on each day, with `week` once in the week.
    """

    page_id: UUID
    state: Literal["open", "closed", "gone"]
    reason: str | None
    name: str | None
    screen_name: str | None
    verified: bool | None
    avatar: bool | None
    cover: bool | None
    description: bool | None
    phone: str | None
    address: str | None
    site: str | None
    comments_open: bool | None
    members: int | None
    last_post_at: datetime | None
    posts_7_days: int | None
    views_7_days: int | None
    likes_7_days: int | None
    comments_7_days: int | None
    reposts_7_days: int | None
    reach_7_days: int | None
    reach_counted_by: ReachCountedBy | None
    mean_post_reach: int | None
    calls: int = Field(description="Calls made only for this page")


class PageProfiles(BaseModel):
    """The profiles that could be read.

    `calls` counts all calls except those for reach; calls for several pages are included.
    """

    items: list[PageProfileOut]
    calls: int
    reach_calls: int = 0
    error: str | None = None


class AddressResolutionRequest(BaseModel):
    """A community of a network, by id or by short name."""

    model_config = ConfigDict(extra="forbid")

    network: NetworkName
    external_id: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,19}$")] | None = None
    screen_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.external_id is None) == (self.screen_name is None):
            raise ValueError("give either the id or the short name, not both")
        return self


class ResolvedCommunity(BaseModel):
    """A community as its network reports it."""

    model_config = ConfigDict(from_attributes=True)

    external_id: str
    name: str
    screen_name: str | None


class AddressResolution(BaseModel):
    """Result of an address lookup; `reason` is a sentence for the user, null if the community was found."""

    outcome: Literal["found", "no_community", "unavailable"]
    reason: str | None = None
    community: ResolvedCommunity | None = None
