"""API models of API clients."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from services.registry.schemas.fields import EXAMPLE_ID, Moment, Name, OrganisationRef, StrictModel, UpdateModel
from services.registry.schemas.people import IncludeSubordinates, OrganisationId
from shared.auth.rights import Right, Role


def _each_once(value: list[Right] | None) -> list[Right] | None:
    return None if value is None else sorted(set(value))


Scopes = Annotated[
    list[Right] | None,
    Field(
        min_length=1,
        max_length=100,
        description="The rights of the role that the client needs; null: all of them",
        examples=[["appeals:read", "registry:read"]],
    ),
    AfterValidator(_each_once),
]


class ClientCreate(StrictModel):
    """A system that signs in with a client secret."""

    name: Name = Field(examples=["Приёмная главы"])
    role: Role = Field(examples=["executor"])
    organisation_id: OrganisationId = None
    include_subordinates: IncludeSubordinates = False
    scopes: Scopes = None
    expires_at: Moment | None = Field(default=None, description="Left out: the client does not expire")


class ClientUpdate(UpdateModel):
    """Fields to change; those left out are kept. Role and organisation cannot change: create another client."""

    name: Name | None = Field(default=None, examples=["Приёмная главы"])
    include_subordinates: IncludeSubordinates | None = None
    scopes: Scopes = None
    expires_at: Moment | None = Field(default=None, description="null: the client does not expire")

    @classmethod
    def nullable(cls) -> frozenset[str]:
        """Return the nullable fields, for which null means «no limit»."""
        return frozenset({"scopes", "expires_at"})


class ClientSecretCreate(StrictModel):
    """Request to issue a new secret and let the earlier ones expire."""

    overlap_hours: int = Field(
        default=24,
        ge=0,
        le=720,
        description="How long earlier secrets keep working, so that the new one can be deployed",
        examples=[24],
    )


class ClientSecret(BaseModel):
    """An active secret, without its value."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID = Field(examples=[EXAMPLE_ID])
    created_at: datetime
    expires_at: datetime | None = Field(description="null: until it is replaced")
    last_used_at: datetime | None


class Client(BaseModel):
    """An API client; its `id` is the `client_id` of `POST /auth/token`."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID = Field(examples=[EXAMPLE_ID])
    version: int = Field(description="Send it in `If-Match` of a change", examples=[1])
    name: str = Field(examples=["Приёмная главы"])
    role: Role
    organisation_id: UUID | None
    organisation: OrganisationRef | None = Field(description="null: the centre")
    include_subordinates: bool
    scopes: list[Right] | None
    active: bool
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None = Field(description="When it last signed in")
    secrets: list[ClientSecret] = Field(description="Active secrets, newest first")


class ClientWithSecret(Client):
    """A client with a new secret, which only this response contains."""

    secret: str = Field(description="The `client_secret`", examples=["8vJ0…"])
