"""Sign in and sign out."""

import base64
import json
from typing import Annotated
from uuid import UUID

from fastapi import Form, Request
from fastapi.responses import RedirectResponse, Response

from services.console.browser_sessions.session_store import SESSION_COOKIE
from services.console.browser_sessions.token_endpoint import EndpointUnavailable, SignInRefused, Tokens
from services.console.pages.sign_in import issuer_sign_in
from services.console.pages.sign_in.sign_in_form import revoked_on_failure, session_started, sign_in_form
from services.console.site.page import Page, page_router
from services.console.site.return_addresses import return_address
from services.console.site.site import get_site
from shared.logs import get_logger
from shared.russian import plural

router = page_router()
router.include_router(issuer_sign_in.router)
# The limits are small because anybody may send these forms, and parsing takes time.
PAGE = Page(router, body_limits={"/sign-in": 16 * 1024, "/sign-out": 1024})
log = get_logger(__name__)
_WRONG = "Имя или пароль не подходят. Проверьте раскладку клавиатуры и Caps Lock."
_BUSY = "Сейчас входит слишком много людей. Повторите через несколько секунд."
_EMPTY = "Введите имя и пароль."


@router.get("/sign-in")
async def show_sign_in(request: Request, next: str = "/") -> Response:
    """Show the sign-in form."""
    return await sign_in_form(request, back=return_address(next))


@router.post("/sign-in")
async def sign_in(
    request: Request,
    username: Annotated[str, Form(max_length=200)] = "",
    password: Annotated[str, Form(max_length=1000)] = "",
    next: Annotated[str, Form()] = "/",
) -> Response:
    """Start a session and redirect to the page that the person asked for."""
    site = get_site(request)
    back = return_address(next)
    if not username.strip() or not password:
        return await sign_in_form(request, username=username, error=_EMPTY, back=back, status=422)
    if site.passwords.locked():
        return await sign_in_form(request, username=username, error=_BUSY, back=back, status=429)
    try:
        async with site.passwords:
            tokens = await site.token_endpoint.sign_in(username.strip(), password)
    except SignInRefused as refused:
        return await sign_in_form(
            request, username=username, error=_reason(refused), back=back, status=_status(refused)
        )
    async with revoked_on_failure(site.token_endpoint, tokens):
        return await session_started(request, _person(tokens), tokens, back)


@router.post("/sign-out")
async def sign_out(request: Request) -> Response:
    """End the session if there is one, and redirect to the sign-in form."""
    site = get_site(request)
    if secret := request.cookies.get(SESSION_COOKIE):
        try:
            await site.sessions.end(secret)
        except EndpointUnavailable as error:  # the console's session is deleted, and its tokens with it
            log.warning("tokens not revoked", reason=str(error)[:300])
    response = RedirectResponse("/sign-in", status_code=303)
    response.delete_cookie(SESSION_COOKIE, secure=True, httponly=True, samesite="lax")
    # Remove citizens' data from the browser's cache and storage.
    response.headers["Clear-Site-Data"] = '"cache", "storage"'
    return response


def _status(refused: SignInRefused) -> int:
    return 429 if refused.is_throttled else 422


def _reason(refused: SignInRefused) -> str:
    if not refused.is_throttled:
        return _WRONG
    seconds = refused.retry_after or 30
    return f"Слишком много попыток. Повторите через {seconds} {plural(seconds, ('секунду', 'секунды', 'секунд'))}."


def _person(tokens: Tokens) -> UUID:
    """Return the person's id from an access token that the API has just issued, so its signature is not verified
    here.
    """
    payload = tokens.access.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return UUID(claims["sub"])
