"""An HTTP server that forwards requests of an emulated network to a service under test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
from aiohttp import web


@dataclass
class HttpForwarder:
    """Forwards each POST request to the service; responds with 503 while there is none."""

    url: str = ""
    target: httpx.AsyncClient | None = None

    async def take(self, request: web.Request) -> web.Response:
        """Forward one request."""
        body = await request.read()
        if self.target is None:
            return web.Response(status=503)
        kind = {"Content-Type": request.headers.get("Content-Type", "application/json")}
        answer = await self.target.post(request.path, content=body, headers=kind)
        return web.Response(status=answer.status_code, body=answer.content)


@asynccontextmanager
async def running_forwarder() -> AsyncIterator[HttpForwarder]:
    """Run a forwarder on a free port."""
    forwarder = HttpForwarder()
    app = web.Application()
    app.router.add_post("/{path:.*}", forwarder.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        forwarder.url = f"http://{host}:{port}"
        yield forwarder
    finally:
        await runner.cleanup()
