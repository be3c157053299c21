"""API client for the commands: signs in, retries after a lost connection, explains errors."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import aiohttp
import stamina

from shared.http.client_tls import tls_trusting

LOOPBACK = {"127.0.0.1", "localhost", "::1"}
DEMO_PASSWORD = "demo"  # noqa: S105 — the documented password of the embedded run
RETRY_SECONDS = 120.0
RETRYABLE_STATUSES = {502, 503, 504}
REQUEST_IN_PROGRESS = "/problems/idempotent-request-in-progress"
CHUNK_BYTES = 64 * 1024
# Uploading a large file and processing it in the registry may take minutes.
FILE_TIMEOUT = aiohttp.ClientTimeout(total=600)


class ApiError(Exception):
    """The system refused the request or cannot be reached; the message is shown to the user of the command."""


class _ApiUnavailableError(Exception):
    """The system responded with a status of `RETRYABLE_STATUSES`."""


@dataclass(frozen=True)
class Connection:
    """The address of the system and the credentials of the user.

    Without a password, the demo password is tried on loopback; then a user at a terminal is asked for one.
    `token`: an access token, used instead of user and password.
    """

    url: str
    user: str
    password: str | None
    token: str | None = None

    def passwords(self) -> list[str]:
        """Return the passwords to try, in order; an empty list if none is known."""
        if self.password is not None:
            return [self.password]
        return [DEMO_PASSWORD] if urlsplit(self.url).hostname in LOOPBACK else []


class ApiClient:
    """Calls `/api/v1` as one person. Raises `ApiError` for every unexpected response."""

    def __init__(self, http: aiohttp.ClientSession, connection: Connection) -> None:
        self._http = http
        self._connection = connection
        self._api = f"{connection.url.rstrip('/')}/api/v1"
        self._password: str | None = None
        self._headers: dict[str, str] = {}

    async def sign_in(self) -> None:
        """Sign in; at a terminal, ask for the password if no known password is accepted."""
        if self._connection.token is not None:
            if self._headers:
                raise ApiError("The access token was refused: it has expired, or another system issued it")
            self._headers = {"Authorization": f"Bearer {self._connection.token}"}
            return
        for password in [self._password] if self._password else self._connection.passwords():
            if await self._try_password(password):
                return
        if self._connection.password is not None or self._password is not None or not sys.stdin.isatty():
            raise ApiError(
                f"The sign-in of {self._connection.user} at {self._connection.url} was refused: check the user "
                "name, and give its password with --password or GOSPABLIK_PASSWORD"
            )
        import getpass  # noqa: PLC0415 — most runs do not need it

        if not await self._try_password(getpass.getpass(f"Password of {self._connection.user}: ")):
            raise ApiError(
                "The password was refused: check the user name and the password, and run the command again"
            )

    async def _try_password(self, password: str) -> bool:
        form = {"grant_type": "password", "username": self._connection.user, "password": password}
        status, answer = await self._with_retries("POST", "/auth/token", data=form)
        if status != 200:
            return False
        self._password = password
        self._headers = {"Authorization": f"Bearer {answer['access_token']}"}
        return True

    async def get(self, path: str, **query: Any) -> dict[str, Any]:
        """Send a GET and return the body of the response."""
        params = {name: str(value) for name, value in query.items() if value is not None}
        _, answer = await self.call("GET", path, params=params)
        return answer

    async def post(
        self, path: str, body: dict[str, Any], *, accept_status: int | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Send a POST with a new idempotency key; return status and body. `accept_status` counts as a success."""
        key = {"Idempotency-Key": str(uuid4())}
        return await self.call("POST", path, json=body, headers=key, accept_status=accept_status)

    async def send_file(
        self, path: str, content: bytes, *, on_progress: Callable[[int], None], accept_status: int, **query: Any
    ) -> tuple[int, dict[str, Any]]:
        """Send a file and return status and body of the response; `on_progress` gets the number of bytes sent.

        `accept_status` counts as a success. If the response is lost, the request is sent again: the idempotency
        key ensures that the file is processed once.
        """
        key = {"Idempotency-Key": str(uuid4()), "Content-Type": "application/octet-stream"}
        while True:
            status, answer = await self._with_retries(
                "POST",
                path,
                params={name: str(value).lower() for name, value in query.items()},
                headers=key,
                data=lambda: _chunks(content, on_progress),
                timeout=FILE_TIMEOUT,
            )
            if answer.get("type") != REQUEST_IN_PROGRESS:
                return self._check_status(status, answer, f"POST {path}", accept_status)
            await asyncio.sleep(1)

    async def download(self, path: str, *, on_progress: Callable[[int], None], **query: Any) -> bytes:
        """Download a file and return its content; `on_progress` gets the number of bytes received."""
        params = {name: str(value) for name, value in query.items()}
        content = bytearray()
        try:
            async with self._http.get(
                self._api + path, params=params, headers=self._headers, timeout=FILE_TIMEOUT
            ) as response:
                if response.status >= 300:
                    raise ApiError(f"The download failed (GET {path}: {response.status})")
                async for chunk in response.content.iter_chunked(CHUNK_BYTES):
                    content += chunk
                    on_progress(len(content))
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ApiError(f"The download was interrupted: {error or type(error).__name__}") from error
        return bytes(content)

    async def items(self, path: str, **query: Any) -> AsyncIterator[dict[str, Any]]:
        """Yield all items of a list, page by page."""
        cursor: str | None = None
        while True:
            page = await self.get(path, limit=200, cursor=cursor, **query)
            for item in page["items"]:
                yield item
            cursor = page["next_cursor"]
            if cursor is None:
                return

    async def call(
        self, method: str, path: str, *, accept_status: int | None = None, **options: Any
    ) -> tuple[int, dict[str, Any]]:
        """Send a request and return status and body; after a 401, sign in again and repeat it once."""
        status, answer = await self._with_retries(method, path, **options)
        if status == 401:
            await self.sign_in()
            status, answer = await self._with_retries(method, path, **options)
        return self._check_status(status, answer, f"{method} {path}", accept_status)

    @staticmethod
    def _check_status(
        status: int, answer: dict[str, Any], request: str, accept_status: int | None
    ) -> tuple[int, dict[str, Any]]:
        if status < 300 or status == accept_status:
            return status, answer
        raise ApiError(f"{answer.get('detail') or answer.get('title') or 'refused'} ({request}: {status})")

    async def _with_retries(self, method: str, path: str, **options: Any) -> tuple[int, dict[str, Any]]:
        """Send an idempotent request, with retries while the system is unavailable."""
        try:
            async for attempt in stamina.retry_context(
                on=(aiohttp.ClientConnectionError, TimeoutError, _ApiUnavailableError),
                attempts=None,
                timeout=RETRY_SECONDS if self._headers else 10,
                wait_max=5,
            ):
                with attempt:
                    return await self._send(method, path, **options)
        except (aiohttp.ClientError, TimeoutError, _ApiUnavailableError) as error:
            raise ApiError(
                f"The system at {self._connection.url} is not available: {error or type(error).__name__}"
            ) from error
        raise AssertionError("unreachable: the retry returns or raises")

    async def _send(
        self, method: str, path: str, headers: dict[str, str] | None = None, **options: Any
    ) -> tuple[int, dict[str, Any]]:
        all_headers = self._headers | (headers or {})
        if callable(make_body := options.get("data")):
            # A stream can be read only once: each attempt gets a new one.
            options["data"] = make_body()
        async with self._http.request(method, self._api + path, headers=all_headers, **options) as response:
            if response.status in RETRYABLE_STATUSES:
                raise _ApiUnavailableError(f"status {response.status}")
            try:
                answer = await response.json(content_type=None)
            except ValueError:
                answer = None
            return response.status, answer if isinstance(answer, dict) else {}


async def _chunks(content: bytes, on_progress: Callable[[int], None]) -> AsyncIterator[bytes]:
    for start in range(0, len(content), CHUNK_BYTES):
        yield content[start : start + CHUNK_BYTES]
        on_progress(min(start + CHUNK_BYTES, len(content)))


@asynccontextmanager
async def signed_in(connection: Connection) -> AsyncIterator[ApiClient]:
    """Yield a client signed in with these credentials.

    Raises `ApiError` if the certificates cannot be read or the sign-in fails.
    """
    timeout = aiohttp.ClientTimeout(total=30)
    bundle = os.environ.get("GOSPABLIK_CA_BUNDLE")
    try:
        tls = tls_trusting(Path(bundle) if bundle else None)
    except OSError as error:
        raise ApiError(f"GOSPABLIK_CA_BUNDLE: no certificates can be read from {bundle}: {error}") from error
    # The system's resolver also resolves the names that are defined only on this machine.
    connector = aiohttp.TCPConnector(ssl=tls, resolver=aiohttp.ThreadedResolver())
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as http:
        client = ApiClient(http, connection)
        await client.sign_in()
        yield client
