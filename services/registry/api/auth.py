"""OAuth 2 sign-in routes.

Errors are in OAuth's format, which every OAuth client can read, not problem documents.
"""

import base64
from typing import Annotated, Any
from urllib.parse import unquote_plus

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.types import Receive, Scope, Send

from services.registry.authentication import client_sign_in, session_refresh, sessions, sign_in
from services.registry.authentication.sessions import ClientInfo
from services.registry.authentication.token_issuer import (
    ACCESS_TOKEN_LIFETIME,
    IssuedTokens,
    OAuthRefusal,
    TokenIssuer,
)
from services.registry.schemas.auth import ExternalIssuer, JsonWebKeySet, OAuthError, SignInMethods, TokenResponse
from shared.audit import recorder
from shared.database.outages import is_outage
from shared.http.client_address import client_address
from shared.http.problems import RETRY_AFTER_SECONDS
from shared.logs import get_logger
from shared.service import ServiceDep, UncheckedWriteTransaction


class _OAuthErrorRoute(APIRoute):
    """Answers a database outage in OAuth's error format."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().handle(scope, receive, send)
        except Exception as error:
            if not is_outage(error):
                raise
            log.warning("database unavailable during sign-in", error=repr(error)[:300])
            await _refusal(DATABASE_UNAVAILABLE)(scope, receive, send)


router = APIRouter(prefix="/auth", tags=["sign-in"], route_class=_OAuthErrorRoute)
well_known_router = APIRouter(prefix="/.well-known", tags=["sign-in"])

log = get_logger(__name__)

FORM_MEDIA_TYPE = "application/x-www-form-urlencoded"
TOKEN_PATH, REVOKE_PATH = "/api/v1/auth/token", "/api/v1/auth/revoke"
# Anybody can send these bodies, and parsing a mebibyte of `&` blocks the event loop for half a second.
MAX_FORM_BYTES = 16 * 1024
_MALFORMED = "The Authorization header is malformed: send `Basic` and base64 of `client_id:client_secret`"
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


def _form_body(properties: dict[str, Any], required: list[str], examples: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": required}
    return {
        "requestBody": {"required": True, "content": {FORM_MEDIA_TYPE: {"schema": schema, "examples": examples}}}
    }


TOKEN_BODY = _form_body(
    {
        "grant_type": {"type": "string", "enum": ["password", "refresh_token", "client_credentials"]},
        "username": {"type": "string", "description": "For `password`"},
        "password": {"type": "string", "format": "password", "description": "For `password`"},
        "refresh_token": {"type": "string", "description": "For `refresh_token`"},
        "client_id": {"type": "string", "description": "For `client_credentials`, unless sent as HTTP Basic"},
        "client_secret": {
            "type": "string",
            "format": "password",
            "description": "For `client_credentials`, unless sent as HTTP Basic",
        },
        "scope": {
            "type": "string",
            "description": "For `client_credentials`: the rights that the token should have, separated by spaces; "
            "left out: all of the client's. Other grants ignore it: the role decides what is allowed",
        },
    },
    ["grant_type"],
    {
        "a person": {"value": {"grant_type": "password", "username": "centre", "password": "demo"}},
        "continue a session": {"value": {"grant_type": "refresh_token", "refresh_token": "o3Q…"}},
        "a system": {
            "value": {
                "grant_type": "client_credentials",
                "client_id": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b",
                "client_secret": "8vJ0…",
            }
        },
    },
)
REVOKE_BODY = _form_body(
    {
        "token": {"type": "string", "description": "A refresh token; its whole session is ended"},
        "token_type_hint": {"type": "string", "examples": ["refresh_token"]},
    },
    ["token"],
    {"sign out": {"value": {"token": "o3Q…", "token_type_hint": "refresh_token"}}},
)
OAUTH_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": OAuthError, "description": "An OAuth error (RFC 6749, 5.2), not a problem document"},
    401: {"model": OAuthError, "description": "The client is not accepted (RFC 6749, 5.2)"},
    429: {
        "model": OAuthError,
        "description": "Too many people are signing in; try again after `Retry-After` seconds",
    },
    503: {"model": OAuthError, "description": "The database does not answer; try again after `Retry-After`"},
}
DATABASE_UNAVAILABLE = OAuthRefusal(
    "temporarily_unavailable",
    "Signing in and out is unavailable: the service cannot reach its database. It is not known whether a refresh "
    "token was used up: if it is refused afterwards, sign in again",
    status=503,
    retry_after=RETRY_AFTER_SECONDS,
)


async def _form(request: Request) -> dict[str, str]:
    """Return the form's fields; empty ones count as absent.

    Raises `OAuthRefusal` for another media type and for a field that is given twice.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != FORM_MEDIA_TYPE:
        raise OAuthRefusal("invalid_request", f"The body must be {FORM_MEDIA_TYPE}")
    fields: dict[str, str] = {}
    for name, value in (await request.form()).multi_items():
        if not isinstance(value, str) or name in fields:
            raise OAuthRefusal("invalid_request", f"The field «{name[:50]}» is given twice")
        if value:
            fields[name] = value
    return fields


def _needed(form: dict[str, str], name: str) -> str:
    if name not in form:
        raise OAuthRefusal("invalid_request", f"The field «{name}» is missing")
    if len(form[name]) > 1000:
        raise OAuthRefusal("invalid_request", f"The field «{name}» is too long")
    return form[name]


def _revocable(form: dict[str, str]) -> str:
    if form.get("token_type_hint") == "access_token":
        raise OAuthRefusal(
            "unsupported_token_type", "Access tokens cannot be revoked; they expire. Send the refresh token"
        )
    return _needed(form, "token")


