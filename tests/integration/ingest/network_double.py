"""A fake network that responds as a test defines, and records its calls."""

import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

Answer = Callable[[str, dict[str, str]], Any]
INNER = re.compile(r"API\.([\w.]+)\((\{.*?\})\)")


def error(code: int, **more: Any) -> dict[str, Any]:
    """Return an error in VK's format."""
    return {"error": {"error_code": code, "error_msg": f"error number {code}", **more}}


class NetworkDouble:
    """Fakes of the APIs of VK and OK; `answer(method, params)` returns the body of each response."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, str]]] = []
        self.answer: Answer = lambda _method, _params: {"response": {"items": []}}
        self.url = ""

    def methods(self, token: str | None = None) -> list[str]:
        """Return the called methods, with this token or with any."""
        return [method for method, params in self.calls if token in {None, params.get("access_token")}]

    def tokens(self) -> list[str]:
        """Return the tokens in the order of the calls."""
        return [params["access_token"] for _, params in self.calls]

    async def handle(self, request: web.Request) -> web.Response:
        """Respond to one call."""
        form = {key: str(value) for key, value in (await request.post()).items()}
        params = {**request.query, **form}
        method = params.get("method") or request.path.rpartition("/")[2]
        self.calls.append((method, params))
        return web.json_response(self.answer(method, params))


@asynccontextmanager
async def network_double() -> AsyncIterator[NetworkDouble]:
    """Run the fake network on a free port."""
    double = NetworkDouble()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", double.handle)
    server = TestServer(app, host="127.0.0.1")
    await server.start_server()
    double.url = str(server.make_url("")).rstrip("/")
    try:
        yield double
    finally:
        await server.close()


def inner_calls(code: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the calls in a script of `execute`."""
    return [(method, json.loads(params)) for method, params in INNER.findall(code)]
