"""API models of network tokens."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field, SecretStr
from typing_extensions import TypeAliasType

from services.ingest.schemas.base import RequestModel, RowModel
from shared.networks import NetworkName

NetworkTokenKind = TypeAliasType("NetworkTokenKind", Literal["group", "service", "user"])
NetworkTokenState = TypeAliasType(
    "NetworkTokenState", Literal["healthy", "limited", "captcha", "revoked", "blocked"]
)


class NetworkTokenIn(RequestModel):
    """A network token to add. The secrets are never returned."""

    network: NetworkName = Field(examples=["ok"])
    kind: NetworkTokenKind = Field(examples=["user"])
    page_id: UUID | None = Field(
        default=None,
        description="For a group token: its page. For a user token: the page that its owner manages; the token "
        "only reads the page's statistics",
    )
    token: SecretStr = Field(min_length=1, max_length=4_000, examples=["-s-example"])
    application_key: SecretStr | None = Field(default=None, description="OK: key of the application")
    application_secret_key: SecretStr | None = Field(default=None, description="OK: secret of the application")
    session_secret_key: SecretStr | None = Field(default=None, description="OK: secret of the session")


class NetworkTokenOut(RowModel):
    """A network token without secrets."""

    id: UUID
    network: NetworkName
    kind: NetworkTokenKind
    page_id: UUID | None
    state: NetworkTokenState
    reason: str | None
    limited_until: datetime | None
    created_at: datetime
    updated_at: datetime


class NetworkTokenDetail(NetworkTokenOut):
    """A network token with details for those who manage tokens."""

    limited_methods: dict[str, datetime] = Field(
        description="Paused methods, and when each pause ends",
        examples=[{"wall.get": "2026-11-27T16:40:00+08:00"}],
    )
    challenge: dict[str, str] | None = Field(description="What a person has to solve before the token is usable")
    calls_last_24h: dict[str, int] = Field(
        description="Calls of methods with a daily limit in the last 24 hours", examples=[{"wall.get": 1240}]
    )


class NetworkTokenRecovery(RequestModel):
    """How a person recovered a token; an empty body: it was repaired in the network."""

    success_token: SecretStr | None = Field(
        default=None, max_length=4_000, description="VK: the result of the page at `redirect_uri`"
    )
    captcha_key: str | None = Field(
        default=None, max_length=200, description="VK: the text in the captcha image", examples=["q3ka"]
    )


class NetworkTokenList(BaseModel):
    """All network tokens."""

    items: list[NetworkTokenDetail]
