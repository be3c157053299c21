"""HTTP server of an emulator that can drop connections to simulate network failures."""

import asyncio
import json
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

JSON_UTF8 = "application/json; charset=utf-8"


class DroppingProtocol(HttpToolsProtocol):
    """Gives the application access to the transport, so that it can drop the connection."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {"emulator.transport": {"transport": self.transport}}


def json_bytes(content: Any) -> bytes:
    """Return compact UTF-8 JSON, as the networks send it."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def json_response(content: Any, headers: dict[str, str] | None = None, status: int = 200) -> Response:
    """Return a response with the content type that clients of both networks require."""
    return Response(json_bytes(content), status, headers=headers, media_type=JSON_UTF8)


def _transport(scope: Scope) -> asyncio.Transport:
    transport: asyncio.Transport = scope["extensions"]["emulator.transport"]["transport"]
    return transport


class DroppedConnection(Response):
    """Closes the connection without sending a response."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        _transport(scope).abort()
        await asyncio.sleep(0)


class TruncatedResponse(Response):
    """Announces the full content length, sends half of the body and closes the connection."""

    def __init__(self, whole: Response) -> None:
        super().__init__(status_code=whole.status_code)
        self._whole = whole

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = bytes(self._whole.body)
        await send({"type": "http.response.start", "status": self.status_code, "headers": self._whole.raw_headers})
        await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        _transport(scope).close()
        await asyncio.sleep(0)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_exit: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_exit = on_exit

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        self._on_exit()


def serve(app: FastAPI, host: str, port: int, on_exit: Callable[[], None] = lambda: None) -> None:
    """Serve until a signal; `on_exit` is called at the signal, to release waiting calls."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=DroppingProtocol,
        loop="uvloop",
        ws="none",
        access_log=False,
        log_level="warning",
        backlog=4096,
        timeout_graceful_shutdown=2,
    )
    _Server(config, on_exit).run()
