"""Calls of the public API through the gateway, with a person's access token."""

import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import aiohttp
from structlog.contextvars import get_contextvars

from services.console.api_calls.browser_headers import browser_headers
from shared.logs import get_logger

log = get_logger(__name__)

PREFIX = "/api/v1"
# A parameter with several values is repeated; None is left out.
Parameters = Mapping[str, str | int | bool | Sequence[str] | None]
# A file may take longer than a page, but must not hold its connection forever.
FILE_TIMEOUT = aiohttp.ClientTimeout(total=600, connect=5, sock_read=120)
# Characters that would lead to another path, or begin a query.
_NO_PATH = re.compile(r"\.\.|[?#%\\\x00-\x1f\x7f]")
# An author's key gives access to everything that the citizen wrote: it is kept out of the log.
_AUTHOR = re.compile(r"^/authors/[^/]+")
# Takes the token that the API refused (None at first); returns the token to use now, or None without a session.
TokenSource = Callable[[str | None], Awaitable[str | None]]


class ApiUnavailable(Exception):  # noqa: N818
    """The gateway gave no usable response: a change may or may not have been made."""


class SignedOut(Exception):  # noqa: N818
    """The person has no session, or the session has ended."""


class NoSuchPath(ValueError):  # noqa: N818
    """A part of the path would lead to another path of the API."""


