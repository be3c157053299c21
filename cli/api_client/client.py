"""The API of a running system, for commands: signs in, repeats what a lost connection spoilt, speaks in words."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import aiohttp
import stamina

LOOPBACK = {"127.0.0.1", "localhost", "::1"}
DEMO_PASSWORD = "demo"  # noqa: S105 — of the embedded run, known to everybody
PATIENCE = 120.0
AWAY = {502, 503, 504}
IN_FLIGHT = "/problems/in-flight"
PIECE = 64 * 1024
# A large file takes its time, on the wire and in the registry.
FILE_TIMEOUT = aiohttp.ClientTimeout(total=600)


class RemoteError(Exception):
    """The system refused, or cannot be reached; the message is for the person at the command line."""


class _AwayError(Exception):
    pass


@dataclass(frozen=True)
class Access:
    """Where the system is and who asks. Without a password the embedded run's is tried, then a person is asked."""

    url: str
    user: str
    password: str | None

    def passwords(self) -> list[str]:
        """What to try, in order; empty when nothing is known."""
        if self.password is not None:
            return [self.password]
        return [DEMO_PASSWORD] if urlsplit(self.url).hostname in LOOPBACK else []


class Remote:
    """Calls `/api/v1` as one person. Raises `RemoteError` for every answer that is not expected."""

    def __init__(self, http: aiohttp.ClientSession, access: Access) -> None:
        self._http = http
        self._access = access
        self._api = f"{access.url.rstrip('/')}/api/v1"
        self._password: str | None = None
        self._headers: dict[str, str] = {}

    async def sign_in(self) -> None:
        """Sign in, asking for the password at a terminal when none that is known fits."""
        for password in [self._password] if self._password else self._access.passwords():
            if await self._signed_in(password):
                return
        if self._access.password is not None or self._password is not None or not sys.stdin.isatty():
            raise RemoteError(
                f"{self._access.user} is not let in at {self._access.url}: give the password by --password or "
                "GOSPABLIK_PASSWORD"
            )
        import getpass  # noqa: PLC0415 — most runs ask nobody

        if not await self._signed_in(getpass.getpass(f"Password of {self._access.user}: ")):
            raise RemoteError("The password is not accepted")

    async def _signed_in(self, password: str) -> bool:
        form = {"grant_type": "password", "username": self._access.user, "password": password}
        status, answer = await self._repeated("POST", "/auth/token", data=form)
        if status != 200:
            return False
        self._password = password
        self._headers = {"Authorization": f"Bearer {answer['access_token']}"}
        return True

    async def get(self, path: str, **query: Any) -> dict[str, Any]:
        """Read something."""
        params = {name: str(value) for name, value in query.items() if value is not None}
        _, answer = await self.call("GET", path, params=params)
        return answer

    async def post(
        self, path: str, body: dict[str, Any], *, also: int | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Ask for something; `also` is a status to be answered like a success."""
        key = {"Idempotency-Key": str(uuid4())}
        return await self.call("POST", path, json=body, headers=key, also=also)

    async def send_file(
        self, path: str, content: bytes, *, sent: Callable[[int], None], also: int, **query: Any
    ) -> tuple[int, dict[str, Any]]:
        """Send a file and wait for what becomes of it; `sent` is told how many bytes have gone.

        `also` is a status to be answered like a success. An answer that is lost on its way is asked for again: the
        key makes sure that nothing is done twice.
        """
        key = {"Idempotency-Key": str(uuid4()), "Content-Type": "application/octet-stream"}
        while True:
            status, answer = await self._repeated(
                "POST",
                path,
                params={name: str(value).lower() for name, value in query.items()},
                headers=key,
                data=lambda: _pieces(content, sent),
                timeout=FILE_TIMEOUT,
            )
            if answer.get("type") != IN_FLIGHT:
                return self._expected(status, answer, f"POST {path}", also)
            await asyncio.sleep(1)

    async def file(self, path: str, *, received: Callable[[int], None], **query: Any) -> bytes:
        """Read a file whole; `received` is told how many bytes have come."""
        params = {name: str(value) for name, value in query.items()}
        content = bytearray()
        try:
            async with self._http.get(
                self._api + path, params=params, headers=self._headers, timeout=FILE_TIMEOUT
            ) as response:
                if response.status >= 300:
                    raise RemoteError(f"No file came (GET {path}: {response.status})")
                async for piece in response.content.iter_chunked(PIECE):
                    content += piece
                    received(len(content))
        except (aiohttp.ClientError, TimeoutError) as error:
            raise RemoteError(f"The file did not come whole: {error or type(error).__name__}") from error
        return bytes(content)

    async def items(self, path: str, **query: Any) -> AsyncIterator[dict[str, Any]]:
        """All items of a list, page by page."""
        cursor: str | None = None
        while True:
            page = await self.get(path, limit=200, cursor=cursor, **query)
            for item in page["items"]:
                yield item
            cursor = page["next_cursor"]
            if cursor is None:
                return

    async def call(
        self, method: str, path: str, *, also: int | None = None, **options: Any
    ) -> tuple[int, dict[str, Any]]:
        """One call; a token that is too old is renewed once."""
        status, answer = await self._repeated(method, path, **options)
        if status == 401:
            await self.sign_in()
            status, answer = await self._repeated(method, path, **options)
        return self._expected(status, answer, f"{method} {path}", also)

    @staticmethod
    def _expected(status: int, answer: dict[str, Any], asked: str, also: int | None) -> tuple[int, dict[str, Any]]:
        if status < 300 or status == also:
            return status, answer
        raise RemoteError(f"{answer.get('detail') or answer.get('title') or 'refused'} ({asked}: {status})")

    async def _repeated(self, method: str, path: str, **options: Any) -> tuple[int, dict[str, Any]]:
        """A call, again and again while the system is away; what it asks may be asked twice."""
        try:
            async for attempt in stamina.retry_context(
                on=(aiohttp.ClientConnectionError, TimeoutError, _AwayError),
                attempts=None,
                timeout=PATIENCE if self._headers else 10,
                wait_max=5,
            ):
                with attempt:
                    return await self._once(method, path, **options)
        except (aiohttp.ClientError, TimeoutError, _AwayError) as error:
            raise RemoteError(f"No answer from {self._access.url}: {error or type(error).__name__}") from error
        raise AssertionError("unreachable: the retry returns or raises")

    async def _once(
        self, method: str, path: str, headers: dict[str, str] | None = None, **options: Any
    ) -> tuple[int, dict[str, Any]]:
        given = self._headers | (headers or {})
        if callable(make := options.get("data")):
            # A stream can be read once: each try gets its own.
            options["data"] = make()
        async with self._http.request(method, self._api + path, headers=given, **options) as response:
            if response.status in AWAY:
                raise _AwayError(f"it answers {response.status}")
            try:
                answer = await response.json(content_type=None)
            except ValueError:
                answer = None
            return response.status, answer if isinstance(answer, dict) else {}


async def _pieces(content: bytes, sent: Callable[[int], None]) -> AsyncIterator[bytes]:
    for start in range(0, len(content), PIECE):
        yield content[start : start + PIECE]
        sent(min(start + PIECE, len(content)))


@asynccontextmanager
async def signed_in(access: Access) -> AsyncIterator[Remote]:
    """The API as this person. Raises `RemoteError`."""
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        remote = Remote(http, access)
        await remote.sign_in()
        yield remote
