"""The sign-in form, and the start of a session."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from services.console.browser_sessions.session_store import LIFETIME, SESSION_COOKIE
from services.console.browser_sessions.token_endpoint import EndpointUnavailable, TokenIssuer, Tokens
from services.console.site.rendering import render
from services.console.site.site import get_site
from shared.database.outages import is_outage
from shared.logs import get_logger

log = get_logger(__name__)


async def sign_in_form(
    request: Request, *, username: str = "", error: str | None = None, back: str = "/", status: int = 200
) -> HTMLResponse:
    """Return the form with the sign-in methods of the installation."""
    methods = await get_site(request).token_endpoint.methods()
    html = render(
        "sign_in/sign_in.html",
        layout="bare.html",
        username=username,
        error=error,
        back=back,
        methods=methods,
    )
    return HTMLResponse(html, status_code=status)


async def session_started(request: Request, person_id: UUID, tokens: Tokens, back: str) -> Response:
    """Start a session in this browser, end its former session, and redirect to `back`."""
    site = get_site(request)
    secret = await site.sessions.start(person_id, tokens)
    if former := request.cookies.get(SESSION_COOKIE):
        try:
            await site.sessions.end(former)
        except Exception as error:
            if not isinstance(error, EndpointUnavailable) and not is_outage(error):
                raise
            log.warning("former session not ended", reason=repr(error)[:300])
    response = RedirectResponse(back, status_code=303)
    response.set_cookie(
        SESSION_COOKIE, secret, max_age=int(LIFETIME.total_seconds()), secure=True, httponly=True, samesite="lax"
    )
    return response


@asynccontextmanager
async def revoked_on_failure(issuer: TokenIssuer, tokens: Tokens) -> AsyncIterator[None]:
    """Revoke the tokens if the block fails: without a stored session nobody could revoke them later."""
    try:
        yield
    except BaseException:
        try:
            await issuer.revoke(tokens)
        except EndpointUnavailable as error:
            log.warning("tokens not revoked", reason=str(error)[:300])
        raise
