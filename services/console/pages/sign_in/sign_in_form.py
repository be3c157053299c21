"""The form of the sign-in, and the start of a session."""

from uuid import UUID

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from services.console.browser_sessions.session_store import LIFETIME, SESSION_COOKIE
from services.console.browser_sessions.token_endpoint import Tokens
from services.console.site.rendering import render
from services.console.site.site import get_site


async def sign_in_form(
    request: Request, *, username: str = "", error: str | None = None, back: str = "/", status: int = 200
) -> HTMLResponse:
    """Return the form, with the ways to sign in that the region has."""
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
    """Start a session in this browser in place of a former one, and lead to a path."""
    site = get_site(request)
    if former := request.cookies.get(SESSION_COOKIE):
        await site.sessions.end(former)
    secret = await site.sessions.start(person_id, tokens)
    response = RedirectResponse(back, status_code=303)
    response.set_cookie(
        SESSION_COOKIE, secret, max_age=int(LIFETIME.total_seconds()), secure=True, httponly=True, samesite="lax"
    )
    return response
