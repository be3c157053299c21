"""Checks of a request before its body is read."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from services.console.app import build_service
from services.console.browser_sessions.session_store import SESSION_COOKIE
from services.console.site import body_rules
from services.console.site.body_rules import (
    BODY_LIMIT,
    LARGE_AT_ONCE,
    LARGE_AT_ONCE_WITHOUT_SESSION,
    BodyRules,
)
from shared.http.body_limit import BodyLimit, PathLimits

LARGE = "/appeals/{appeal_id}/reply"
PATH = "/appeals/5a/reply"
OURS = {"sec-fetch-site": "same-origin"}
SIGNED_IN = OURS | {"cookie": f"{SESSION_COOKIE}=x"}


@pytest.fixture(autouse=True)
def _no_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    found = SimpleNamespace(gateway_networks="", trusted_proxies=())
    monkeypatch.setattr("shared.http.client_address.settings", lambda: found)


class Reader:
    """An app that reads its request once `may_read` is set."""

    def __init__(self) -> None:
        self.may_read = asyncio.Event()
        self.may_read.set()
        self.inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.inside += 1
        await self.may_read.wait()
        await receive()
        await Response(b"read")(scope, receive, send)


def made_rules(reader: Reader) -> BodyRules:
    """Return rules for which the session of `SIGNED_IN` exists."""

    async def exists(_request: Request, secret: str) -> bool:
        return secret == "x"

    return BodyRules(reader, {LARGE: 21 << 20}, exists)


async def ask(
    rules: BodyRules, path: str, length: int | None, headers: dict[str, str], method: str = "POST"
) -> tuple[int, bool]:
    """Send a request; return the status and whether the body was read."""
    given = headers | ({} if length is None else {"content-length": str(length)})
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "scheme": "http",
        "server": ("console", 80),
        "client": ("127.0.0.1", 1),
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
    }
    status, was_read = 0, False

    async def receive() -> Message:
        nonlocal was_read
        was_read = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status
        status = message.get("status", status)

    await rules(scope, receive, send)
    return status, was_read


@pytest.mark.parametrize(
    "headers",
    [{}, {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"origin": "https://evil.example"}],
)
@pytest.mark.parametrize("path", ["/sign-in", PATH, "/nothing"])
async def test_body_sent_by_another_site_is_not_read(headers: dict[str, str], path: str) -> None:
    rules = made_rules(Reader())
    assert await ask(rules, path, 10, headers) == (403, False)
    assert await ask(rules, path, 10, OURS) == (200, True)


async def test_large_body_is_read_only_with_a_session() -> None:
    rules = made_rules(Reader())
    for length in (BODY_LIMIT + 1, None):
        assert await ask(rules, PATH, length, OURS) == (303, False)
        assert await ask(rules, PATH, length, SIGNED_IN) == (200, True)
    # A small body is read without a session, so that a typed text is not lost when the session has ended.
    assert await ask(rules, PATH, BODY_LIMIT, OURS) == (200, True)


@asynccontextmanager
async def large_bodies(rules: BodyRules, reader: Reader, count: int) -> AsyncIterator[None]:
    """Hold this many requests with large bodies inside the app until the block ends."""
    reader.may_read.clear()
    tasks = [asyncio.create_task(ask(rules, PATH, None, SIGNED_IN)) for _ in range(count)]
    while reader.inside < count:
        await asyncio.sleep(0)
    yield
    reader.may_read.set()
    assert {status for status, _ in await asyncio.gather(*tasks)} == {200}


async def test_large_body_beyond_the_concurrent_limit_gets_503(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_rules, "_MAX_WAITING", 0)
    reader = Reader()
    rules = made_rules(reader)
    async with large_bodies(rules, reader, LARGE_AT_ONCE):
        assert await ask(rules, PATH, 1 << 20, SIGNED_IN) == (503, False)
        small = asyncio.create_task(ask(rules, PATH, BODY_LIMIT, SIGNED_IN))
        while reader.inside == LARGE_AT_ONCE:
            await asyncio.sleep(0)
        reader.may_read.set()
        assert await small == (200, True)
    assert await ask(rules, PATH, 1 << 20, SIGNED_IN) == (200, True)


async def test_large_bodies_with_made_up_sessions_do_not_delay_signed_in_people() -> None:
    reader = Reader()
    rules = made_rules(reader)
    reader.may_read.clear()
    made_up = [OURS | {"cookie": f"{SESSION_COOKIE}=made-up-{number}"} for number in range(20)]
    strangers = [asyncio.create_task(ask(rules, PATH, 1 << 20, headers)) for headers in made_up]
    while reader.inside < LARGE_AT_ONCE_WITHOUT_SESSION:
        await asyncio.sleep(0)
    signed_in = asyncio.create_task(ask(rules, PATH, 1 << 20, SIGNED_IN))
    while reader.inside < LARGE_AT_ONCE_WITHOUT_SESSION + 1:
        await asyncio.sleep(0)
    reader.may_read.set()
    assert await signed_in == (200, True)
    # The text of a form is kept if the session has ended meanwhile.
    assert set(await asyncio.gather(*strangers)) == {(200, True)}


@pytest.mark.parametrize(
    ("path", "limit"),
    [
        ("/appeals/5a/reply", 7),
        ("/appeals/5a/reply/photos", None),
        ("/appeals/5a/b/reply", None),
        ("/appeals//reply", None),
        ("/appeals/reply", None),
        ("/x/appeals/5a/reply", None),
        ("/sign-in", 3),
        ("/sign-in/", None),
        ("/sign-inx", None),
    ],
)
def test_body_limit_applies_only_to_its_exact_path(path: str, limit: int | None) -> None:
    assert PathLimits({LARGE: 7, "/sign-in": 3}).of(path) == limit


def test_console_body_limit_depends_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.service.settings", lambda: SimpleNamespace(max_body_bytes=1 << 20))
    middleware: list[Any] = build_service().build().user_middleware
    (found,) = [one for one in middleware if one.cls is BodyLimit]
    limits = PathLimits(found.kwargs["others"])
    assert found.kwargs["limit"]() == 128 * 1024
    assert limits.of("/sign-in") == 16 * 1024
    # A photo of 20 MiB and the text.
    assert limits.of("/appeals/5a/reply") == 21 * 1024 * 1024
    assert limits.of("/appeals/5a/reply/autosave") is None


@pytest.mark.parametrize(("error", "is_read"), [(ConnectionRefusedError(), True), (RuntimeError(), False)])
async def test_large_body_is_read_while_the_database_of_sessions_is_down(error: Exception, is_read: bool) -> None:
    async def fails(_request: Request, _secret: str) -> bool:
        raise error

    rules = BodyRules(Reader(), {LARGE: 21 << 20}, fails)
    if is_read:  # the form is kept, to be sent again
        assert await ask(rules, PATH, 1 << 20, SIGNED_IN) == (200, True)
    else:
        with pytest.raises(RuntimeError):
            await ask(rules, PATH, 1 << 20, SIGNED_IN)
