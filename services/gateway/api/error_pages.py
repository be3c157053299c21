"""Problem documents for errors of the gateway itself: Traefik requests them from this service."""

from typing import ClassVar
from urllib.parse import urlsplit

from fastapi.responses import JSONResponse

from shared.http import problems


class GatewayTimeout(problems.Problem):
    """A service took too long; it is not known whether it carried out the request."""

    status: ClassVar[int] = 504
    slug: ClassVar[str] = "gateway-timeout"
    title: ClassVar[str] = "A service took too long"


def error_page(status: int, url: str, *, body_bytes: int) -> JSONResponse:
    """Return the problem document of an error status that Traefik produced itself."""
    return _problem(status, body_bytes).response(_instance(url))


def _problem(status: int, body_bytes: int) -> problems.Problem:
    match status:
        case 413:
            return problems.TooLarge(
                f"The request body is larger than the service or the gateway ({body_bytes} bytes) allows"
            )
        case 429:
            return problems.TooManyRequests("Too many sign-in attempts", headers={"Retry-After": "1"})
        case 502:
            return problems.UpstreamFailed("The service did not answer; a read request may be repeated at once")
        case 503:
            return problems.Unavailable("The service is temporarily unavailable", headers={"Retry-After": "2"})
        case 504:
            return GatewayTimeout("The service did not answer in time; check whether the change was made")
        case _:
            return problems.NotFound("No such path")


def _instance(url: str) -> str:
    path = urlsplit(url).path or "/"
    # The rest of a callback's path is a secret.
    return "/callbacks" if path.startswith("/callbacks") else path
