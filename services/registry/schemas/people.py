"""What crosses the wire of signing in, people and API clients."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from services.registry.schemas.fields import Name, SingleLine, StrictModel, UpdateModel
from services.registry.schemas.organisations import EXAMPLE_ID
from shared.auth.rights import Role


def _normal(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


Username = Annotated[
    str,
    BeforeValidator(_normal),
    Field(
        pattern=r"^[a-z0-9][a-z0-9._@-]{1,63}$",
        description="Told apart without case; case of what is sent is dropped",
        examples=["t.ivanova"],
    ),
]
Password = Annotated[
    str, Field(min_length=10, max_length=200, description="10 characters at least", examples=["correct horse 9"])
]
OrganisationId = Annotated[
    UUID | None,
    Field(description="Required for organisation staff, absent for the centre", examples=[EXAMPLE_ID]),
]


IncludeSubordinates = Annotated[
    bool, Field(description="Bound to all organisations below theirs too; never for the centre, which sees all")
]


ExternalSubject = Annotated[
    SingleLine,
    Field(
        min_length=1,
        max_length=255,
        description="How the region's OIDC issuer names the person: its `sub`, or the claim that was set up",
        examples=["f:8a1c:t.ivanova"],
    ),
]


class PersonCreate(StrictModel):
    """Someone who may sign in."""

    username: Username
    full_name: Name = Field(examples=["Татьяна Иванова"])
    role: Role = Field(examples=["executor"])
    organisation_id: OrganisationId = None
    beneath: IncludeSubordinates = False
    password: Password | None = Field(default=None, description="Left out: they sign in at the issuer alone")
    external_subject: ExternalSubject | None = None


class PersonUpdate(UpdateModel):
    """Fields to change; those left out stay. A new password, role or place ends the person's sessions."""

    full_name: Name | None = Field(default=None, examples=["Татьяна Иванова"])
    role: Role | None = Field(default=None, examples=["executor"])
    organisation_id: OrganisationId = None
    beneath: IncludeSubordinates | None = None
    password: Password | None = Field(default=None, description="null: no password opens anything any more")
    external_subject: ExternalSubject | None = Field(default=None, description="null: not known to the issuer")
    active: bool | None = Field(default=None, description="false: may not sign in, and no session goes on")

    @classmethod
    def nullable(cls) -> frozenset[str]:
        """The organisation, for who moves to the centre has none, and either way of signing in."""
        return frozenset({"organisation_id", "password", "external_subject"})


class Person(BaseModel):
    """A person with access; never the password."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID = Field(examples=[EXAMPLE_ID])
    version: int = Field(description="Goes into `If-Match` of a change", examples=[1])
    username: str = Field(examples=["t.ivanova"])
    full_name: str = Field(examples=["Татьяна Иванова"])
    role: Role
    organisation_id: UUID | None
    beneath: bool
    active: bool
    locked_at: datetime | None = Field(description="Since when the person may not sign in; null: not locked")
    locked_reason: str | None
    last_sign_in_at: datetime | None
    issuer: str | None = Field(description="The OIDC issuer that vouches for them")
    external_subject: str | None = Field(description="How it names them")
    created_at: datetime
    updated_at: datetime
