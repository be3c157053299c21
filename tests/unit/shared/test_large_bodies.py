"""Large bodies are received from signed-in callers only, and few at a time."""

import asyncio
import importlib
from typing import Any
from uuid import UUID

import pytest
from fastapi import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from shared import large_bodies
from shared.auth.callers import AUTHENTICATED, Caller
from shared.auth.rights import Role
from shared.caller_queue import LONGEST_WAIT_SECONDS, waits_until
from shared.http.problems import Unauthenticated
from shared.large_bodies import LARGE_AT_ONCE, LARGE_PER_CALLER, LargeBodies
from shared.service import Service
from shared.settings import Settings
from tests.conftest import SERVICES

LIMIT, LARGE = 1_000, 2_000
SIGNED_IN = {"authorization": "Bearer x"}
COLLEAGUES = [{"authorization": f"Bearer {number}"} for number in range(LARGE_AT_ONCE)]


@pytest.fixture(autouse=True)
def _tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    async def read_token(request: Request) -> Caller:
        if "authorization" not in request.headers:
            raise Unauthenticated("The header «Authorization: Bearer …» is missing")
        return Caller(request.headers["authorization"], "", Role.EXECUTOR, UUID(int=1))

    monkeypatch.setattr(large_bodies, "read_token", read_token)
    monkeypatch.setattr(large_bodies, "client_address", lambda _request: "192.0.2.1")


class Reader:
    """An app that reads its request once `may_read` is set."""

    def __init__(self) -> None:
        self.may_read = asyncio.Event()
        self.may_read.set()
        self.scopes: list[Scope] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        await self.may_read.wait()
        await receive()
        await Response(b"read")(scope, receive, send)


async def ask(
    app: LargeBodies, length: int | None, headers: dict[str, str], path: str = "/files", method: str = "POST"
) -> tuple[int, dict[str, str], int]:
    """Send a request in two chunks; return the status, the headers and how many chunks were read."""
    given = headers | ({} if length is None else {"content-length": str(length)})
    scope: Scope = {
        "type": "http",
        "method": method,
        "path": path,
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
    }
    chunks: list[Message] = [{"type": "http.request", "more_body": True}, {"type": "http.request"}]
    start: dict[str, Any] = {}

    async def receive() -> Message:
        return chunks.pop(0)

    async def send(message: Message) -> None:
        start.update(message if message["type"] == "http.response.start" else {})

    await app(scope, receive, send)
    return (
        start["status"],
        {name.decode(): value.decode() for name, value in start["headers"]},
        2 - len(chunks),
    )


@pytest.mark.parametrize("length", [LIMIT + 1, None])
async def test_large_body_without_a_token_is_discarded_before_the_app_sees_it(length: int | None) -> None:
    reader = Reader()
    status, headers, chunks = await ask(LargeBodies(reader, lambda: LIMIT, {"/files": LARGE}), length, {})
    assert (status, reader.scopes, chunks) == (401, [], 2)
    assert headers["www-authenticate"] == 'Bearer realm="gospablik"'


@pytest.mark.parametrize(
    ("length", "path", "method"),
    [(LIMIT, "/files", "POST"), (None, "/callbacks/vk", "POST"), (None, "/files", "GET")],
)
async def test_request_that_cannot_have_a_large_body_needs_no_token(length: int, path: str, method: str) -> None:
    reader = Reader()
    app = LargeBodies(reader, lambda: LIMIT, {"/files": LARGE})
    assert (await ask(app, length, {}, path, method))[0] == 200
    assert AUTHENTICATED not in reader.scopes[0]


async def test_large_bodies_of_signed_in_callers_are_received_a_few_at_a_time() -> None:
    reader = Reader()
    app = LargeBodies(reader, lambda: LIMIT, {"/files": LARGE})
    reader.may_read.clear()
    uploads = [asyncio.create_task(ask(app, LARGE, headers)) for headers in (*COLLEAGUES, SIGNED_IN)]
    while len(reader.scopes) < LARGE_AT_ONCE:
        await asyncio.sleep(0)
    small = asyncio.create_task(ask(app, LIMIT, {}))
    while len(reader.scopes) == LARGE_AT_ONCE:
        await asyncio.sleep(0)
    # The small body was received while a large one was waiting.
    assert [AUTHENTICATED in scope for scope in reader.scopes] == [True] * LARGE_AT_ONCE + [False]
    reader.may_read.set()
    assert {status for status, _, _ in await asyncio.gather(*uploads, small)} == {200}
    assert len(reader.scopes) == LARGE_AT_ONCE + 2


async def test_large_body_beyond_the_queue_gets_429(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_bodies, "MAX_WAITING", 0)
    reader = Reader()
    app = LargeBodies(reader, lambda: LIMIT, {"/files": LARGE})
    reader.may_read.clear()
    uploads = [asyncio.create_task(ask(app, LARGE, headers)) for headers in COLLEAGUES]
    while len(reader.scopes) < LARGE_AT_ONCE:
        await asyncio.sleep(0)
    status, headers, chunks = await ask(app, LARGE, SIGNED_IN)
    assert (status, headers["retry-after"], chunks) == (429, "5", 2)
    reader.may_read.set()
    assert {status for status, _, _ in await asyncio.gather(*uploads)} == {200}
    assert (await ask(app, LARGE, SIGNED_IN))[0] == 200


async def test_one_caller_leaves_turns_to_others() -> None:
    reader = Reader()
    app = LargeBodies(reader, lambda: LIMIT, {"/files": LARGE})
    reader.may_read.clear()
    uploads = [asyncio.create_task(ask(app, LARGE, SIGNED_IN)) for _ in range(LARGE_PER_CALLER)]
    while len(reader.scopes) < LARGE_PER_CALLER:
        await asyncio.sleep(0)
    assert (await asyncio.wait_for(ask(app, LARGE, SIGNED_IN), 5))[0] == 429
    other = asyncio.create_task(ask(app, LARGE, COLLEAGUES[0]))
    while len(reader.scopes) == LARGE_PER_CALLER:
        await asyncio.sleep(0)
    reader.may_read.set()
    assert {status for status, _, _ in await asyncio.gather(*uploads, other)} == {200}


async def test_time_for_the_turns_of_the_route_counts_from_the_wait_for_the_body() -> None:
    reader = Reader()
    began = asyncio.get_running_loop().time()
    await ask(LargeBodies(reader, lambda: LIMIT, {"/files": LARGE}), LARGE, SIGNED_IN)
    (scope,) = reader.scopes
    read = asyncio.get_running_loop().time()
    await asyncio.sleep(0.05)
    assert began <= waits_until(scope) - LONGEST_WAIT_SECONDS <= read


@pytest.mark.parametrize("name", [name for name in SERVICES if name != "console"])
def test_only_paths_for_large_bodies_exceed_the_common_limit(name: str) -> None:
    # The console checks who sends a large body by its own sessions: `services/console/site/body_rules.py`.
    service: Service = importlib.import_module(f"services.{name}.app").build_service()
    common = Settings.model_fields["max_body_bytes"].default
    assert all(limit <= common for limit in service.routes.body_limits.values())
    assert all(limit > common for limit in service.routes.large_bodies.values())
