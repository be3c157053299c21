"""What crosses the wire between the registry and ingest about addresses."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.networks import NetworkName


class AddressToResolve(BaseModel):
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


class Resolution(BaseModel):
    """What became of the question; `reason` is a sentence for a person, absent when the community was found."""

    outcome: Literal["found", "none", "unavailable"]
    reason: str | None = None
    community: ResolvedCommunity | None = None
