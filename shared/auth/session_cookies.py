"""Cookies of a front end that is served from the gateway's own origin, and the check that a request comes from it.

A browser sends cookies with requests from any site, so a request authenticated by cookies must prove that a page
of this origin sent it: by `Sec-Fetch-Site`, which scripts cannot set, or, in older browsers, by `Origin`.
"""

from datetime import timedelta
from typing import Literal

from fastapi import Request, Response

from shared.http.problems import Forbidden

# Browsers accept a name with `__Host-` only from this host, with `Secure` and for all paths, so another host of
# the domain cannot replace the session.
ACCESS_COOKIE = "__Host-gospablik-access"
REFRESH_COOKIE = "__Host-gospablik-refresh"
_READS = ("GET", "HEAD")


def require_same_origin(request: Request) -> None:
    """Raise `Forbidden` unless a page of this origin sent the request, or a person opened its address."""
    fetch_site = request.headers.get("sec-fetch-site")
    reads = request.method in _READS
    if fetch_site is not None:
        opened = reads and (fetch_site == "none" or request.headers.get("sec-fetch-mode") == "navigate")
        allowed = fetch_site == "same-origin" or opened
    elif (origin := request.headers.get("origin")) is not None:
        # Without the scheme: TLS may end before this server.
        allowed = origin.partition("://")[2] == request.headers.get("host")
    else:
        # Every browser sends `Origin` with a request that changes data.
        allowed = reads
    if not allowed:
        raise Forbidden(
            "A cookie session may be used only by pages of this origin: other origins send the header "
            "«Authorization: Bearer …»"
        )


async def same_origin(request: Request) -> None:
    """Check as `require_same_origin` does. As a dependency, FastAPI would run that function in a thread."""
    require_same_origin(request)


def set_session_cookies(
    response: Response,
    access_token: str,
    access_lifetime: timedelta,
    refresh_token: str,
    refresh_lifetime: timedelta,
) -> None:
    """Set both cookies; scripts cannot read them, and each expires with its token."""
    cookies: tuple[tuple[str, str, timedelta, Literal["lax", "strict"]], ...] = (
        (ACCESS_COOKIE, access_token, access_lifetime, "lax"),
        (REFRESH_COOKIE, refresh_token, refresh_lifetime, "strict"),
    )
    for name, token, lifetime, same_site in cookies:
        seconds = int(lifetime.total_seconds())
        response.set_cookie(name, token, max_age=seconds, secure=True, httponly=True, samesite=same_site)


def delete_session_cookies(response: Response) -> None:
    """Delete both cookies."""
    response.delete_cookie(ACCESS_COOKIE, secure=True, httponly=True, samesite="lax")
    response.delete_cookie(REFRESH_COOKIE, secure=True, httponly=True, samesite="strict")
