"""Problem documents for errors of the gateway itself: Traefik requests them from this service."""

from typing import ClassVar
from urllib.parse import urlsplit

from fastapi.responses import JSONResponse

from shared.contracts.values import MAX_ATTACHMENT_BYTES
from shared.http import problems

ATTACHMENTS_PATH = "/api/v1/attachments"


class GatewayTimeout(problems.Problem):
    """A service took too long; it is not known whether it carried out the request."""

    status: ClassVar[int] = 504
    slug: ClassVar[str] = "gateway-timeout"
    title: ClassVar[str] = "A service took too long"


def error_page(status: int, url: str, *, body_bytes: int) -> JSONResponse:
    """Return the problem document of an error status that Traefik produced itself."""
    instance = _instance(url)
    return _problem(status, body_bytes, instance).response(instance)


def _problem(status: int, body_bytes: int, path: str) -> problems.Problem:
    match status:
        case 413:
            limit = f"larger than the service or the gateway ({body_bytes} bytes) allows"
            if path == ATTACHMENTS_PATH:
                limit = f"too large: an attachment has at most {MAX_ATTACHMENT_BYTES} bytes"
            return problems.TooLarge(f"The request body is {limit}")
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
