"""Problem documents for errors of the gateway itself: Traefik requests them from this service."""

from typing import ClassVar
from urllib.parse import urlsplit

from fastapi.responses import HTMLResponse, JSONResponse

from shared.contracts.values import MAX_ATTACHMENT_BYTES
from shared.http import problems

# The statuses that Traefik itself responds with (`error-pages` in `services/gateway/traefik/dynamic.yml`).
STATUSES = (413, 502, 503, 504)
ATTACHMENTS_PATH = "/api/v1/attachments"


class BadGateway(problems.Problem):
    """A service did not respond; it is not known whether the service carried out the request."""

    status: ClassVar[int] = 502
    slug: ClassVar[str] = "bad-gateway"
    title: ClassVar[str] = "Bad gateway"


class GatewayTimeout(problems.Problem):
    """A service took too long; it is not known whether the service carried out the request."""

    status: ClassVar[int] = 504
    slug: ClassVar[str] = "gateway-timeout"
    title: ClassVar[str] = "A service took too long"


# The console has its own error pages. The gateway shows this one while the console does not answer, and for a body
# that is too large (413).
_PAGE = """<!doctype html>
<html lang="ru"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} — Госпаблик</title>{refresh}</head>
<body><h1>{title}</h1><p>{text}</p><p><a href="/">На главную</a></p></body></html>
"""
_TOO_LARGE = ("Слишком большой файл", "Файл больше, чем принимает система. Вернитесь и выберите другой.")
_NO_ANSWER = (
    "Система не отвечает",
    "Страница откроется сама, как только система ответит. Если вы что-то меняли, проверьте, сохранилось ли это.",
)
_REFRESH = '<meta http-equiv="refresh" content="5">'


def error_page_for_people(status: int) -> HTMLResponse:
    """Return an error page for browsers, for one of `STATUSES`.

    It reloads itself until the console answers, except for status 413.
    """
    title, text = _TOO_LARGE if status == 413 else _NO_ANSWER
    refresh = "" if status == 413 else _REFRESH
    return HTMLResponse(_PAGE.format(title=title, text=text, refresh=refresh), status_code=status)


def error_page(status: int, url: str, *, body_bytes: int) -> JSONResponse:
    """Return the problem document of one of `STATUSES`."""
    instance = _instance(url)
    return _problem(status, body_bytes, instance).response(instance)


def _problem(status: int, body_bytes: int, path: str) -> problems.Problem:
    match status:
        case 413:
            limit = f"larger than the service or the gateway ({body_bytes} bytes) allows"
            if path == ATTACHMENTS_PATH:
                limit = f"too large: an attachment has at most {MAX_ATTACHMENT_BYTES} bytes"
            return problems.TooLarge(f"The request body is {limit}")
        case 502:
            return BadGateway("The service did not answer; a read request may be repeated at once")
        case 503:
            return problems.Unavailable("The service is temporarily unavailable", headers={"Retry-After": "2"})
        case _:
            return GatewayTimeout("The service did not answer in time; check whether the change was made")


def _instance(url: str) -> str:
    try:
        path = urlsplit(url).path or "/"
    except ValueError:  # for example an incomplete IPv6 address
        return "/"
    # The rest of a callback's path is a secret.
    return "/callbacks" if path.startswith("/callbacks") else path