class ApiProblem(Exception):  # noqa: N818
    """The API refused a call and returned a problem document."""

    def __init__(self, status: int, document: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        super().__init__(f"{status}: {document.get('detail', '')}")
        self.status = status
        self.slug = str(document.get("type", "")).rpartition("/")[2]
        self.document = document
        self.request_id = headers.get("X-Request-Id")
        self.retry_after = headers.get("Retry-After")

    @property
    def fields(self) -> dict[str, str]:
        """Return the detail of each wrong field, by its JSON pointer or `query/name`."""
        return {str(error["pointer"]): str(error["detail"]) for error in self.document.get("errors") or ()}

    @property
    def texts(self) -> dict[str, str]:
        """Return the Russian explanation of each wrong field (`text`), by the pointers of `fields`; fields without
        one are left out.
        """
        errors = self.document.get("errors") or ()
        return {str(error["pointer"]): str(error["text"]) for error in errors if error.get("text")}


@dataclass(frozen=True)
class Answer:
    """A successful response: its JSON document (None if the body is empty) and its headers."""

    status: int
    data: Any
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """Return the ETag, as `If-Match` expects it."""
        return self.headers.get("ETag", "")


@dataclass(frozen=True)
class Content:
    """A request body that is a file."""

    media_type: str
    data: bytes


class Api:
    """The public API, called with one person's access token."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        files: aiohttp.ClientSession,
        gateway: str,
        token: TokenSource,
        *,
        timeout_seconds: float,
        page: str,
    ) -> None:
        """`files` is the HTTP session for files. `page` is the route that makes the calls, for the log."""
        self._http = http
        self._files = files
        self._gateway = gateway.rstrip("/")
        self._token = token
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds, connect=5)
        self._page = page

    async def get(self, path: str, parameters: Parameters | None = None) -> Any:
        """Return the document at `path`, which does not include `/api/v1`.

        Raises `ApiProblem` if the API refuses the call, `ApiUnavailable` if it does not respond, `SignedOut`
        without a session.
        """
        return (await self.send("GET", path, parameters=parameters)).data

    async def get_all(self, path: str, parameters: Parameters | None = None, *, pages: int = 5) -> list[Any]:
        """Return all items of a list that is known to be short: at most `pages` pages of 200 items are read."""
        items: list[Any] = []
        cursor: str | None = None
        for _ in range(pages):
            found = await self.get(path, {**(parameters or {}), "limit": 200, "cursor": cursor})
            items += found["items"]
            if (cursor := found["next_cursor"]) is None:
                break
        return items

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        parameters: Parameters | None = None,
        version: str | int | None = None,
        key: str | None = None,
        form: aiohttp.FormData | None = None,
        content: Content | None = None,
        timeout_seconds: float = 0,
    ) -> Answer:
        """Send one request and return its response.

        `version`, an ETag or a number, is sent as `If-Match`, `key` as the idempotency key; `body` is sent as
        JSON, `form` or `content` unchanged. `timeout_seconds` is for a call that takes longer than others.
        A request is repeated only after the API refused its token: the refused request has changed nothing.
        """
        async with self.opened(
            method,
            path,
            body,
            parameters=parameters,
            version=version,
            key=key,
            form=form,
            content=content,
            timeout_seconds=timeout_seconds,
        ) as response:
            received = await response.read()
            if not received:
                return Answer(response.status, None, response.headers)
            return Answer(response.status, await response.json(content_type=None), response.headers)

    @asynccontextmanager
    async def opened(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        parameters: Parameters | None = None,
        version: str | int | None = None,
        key: str | None = None,
        form: aiohttp.FormData | None = None,
        content: Content | None = None,
        is_file: bool = False,
        timeout_seconds: float = 0,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send one request as `send` does and yield the response itself.

        With `is_file` the request has a longer timeout and a connection from a separate pool, so that pages do not
        wait for it. Raises `NoSuchPath` too, if a part of `path` would lead to another path.
        """
        if _NO_PATH.search(path):
            raise NoSuchPath(path)
        http, timeout = (self._files, FILE_TIMEOUT) if is_file else (self._http, self._timeout)
        if timeout_seconds > (timeout.total or 0):
            timeout = aiohttp.ClientTimeout(total=timeout_seconds, connect=5)
        headers = _headers(version, key, content)
        refused: str | None = None
        for last in (False, True):
            if (token := await self._token(refused)) is None:
                raise SignedOut
            started = time.perf_counter()
            try:
                async with http.request(
                    method,
                    f"{self._gateway}{PREFIX}{path}",
                    params=_pairs(parameters or {}),
                    json=body,
                    data=BytesIO(content.data) if content else form,
                    headers=headers | {"Authorization": f"Bearer {token}"},
                    timeout=timeout,
                    allow_redirects=False,
                ) as response:
                    self._log(method, path, parameters or {}, response.status, time.perf_counter() - started)
                    if response.status == 401 and not last and form is None:
                        refused = token
                        continue
                    if response.status >= 400:
                        raise await _problem(response)
                    yield response
                    return
            except (aiohttp.ClientError, TimeoutError) as error:
                raise ApiUnavailable(f"{method} {_AUTHOR.sub('/authors/…', path)}: {error!r}") from error
        raise SignedOut

    def _log(self, method: str, path: str, parameters: Parameters, status: int, seconds: float) -> None:
        # Only the names of parameters: the values may be texts of citizens.
        names = sorted(name for name, value in parameters.items() if value not in (None, ""))
        ms = round(seconds * 1000, 1)
        shown = _AUTHOR.sub("/authors/…", path)
        log.info("api call", page=self._page, method=method, path=shown, parameters=names, status=status, ms=ms)


async def _problem(response: aiohttp.ClientResponse) -> Exception:
    if response.status == 401:
        return SignedOut()
    try:
        document = await response.json(content_type=None)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        return ApiUnavailable(f"the API responded with status {response.status} without a problem document")
    return ApiProblem(response.status, document, response.headers)


def _headers(version: str | int | None, key: str | None, content: Content | None) -> dict[str, str]:
    given = {
        "If-Match": _etag(version),
        "Idempotency-Key": key,
        "Content-Type": content.media_type if content else None,
        "X-Request-Id": get_contextvars().get("request_id"),
    }
    return {"Accept-Encoding": "gzip", **browser_headers()} | {
        name: value for name, value in given.items() if value
    }


def _etag(version: str | int | None) -> str | None:
    # 0 is a valid version: a message without a classification has it.
    if version in (None, ""):
        return None
    text = str(version)
    return f'"{text}"' if text.isdigit() else text


def _pairs(parameters: Parameters) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, value in parameters.items():
        if value is None or value == "":
            continue
        if isinstance(value, bool):
            found.append((name, "true" if value else "false"))
        elif isinstance(value, str | int):
            found.append((name, str(value)))
        else:
            found += [(name, item) for item in value]
    return found
