"""Problem documents for what the gateway itself refuses: Traefik asks for them here."""

from typing import ClassVar
from urllib.parse import urlsplit

from fastapi.responses import JSONResponse

from shared.http import problems


class GatewayTimeout(problems.Problem):
    """A service took too long; whether it carried the request out is not known."""

    status: ClassVar[int] = 504
    slug: ClassVar[str] = "gateway-timeout"
    title: ClassVar[str] = "A service took too long"


def error_page(status: int, url: str, *, body_bytes: int) -> JSONResponse:
    """The problem document of a status that Traefik answered by itself."""
    return _problem(status, body_bytes).response(_instance(url))


def _problem(status: int, body_bytes: int) -> problems.Problem:
    match status:
        case 413:
            return problems.TooLarge(
                f"The body is larger than the service or the gateway ({body_bytes} bytes) takes"
            )
        case 429:
            return problems.TooManyRequests("Too many attempts to sign in", headers={"Retry-After": "1"})
        case 502:
            return problems.UpstreamFailed("The service did not answer; a read may be repeated at once")
        case 503:
            return problems.Unavailable("The service does not answer for the moment", headers={"Retry-After": "2"})
        case 504:
            return GatewayTimeout("The service did not answer in time; see whether the change was made")
        case _:
            return problems.NotFound("There is nothing here")


def _instance(url: str) -> str:
    path = urlsplit(url).path or "/"
    # The rest of a callback's path is a secret.
    return "/callbacks" if path.startswith("/callbacks") else path
