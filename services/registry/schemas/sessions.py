"""API models of the caller, of sessions and of account locks."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, Field

from services.registry.schemas.fields import EXAMPLE_ID, Moment, SingleLine, StrictModel
from shared.auth.rights import Right, Role
from shared.contracts.values import OrganisationKind


class CallerKind(StrEnum):
    """Whether the caller is a person or an API client."""

    PERSON = "person"
    CLIENT = "client"


class CallerPerson(BaseModel):
    """The person or API client of the token."""

    id: str = Field(examples=[EXAMPLE_ID])
    name: str = Field(examples=["Модератор центра"])
    role: Role
    kind: CallerKind = Field(description="`client`: an API client", examples=["person"])
    username: str | None = Field(description="null for API clients", examples=["t.ivanova"])
    last_sign_in_at: datetime | None


class CallerOrganisation(BaseModel):
    """The caller's organisation."""

    id: UUID = Field(examples=[EXAMPLE_ID])
    name: str = Field(examples=["Школа № 71 города Улан-Удэ"])
    short_name: str | None = Field(examples=["Школа № 71"])
    kind: OrganisationKind
    municipality: str | None = Field(description="Its code in `GET /municipalities`", examples=["81701000"])
    active: bool


class Me(BaseModel):
    """The caller's identity and rights."""

    person: CallerPerson
    organisation: CallerOrganisation | None = Field(description="null: the centre, which sees all organisations")
    include_subordinates: bool = Field(description="Whether the caller also sees subordinate organisations")
    rights: list[Right] = Field(
        description="The rights of the role, narrowed to the token's scope",
        examples=[["registry:read", "metrics:read"]],
    )
    session_id: UUID | None = Field(
        description="The session in `GET /me/sessions`; null for API clients", examples=[EXAMPLE_ID]
    )
    time_zone: str = Field(description="The region's time zone", examples=["Asia/Irkutsk"])


class Session(BaseModel):
    """A person's session: it lasts until it is ended or has been unused for 14 days."""

    id: UUID = Field(examples=[EXAMPLE_ID])
    signed_in_at: datetime
    last_used_at: datetime = Field(description="When its access token was last refreshed")
    expires_at: datetime = Field(description="When it expires unless it is used")
    ip_address: str | None = Field(description="IP address of its last use", examples=["203.0.113.7"])
    user_agent: str | None = Field(examples=["Mozilla/5.0"])
    current: bool = Field(description="Whether the token of this request belongs to it")


class LockPerson(StrictModel):
    """Request to lock an account, with the reason."""

    reason: Annotated[
        SingleLine,
        BeforeValidator(lambda value: value.strip() if isinstance(value, str) else value),
        Field(min_length=1, max_length=500, examples=["Телефон с паролем потерян"]),
    ]


class ExternalIdentityQuery(StrictModel):
    """The subject of a token of an external issuer."""

    issuer: str
    subject: str
    signed_in_at: Moment


class PersonClaims(BaseModel):
    """The person's claims, as in a token that the registry issues."""

    sub: str
    name: str
    role: Role
    org: UUID | None
    include_subordinates: bool
