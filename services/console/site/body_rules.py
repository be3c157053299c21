"""Checks before a request's body is read: the origin of the request, and who may send a large body."""

from collections.abc import Awaitable, Callable, Mapping

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from services.console.api_calls.browser_headers import name_browser_of
from services.console.browser_sessions.session_store import SESSION_COOKIE
from services.console.site.error_pages import FOREIGN, error_page, to_sign_in
from shared.auth.session_cookies import require_same_origin
from shared.database.outages import is_outage
from shared.fair_queue import FairQueue, QueueFull
from shared.http.body_limit import METHODS_WITHOUT_BODY, PathLimits
from shared.http.client_address import client_address, counted_address
from shared.http.problems import Forbidden

# The default limit in bytes, for forms without files.
BODY_LIMIT = 128 * 1024
# How many large bodies are received at once: each is held in memory as a whole.
LARGE_AT_ONCE = 4
# The same for senders whose session has ended or was made up, who do not wait in the queue of the others.
LARGE_AT_ONCE_WITHOUT_SESSION = 1
_MAX_WAITING = 64
_BUSY = "Сейчас загружается слишком много файлов. Вернитесь назад и повторите через минуту."


class BodyRules:
    """ASGI middleware: changes are accepted only from pages of this origin, large bodies only with the cookie of a
    session. If that session has ended, the body is still read, so that the form can be kept for after the sign-in.
    """

    def __init__(
        self, app: ASGIApp, limits: Mapping[str, int], session_exists: Callable[[Request, str], Awaitable[bool]]
    ) -> None:
        """`limits` are the body limits by path, in bytes; other paths have `BODY_LIMIT`. `session_exists` returns
        whether there is a session with this secret.
        """
        self.app = app
        self._limits = PathLimits(limits)
        self._session_exists = session_exists
        self._large = FairQueue(concurrency=LARGE_AT_ONCE, max_waiting=_MAX_WAITING)
        self._without_session = FairQueue(concurrency=LARGE_AT_ONCE_WITHOUT_SESSION, max_waiting=_MAX_WAITING)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse requests from other origins, and large ones without a session cookie, before reading their body;
        limit how many large bodies are read at once.
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
        elif (secret := request.cookies.get(SESSION_COOKIE)) is None:
            await to_sign_in(request)(scope, receive, send)
        else:
            queue, sender = self._large, secret
            if not await self._is_session(request, secret):
                queue, sender = self._without_session, counted_address(client_address(request))
            try:
                async with queue.slot(sender, "", priority=False):
                    await self.app(scope, receive, send)
            except QueueFull:
                await error_page(request, 503, _BUSY)(scope, receive, send)

    async def _is_session(self, request: Request, secret: str) -> bool:
        try:
            return await self._session_exists(request, secret)
        except Exception as error:
            if not is_outage(error):
                raise
            return False