def _client(request: Request, form: dict[str, str]) -> tuple[str, str]:
    """Return id and secret from HTTP Basic or from the form, never from both (RFC 6749, 2.3.1)."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return _needed(form, "client_id"), _needed(form, "client_secret")
    if "client_secret" in form:
        raise OAuthRefusal(
            "invalid_request",
            "The client's secret is given in the Authorization header and in the form: give it once",
        )
    try:
        name, separator, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError as error:  # The value is not base64, or not UTF-8 within it.
        raise OAuthRefusal("invalid_client", _MALFORMED, status=401) from error
    if not separator:
        raise OAuthRefusal("invalid_client", _MALFORMED, status=401)
    return unquote_plus(name), unquote_plus(secret)


def token_issuer(service: ServiceDep) -> TokenIssuer:
    """Return the issuer of people's tokens with the current key."""
    settings = service.settings
    return TokenIssuer.load(
        settings.keys_dir, production=not settings.embedded, passwords=settings.password_sign_in
    )


def client_info(request: Request) -> ClientInfo:
    """Return the IP address and the user agent of the request."""
    agent = request.headers.get("user-agent", "").strip()[:300]
    return ClientInfo(
        recorder.request_audit_context(request).ip_address, agent if agent.isprintable() and agent else None
    )


async def _grant(
    request: Request, service: ServiceDep, session: UncheckedWriteTransaction, issuer: TokenIssuer
) -> IssuedTokens:
    form = await _form(request)
    match _needed(form, "grant_type"):
        case "password" | "refresh_token" if not issuer.password_sign_in:
            raise OAuthRefusal(
                "unsupported_grant_type", "People sign in at the region's OIDC issuer: see GET /auth/methods"
            )
        case "password":
            username, password = _needed(form, "username"), _needed(form, "password")
            # `session` takes a connection at its first statement, so none is held during the slow check.
            ip_address = client_address(request)
            compared = await sign_in.check_password(service.database, issuer, username, password, ip_address)
            return await sign_in.sign_in_person(session, issuer, compared, client_info(request))
        case "refresh_token":
            return await session_refresh.refresh_session(
                session, issuer, _needed(form, "refresh_token"), client_info(request)
            )
        case "client_credentials":
            return await client_sign_in.sign_in_client(session, issuer, *_client(request, form), form.get("scope"))
        case _:
            raise OAuthRefusal(
                "unsupported_grant_type", "The grant type must be password, refresh_token or client_credentials"
            )


def _refusal(refused: OAuthRefusal) -> JSONResponse:
    headers = dict(NO_STORE)
    if refused.status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="gospablik", charset="UTF-8"'
    if refused.retry_after is not None:
        headers["Retry-After"] = str(refused.retry_after)
    body = OAuthError.model_validate({"error": refused.error, "error_description": refused.description})
    return JSONResponse(body.model_dump(), status_code=refused.status, headers=headers)


# A refusal is returned, not raised, so that the request's transaction commits the counted failure or the revoked
# session.
@router.post(
    "/token",
    summary="Sign in, or continue a session",
    response_model=TokenResponse,
    response_model_exclude_none=True,
    responses=OAUTH_ERRORS,
    openapi_extra=TOKEN_BODY,
)
async def issue_token(
    *,
    request: Request,
    response: Response,
    service: ServiceDep,
    session: UncheckedWriteTransaction,
    issuer: Annotated[TokenIssuer, Depends(token_issuer)],
) -> TokenResponse | JSONResponse:
    """Exchange a password, refresh token or client secret for tokens (RFC 6749).

    Errors are `{error, error_description}`.

    An access token is valid for 15 minutes, a refresh token for 14 days and one use: within 30 seconds another use
    returns the same successor, a later use ends the session. Five wrong passwords throttle the user name at their
    address for 30 seconds; each further one doubles the time, up to 15 minutes.
    """
    try:
        issued = await _grant(request, service, session, issuer)
    except OAuthRefusal as refused:
        return _refusal(refused)
    response.headers.update(NO_STORE)
    return TokenResponse(
        access_token=issued.access_token,
        refresh_token=issued.refresh_token,
        scope=issued.scope,
        expires_in=int(ACCESS_TOKEN_LIFETIME.total_seconds()),
    )


@router.post(
    "/revoke",
    summary="Sign out",
    response_class=Response,
    responses={
        200: {"description": "The session was ended, or there was none"},
        400: OAUTH_ERRORS[400],
        503: OAUTH_ERRORS[503],
    },
    openapi_extra=REVOKE_BODY,
)
async def revoke_token(request: Request, session: UncheckedWriteTransaction) -> Response:
    """End the session of the refresh token (RFC 7009). An unknown token is not an error.

    An access token cannot be revoked; it expires within 15 minutes.
    """
    try:
        await sessions.end_by_token(session, _revocable(await _form(request)))
    except OAuthRefusal as refused:
        return _refusal(refused)
    return Response(headers=NO_STORE)


@router.get("/methods", summary="Available sign-in methods")
async def get_sign_in_methods(service: ServiceDep) -> SignInMethods:
    """Return how people sign in: the front end's own form, the region's OIDC issuer, or both."""
    config = service.settings
    external = None
    if config.oidc_issuer is not None and config.oidc_audience is not None:
        external = ExternalIssuer(
            issuer=config.oidc_issuer, audience=config.oidc_audience, client_id=config.oidc_client_id
        )
    return SignInMethods(password=config.password_sign_in, external=external)


@well_known_router.get("/jwks.json", summary="Keys that verify access tokens")
async def get_signing_keys(service: ServiceDep, response: Response) -> JsonWebKeySet:
    """Return the public keys (RFC 7517) of the issuer; the `kid` header of a token names its key."""
    response.headers["Cache-Control"] = "public, max-age=300"
    return JsonWebKeySet.model_validate(service.people_keys.current().as_dict(private=False))
