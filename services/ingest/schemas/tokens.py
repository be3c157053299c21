"""What crosses the wire: credentials of the networks."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field, SecretStr

from services.ingest.schemas.base import RequestModel, RowModel
from shared.networks import NetworkName


class NetworkTokenIn(RequestModel):
    """A credential of a network. Never shown again."""

    network: NetworkName = Field(examples=["ok"])
    kind: Literal["group", "service", "user"] = Field(examples=["user"])
    page_id: UUID | None = Field(default=None, description="The page a group's token belongs to")
    token: SecretStr = Field(min_length=1, max_length=4_000, examples=["-s-example"])
    application_key: SecretStr | None = Field(default=None, description="OK: key of the application")
    application_secret_key: SecretStr | None = Field(default=None, description="OK: secret of the application")
    session_secret_key: SecretStr | None = Field(default=None, description="OK: secret of the session")


class NetworkTokenOut(RowModel):
    """What may be known of a credential."""

    id: UUID
    network: NetworkName
    kind: str
    page_id: UUID | None
    state: Literal["healthy", "limited", "captcha", "revoked", "blocked"]
    reason: str | None
    limited_until: datetime | None
    created_at: datetime
    updated_at: datetime


class NetworkTokenDetail(NetworkTokenOut):
    """What those who manage credentials may know beside."""

    resting: dict[str, datetime] = Field(description="Methods that rest, and until when")
    challenge: dict[str, str] | None = Field(description="What a person has to solve before it is taken again")
    calls_today: dict[str, int] = Field(description="Calls of limited methods in the network's day")


class NetworkTokenRecovery(RequestModel):
    """What a person did about a credential; empty: it was mended in the network itself."""

    success_token: SecretStr | None = Field(
        default=None, max_length=4_000, description="VK: what the page at `redirect_uri` answered"
    )
    captcha_key: str | None = Field(
        default=None, max_length=200, description="VK: what the picture shows", examples=["q3ka"]
    )


class NetworkTokenList(BaseModel):
    """All credentials."""

    items: list[NetworkTokenDetail]
