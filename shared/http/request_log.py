"""Middleware for every request: request id, access log line, metrics and security headers."""

import re
import time
from collections.abc import Sequence

from prometheus_client import Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from shared import security_log
from shared.ids import new_id
from shared.logs import get_logger
from shared.masking.identifiers import mask_identifiers

log = get_logger(__name__)

REQUESTS = Histogram(
    "gospablik_http_request_duration_seconds", "Duration of requests", ["service", "method", "route", "status"]
)
Headers = Sequence[tuple[bytes, bytes]]

NOSNIFF: Headers = ((b"x-content-type-options", b"nosniff"),)
# Responses may contain personal data of the caller: no cache may store them.
API_HEADERS: Headers = (*NOSNIFF, (b"cache-control", b"no-store"))
# The ASGI scope key for the log context of the caller: `actor`, `on_behalf_of`, `ip_address`.
WHO = "gospablik.who"
_REFUSALS = (401, 403, 429)
_ID = re.compile(r"[A-Za-z0-9._~:/+=@-]{1,64}")
# The ASGI scope key under which a dependency stores headers to add to the response.
ANSWER_HEADERS = "gospablik.answer_headers"
# Paths that monitoring requests every few seconds; they are not logged.
_QUIET = ("/health/", "/metrics")


def request_id(given: str) -> str:
    """Return the request id given by the caller, or a new one if the given one is not safe to log."""
    fits = _ID.fullmatch(given) is not None and mask_identifiers(given) == given
    return given if fits else str(new_id())


class Observe:
    """Assigns each request an id for all its log lines, measures it, and writes its access log line.

    `defaults` are headers added to responses that do not set them.
    """

    def __init__(self, app: ASGIApp, service: str, defaults: Headers) -> None:
        self.app = app
        self.service = service
        self.defaults = defaults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        identity = request_id(dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1"))
        started = time.perf_counter()
        status = 500

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message["headers"], (b"x-request-id", identity.encode())]
                set_already = {name.lower() for name, _ in headers}
                headers += [(name, value) for name, value in self.defaults if name not in set_already]
                headers += scope.get(ANSWER_HEADERS, ())
                message["headers"] = headers
            await send(message)

        with bound_contextvars(request_id=identity):
            try:
                await self.app(scope, receive, observed)
            finally:
                self._log(scope, status, time.perf_counter() - started)

    def _log(self, scope: Scope, status: int, seconds: float) -> None:
        # The route, not the path: some paths and queries contain secrets.
        route = getattr(scope.get("route"), "path", "unknown")
        who = {name: value for name, value in scope.get(WHO, {}).items() if value is not None}
        REQUESTS.labels(self.service, scope["method"], route, status).observe(seconds)
        if status in _REFUSALS:
            security_log.log_security_event(
                "request_refused", status=status, method=scope["method"], route=route, **who
            )
        if not route.startswith(_QUIET):
            ms = round(seconds * 1000, 1)
            log.info("request", method=scope["method"], route=route, status=status, ms=ms, **who)
