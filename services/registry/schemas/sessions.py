"""What crosses the wire of the caller themselves, of sessions, and of locks."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, Field

from services.registry.schemas.fields import Moment, OrganisationKind, SingleLine, StrictModel
from services.registry.schemas.organisations import EXAMPLE_ID
from shared.auth.rights import Right, Role


class CallerKind(StrEnum):
    """Whether somebody or something calls."""

    PERSON = "person"
    CLIENT = "system"


class CallerPerson(BaseModel):
    """Who the token speaks for."""

    id: str = Field(examples=[EXAMPLE_ID])
    name: str = Field(examples=["Модератор центра"])
    role: Role
    kind: CallerKind = Field(description="system: an API client", examples=["person"])
    username: str | None = Field(description="null for systems", examples=["t.ivanova"])
    last_sign_in_at: datetime | None


class CallerOrganisation(BaseModel):
    """Where they work."""

    id: UUID = Field(examples=[EXAMPLE_ID])
    name: str = Field(examples=["Школа № 71 города Улан-Удэ"])
    short_name: str | None = Field(examples=["Школа № 71"])
    kind: OrganisationKind
    municipality: str | None = Field(description="Its code in `GET /municipalities`", examples=["81701000"])
    active: bool


class Me(BaseModel):
    """The caller, as this system sees them."""

    person: CallerPerson
    organisation: CallerOrganisation | None = Field(description="null: the centre, which sees all organisations")
    beneath: bool = Field(description="Whether the organisations below theirs are theirs to see too")
    rights: list[Right] = Field(
        description="What the role allows, narrowed to the token's scope",
        examples=[["registry:read", "metrics:read"]],
    )
    session_id: UUID | None = Field(
        description="The session in `GET /me/sessions`; null for systems", examples=[EXAMPLE_ID]
    )
    time_zone: str = Field(description="Where the region's days begin", examples=["Asia/Irkutsk"])


class Session(BaseModel):
    """Somebody's session: it goes on until it is ended, or is not used for 14 days."""

    id: UUID = Field(examples=[EXAMPLE_ID])
    signed_in_at: datetime
    last_used_at: datetime = Field(description="When its access token was last made anew")
    expires_at: datetime = Field(description="When it ends unless it is used")
    came_from: str | None = Field(description="The network address of its last use", examples=["203.0.113.7"])
    user_agent: str | None = Field(examples=["Mozilla/5.0"])
    current: bool = Field(description="Whether the token of this request belongs to it")


class LockPerson(StrictModel):
    """Why somebody may not sign in."""

    reason: Annotated[
        SingleLine,
        BeforeValidator(lambda value: value.strip() if isinstance(value, str) else value),
        Field(min_length=1, max_length=500, examples=["Телефон с паролем потерян"]),
    ]


class ExternalIdentityQuery(StrictModel):
    """Whom an external issuer's token names."""

    issuer: str
    subject: str
    signed_in_at: Moment


class PersonClaims(BaseModel):
    """What such a token means here: the claims of a token of the embedded issuer."""

    sub: str
    name: str
    role: Role
    org: UUID | None
    beneath: bool
