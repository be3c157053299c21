"""Headers that identify the browser in API calls, so that rate limits and sessions see its address and name."""

from collections.abc import Mapping
from contextvars import ContextVar

from fastapi import Request

from shared.http.client_address import client_address

_LONGEST_NAME = 300
_of_request: ContextVar[Mapping[str, str] | None] = ContextVar("browser_headers", default=None)


def browser_headers() -> Mapping[str, str]:
    """Return the headers that identify the browser whose request is being answered; empty outside a request."""
    return _of_request.get() or {}


def name_browser_of(request: Request) -> None:
    """Identify the browser that sent `request` in all API calls made while the request is answered."""
    user_agent = request.headers.get("user-agent", "")
    named = {
        "X-Real-Ip": client_address(request) or "",
        "User-Agent": "".join(one for one in user_agent if " " <= one <= "~")[:_LONGEST_NAME],
    }
    _of_request.set({name: value for name, value in named.items() if value})
