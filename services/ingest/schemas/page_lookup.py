"""What crosses the wire between the registry and ingest about pages."""

from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.networks import NetworkName


class PageProfilesRequest(BaseModel):
    """Pages, and how many calls they may cost: `calls` in all, `walls` of them for single walls.

    Walls that are read anyway are not asked for. Pages for which no call is left are left out of the answer.
    """

    model_config = ConfigDict(extra="forbid")

    page_ids: Annotated[list[UUID], Field(min_length=1, max_length=500)]
    calls: int = Field(default=500, ge=0, le=1_000)
    walls: int = Field(default=0, ge=0, le=500)


class PageProfileOut(BaseModel):
    """What a network says of a page; null: it does not tell.

    `phone` and `address` come from fields of their own, else from the description's words. `posts_7_days` is null
    where nobody has read the wall.
    """

    page_id: UUID
    outcome: Literal["open", "closed", "gone"]
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
    calls: int = Field(description="Calls made for this page alone")


class PageProfiles(BaseModel):
    """The pages that could be asked about; `calls` counts all calls, those for many pages at once too."""

    items: list[PageProfileOut]
    calls: int
    trouble: str | None = None


class AddressResolutionRequest(BaseModel):
    """A community of a network, by its id or by its short name."""

    model_config = ConfigDict(extra="forbid")

    network: NetworkName
    external_id: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,19}$")] | None = None
    screen_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.external_id is None) == (self.screen_name is None):
            raise ValueError("give the id or the short name")
        return self


class ResolvedCommunity(BaseModel):
    """A community as its network has it."""

    model_config = ConfigDict(from_attributes=True)

    external_id: str
    name: str
    screen_name: str | None


class AddressResolution(BaseModel):
    """What became of the question; `reason` is a sentence for a person, absent when the community was found."""

    outcome: Literal["found", "none", "unavailable"]
    reason: str | None = None
    community: ResolvedCommunity | None = None
