"""Sign-in as it crosses the wire."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class TokenResponse(BaseModel):
    """A successful sign-in (RFC 6749, 5.1)."""

    access_token: str = Field(examples=["eyJhbGciOiJFZDI1NTE5Iiwia2lkIjoiZ29zcGFibGlrLjEifQ.eyJzdWIiOiI…"])
    refresh_token: str | None = Field(default=None, description="For people alone; good for one use")
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 — a word of the protocol
    expires_in: int = Field(description="Seconds that the access token lives", examples=[900])
    scope: str | None = Field(
        default=None,
        description="For systems whose rights are narrowed: what is left, divided by spaces",
        examples=["appeals:read registry:read"],
    )


class OAuthError(BaseModel):
    """A refused sign-in (RFC 6749, 5.2): the shape of OAuth 2, not a problem document."""

    error: Literal[
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "invalid_scope",
        "unsupported_grant_type",
        "unsupported_token_type",
        "temporarily_unavailable",
    ]
    error_description: str = Field(examples=["The user name or the password is wrong"])


class JsonWebKey(BaseModel):
    """A public key as JWK (RFC 7517)."""

    model_config = ConfigDict(extra="allow")

    kty: str = Field(examples=["OKP"])
    kid: str = Field(examples=["gospablik.1"])


class JsonWebKeySet(BaseModel):
    """The keys that verify access tokens."""

    keys: list[JsonWebKey]


class ExternalIssuer(BaseModel):
    """Where a front end sends people; its access tokens are this system's, too."""

    issuer: str = Field(examples=["https://sso.example.ru/realms/region"])
    audience: str = Field(description="What the access token must be for", examples=["gospablik"])
    client_id: str | None = Field(description="The front end's id there", examples=["gospablik-web"])


class SignInMethods(BaseModel):
    """How people sign in here."""

    password: bool = Field(description="By `POST /auth/token` with `grant_type=password`")
    external: ExternalIssuer | None = Field(description="The region's own OIDC issuer, when there is one")
