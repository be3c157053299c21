"""Checks before a request's body is read: the origin of the request, and who may send a large body."""

from collections.abc import Mapping

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from services.console.api_calls.browser_headers import name_browser_of
from services.console.browser_sessions.session_store import SESSION_COOKIE
from services.console.site.error_pages import FOREIGN, error_page, to_sign_in
from shared.auth.session_cookies import require_same_origin
from shared.fair_queue import FairQueue, QueueFull
from shared.http.body_limit import METHODS_WITHOUT_BODY, PathLimits
from shared.http.problems import Forbidden

# The default limit in bytes, for forms without files.
BODY_LIMIT = 128 * 1024
# How many large bodies are received at once: each is held in memory as a whole.
LARGE_AT_ONCE = 4
_MAX_WAITING = 64
_BUSY = "Сейчас загружается слишком много файлов. Вернитесь назад и повторите через минуту."


class BodyRules:
    """ASGI middleware: changes are accepted only from pages of this origin, large bodies only from signed-in
    people.
    """

    def __init__(self, app: ASGIApp, limits: Mapping[str, int]) -> None:
        """`limits` are the body limits by path, in bytes; other paths have `BODY_LIMIT`."""
        self.app = app
        self._limits = PathLimits(limits)
        self._large = FairQueue(concurrency=LARGE_AT_ONCE, max_waiting=_MAX_WAITING)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse foreign and signed-out requests before reading their body; limit how many large bodies are read
        at once.
        """
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        name_browser_of(request)
        if request.method in METHODS_WITHOUT_BODY:  # the routes check their origin
            await self.app(scope, receive, send)
            return
        try:
            require_same_origin(request)
        except Forbidden:
            await error_page(request, 403, FOREIGN)(scope, receive, send)
            return
        if not self._limits.allow_more(scope, BODY_LIMIT):
            await self.app(scope, receive, send)
        elif (session := request.cookies.get(SESSION_COOKIE)) is None:
            await to_sign_in(request)(scope, receive, send)
        else:
            try:
                async with self._large.slot(session, "", priority=False):
                    await self.app(scope, receive, send)
            except QueueFull:
                await error_page(request, 503, _BUSY)(scope, receive, send)
