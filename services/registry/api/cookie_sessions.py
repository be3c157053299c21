"""Routes of cookie sessions: sign-in for a front end that is served from the gateway's own origin.

The tokens are the same as those of `POST /auth/token`, but in cookies that scripts cannot read.
"""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from services.registry.api.auth import client_info, token_issuer
from services.registry.authentication import session_refresh, sessions, sign_in
from services.registry.authentication.token_issuer import (
    ACCESS_TOKEN_LIFETIME,
    IssuedTokens,
    OAuthRefusal,
    TokenIssuer,
)
from services.registry.schemas.auth import CookieSession, PasswordSignIn
from shared.auth import session_cookies
from shared.http.client_address import client_address
from shared.http.problems import (
    BadRequest,
    Forbidden,
    Invalid,
    Problem,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
    responses,
)
from shared.service import ServiceDep, UncheckedWriteTransaction

PATH = "/api/v1/auth/session"
router = APIRouter(
    prefix="/auth/session",
    tags=["sign-in"],
    dependencies=[Depends(session_cookies.same_origin)],
    responses=responses(Forbidden, Unavailable),
)
Issuer = Annotated[TokenIssuer, Depends(token_issuer)]


def _problem(refused: OAuthRefusal) -> Problem:
    if refused.retry_after is not None:
        return TooManyRequests(refused.description, headers={"Retry-After": str(refused.retry_after)})
    return Unauthenticated(refused.description)


def _require_password_sign_in(issuer: TokenIssuer) -> None:
    if not issuer.password_sign_in:
        raise Forbidden("People sign in at the region's OIDC issuer: see GET /auth/methods")


def _signed_in(response: Response, issued: IssuedTokens) -> CookieSession:
    if issued.refresh_token is None:
        raise RuntimeError("the sign-in of a person returned no refresh token")
    session_cookies.set_session_cookies(
        response,
        issued.access_token,
        ACCESS_TOKEN_LIFETIME,
        issued.refresh_token,
        sessions.REFRESH_TOKEN_LIFETIME,
    )
    return CookieSession(
        expires_in=int(ACCESS_TOKEN_LIFETIME.total_seconds()),
        refresh_expires_in=int(sessions.REFRESH_TOKEN_LIFETIME.total_seconds()),
    )


# A refusal is returned, not raised, so that the request's transaction commits the counted failure or the revoked
# session.
@router.post(
    "",
    summary="Sign in with cookies",
    response_model=CookieSession,
    responses=responses(BadRequest, Unauthenticated, TooManyRequests, Invalid),
)
async def create_cookie_session(
    *,
    body: PasswordSignIn,
    request: Request,
    response: Response,
    service: ServiceDep,
    session: UncheckedWriteTransaction,
    issuer: Issuer,
) -> CookieSession | Response:
    """Sign a person in by password and set the session's cookies.

    For a front end of the same origin; other front ends use `POST /auth/token`. The browser sends the cookies with
    each request, so no `Authorization` header is needed. Wrong passwords are throttled as at `POST /auth/token`.
    """
    _require_password_sign_in(issuer)
    former = request.cookies.get(session_cookies.REFRESH_COOKIE)
    try:
        # `session` takes a connection at its first statement, so none is held during the slow check.
        checked = await sign_in.check_password(
            service.database, issuer, body.username, body.password, client_address(request)
        )
        if former and checked.matches and checked.person_id is not None:
            await sessions.lock_for_replacement(session, checked.person_id, former)
        issued = await sign_in.sign_in_person(session, issuer, checked, client_info(request))
    except OAuthRefusal as refused:
        return _problem(refused).response(request.url.path)
    if former:
        # The response replaces the old session's cookies, so a later sign-out would not end that session.
        await sessions.end_by_token(session, former)
    return _signed_in(response, issued)


@router.post(
    "/refresh",
    summary="Continue the cookie session",
    response_model=CookieSession,
    responses=responses(Unauthenticated),
)
async def refresh_cookie_session(
    request: Request, response: Response, session: UncheckedWriteTransaction, issuer: Issuer
) -> CookieSession | Response:
    """Replace both cookies, before or after the access token has expired.

    Two tabs may do this at once: within 30 seconds both get the same successor. 401 means that the session has
    ended: sign in again.
    """
    _require_password_sign_in(issuer)
    refresh_token = request.cookies.get(session_cookies.REFRESH_COOKIE)
    if not refresh_token:
        raise Unauthenticated(f"The cookie «{session_cookies.REFRESH_COOKIE}» is missing")
    try:
        issued = await session_refresh.refresh_session(session, issuer, refresh_token, client_info(request))
    except OAuthRefusal as refused:
        # Keep the cookies: another tab may have signed in since this request was sent.
        return _problem(refused).response(request.url.path)
    return _signed_in(response, issued)


@router.delete("", summary="Sign out", status_code=204)
async def end_cookie_session(request: Request, response: Response, session: UncheckedWriteTransaction) -> None:
    """End the session and delete its cookies. A request without a session is not an error."""
    if refresh_token := request.cookies.get(session_cookies.REFRESH_COOKIE):
        await sessions.end_by_token(session, refresh_token)
    session_cookies.delete_session_cookies(response)
