"""API models of sign-in."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypeAliasType

from services.registry.schemas.fields import SingleLine

OAuthErrorCode = TypeAliasType(
    "OAuthErrorCode",
    Literal[
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "invalid_scope",
        "unsupported_grant_type",
        "unsupported_token_type",
        "temporarily_unavailable",
    ],
)


class TokenResponse(BaseModel):
    """A successful sign-in (RFC 6749, 5.1)."""

    access_token: str = Field(examples=["eyJhbGciOiJFZDI1NTE5Iiwia2lkIjoiZ29zcGFibGlrLjEifQ.eyJzdWIiOiI…"])
    refresh_token: str | None = Field(default=None, description="For people only; can be used once")
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 — a word of the protocol
    expires_in: int = Field(description="Lifetime of the access token in seconds", examples=[900])
    scope: str | None = Field(
        default=None,
        description="For API clients with a narrowed scope: the remaining rights, separated by spaces",
        examples=["appeals:read registry:read"],
    )


class OAuthError(BaseModel):
    """A refused sign-in (RFC 6749, 5.2): OAuth's error format, not a problem document."""

    error: OAuthErrorCode
    error_description: str = Field(examples=["The user name or the password is wrong"])


class PasswordSignIn(BaseModel):
    """A person's user name and password."""

    model_config = ConfigDict(extra="forbid")

    username: SingleLine = Field(min_length=1, max_length=1000, examples=["centre"])
    password: str = Field(
        min_length=1, max_length=1000, json_schema_extra={"format": "password"}, examples=["demo"]
    )


class CookieSession(BaseModel):
    """A cookie session; its tokens are in cookies that scripts cannot read."""

    expires_in: int = Field(
        description="Seconds until the access token expires: call `POST /auth/session/refresh` before then",
        examples=[900],
    )
    refresh_expires_in: int = Field(
        description="Seconds until the person must sign in again, unless refreshed before", examples=[1_209_600]
    )


class JsonWebKey(BaseModel):
    """A public key as JWK (RFC 7517)."""

    model_config = ConfigDict(extra="allow")

    kty: str = Field(examples=["OKP"])
    kid: str = Field(examples=["gospablik.1"])


class JsonWebKeySet(BaseModel):
    """The keys that verify access tokens."""

    keys: list[JsonWebKey]


class ExternalIssuer(BaseModel):
    """The issuer to which a front end sends people to sign in; the API accepts its access tokens."""

    issuer: str = Field(examples=["https://sso.example.ru/realms/region"])
    audience: str = Field(description="The audience that the access token must have", examples=["gospablik"])
    client_id: str | None = Field(
        description="The front end's client id at the issuer", examples=["gospablik-web"]
    )


class SignInMethods(BaseModel):
    """Available sign-in methods."""

    password: bool = Field(description="Whether `POST /auth/token` accepts `grant_type=password`")
    external: ExternalIssuer | None = Field(description="The region's OIDC issuer, if there is one")
