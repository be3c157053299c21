"""API models of people with access."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from services.registry.schemas.fields import (
    EXAMPLE_ID,
    Name,
    OrganisationRef,
    SingleLine,
    StrictModel,
    UpdateModel,
)
from shared.auth.rights import Role


def _normal(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


Username = Annotated[
    str,
    BeforeValidator(_normal),
    Field(
        pattern=r"^[a-z0-9][a-z0-9._@-]{1,63}$",
        description="Case-insensitive; stored in lower case",
        examples=["t.ivanova"],
    ),
]
Password = Annotated[
    str, Field(min_length=10, max_length=200, description="At least 10 characters", examples=["correct horse 9"])
]
OrganisationId = Annotated[
    UUID | None,
    Field(
        description="Required for organisation staff; not allowed for roles of the centre", examples=[EXAMPLE_ID]
    ),
]


IncludeSubordinates = Annotated[
    bool,
    Field(
        description="Whether access includes all subordinate organisations; never for the centre, which sees all"
    ),
]


ExternalSubject = Annotated[
    SingleLine,
    Field(
        min_length=1,
        max_length=255,
        description="The person's id at the region's OIDC issuer: its `sub`, or the configured claim",
        examples=["f:8a1c:t.ivanova"],
    ),
]


class PersonCreate(StrictModel):
    """A person who may sign in."""

    username: Username
    full_name: Name = Field(examples=["Татьяна Иванова"])
    role: Role = Field(examples=["executor"])
    organisation_id: OrganisationId = None
    include_subordinates: IncludeSubordinates = False
    password: Password | None = Field(default=None, description="Left out: the person signs in only at the issuer")
    external_subject: ExternalSubject | None = None


class PersonUpdate(UpdateModel):
    """Fields to change; those left out are kept.

    A change of any field except `full_name` ends the person's sessions.
    """

    full_name: Name | None = Field(default=None, examples=["Татьяна Иванова"])
    role: Role | None = Field(default=None, examples=["executor"])
    organisation_id: OrganisationId = None
    include_subordinates: IncludeSubordinates | None = None
    password: Password | None = Field(default=None, description="null: sign-in by password is no longer possible")
    external_subject: ExternalSubject | None = Field(
        default=None, description="null: sign-in at the issuer is no longer possible"
    )
    active: bool | None = Field(
        default=None,
        description="false: the person cannot sign in, and their sessions end. For an inactive person, false from "
        "the centre or an organisation above the one that deactivated them takes the deactivation over",
    )

    @classmethod
    def nullable(cls) -> frozenset[str]:
        """Return the nullable fields: the organisation (for a move to the centre) and both means of sign-in."""
        return frozenset({"organisation_id", "password", "external_subject"})


class Person(BaseModel):
    """A person with access, without the password."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID = Field(examples=[EXAMPLE_ID])
    version: int = Field(description="Send it in `If-Match` of a change", examples=[1])
    username: str = Field(examples=["t.ivanova"])
    full_name: str = Field(examples=["Татьяна Иванова"])
    role: Role
    organisation_id: UUID | None
    organisation: OrganisationRef | None = Field(description="null: the centre")
    include_subordinates: bool
    active: bool
    locked_at: datetime | None = Field(description="Since when the account is locked; null: not locked")
    locked_reason: str | None
    locked_by_organisation_id: UUID | None = Field(
        description="The organisation that locked the account. null for a locked account: the centre, which alone "
        "may unlock it"
    )
    deactivated_by_organisation_id: UUID | None = Field(
        description="The organisation that set `active` to false. null for an inactive person: the centre, which "
        "alone may set it to true"
    )
    last_sign_in_at: datetime | None
    issuer: str | None = Field(description="The OIDC issuer at which the person signs in")
    external_subject: str | None = Field(description="The person's id at that issuer")
    created_at: datetime
    updated_at: datetime
