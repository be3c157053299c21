"""A Callback API server that stores requests and gives responses set by tests."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from tests.contract.vk.emulator_page import VkPage
from tests.support.eventually import eventually, eventually_true

Handler = Callable[[dict[str, Any]], Awaitable[web.Response]]


class Receiver:
    """Responds to confirmations with `code`, and to events with the result of `answer` or, without it, `ok`."""

    def __init__(self) -> None:
        self.url = ""
        self.code = ""
        self.secret = "s3cret"
        self.bodies: list[dict[str, Any]] = []
        self.retries: list[str | None] = []
        self.confirmations: list[dict[str, Any]] = []
        self.answer: Handler | None = None

    async def handle(self, request: web.Request) -> web.Response:
        """Handle one request of the network."""
        body = json.loads(await request.read())
        if body["type"] == "confirmation":
            self.confirmations.append(body)
            return web.Response(text=self.code)
        self.bodies.append(body)
        self.retries.append(request.headers.get("X-Retry-Counter"))
        return web.Response(text="ok") if self.answer is None else await self.answer(body)

    async def got(self, count: int) -> list[dict[str, Any]]:
        """Wait for the first `count` events and return them."""
        await eventually_true(lambda: len(self.bodies) >= count, f"{count} events")
        return self.bodies[:count]

    async def join(self, page: VkPage, *wanted: str, **settings: str) -> int:
        """Register this server in the network, wait for its confirmation and enable the events; return its id."""
        code = await page.api("groups.getCallbackConfirmationCode", group_id=page.id)
        self.code = code["response"]["code"]
        server = {"url": self.url, "title": "test", "secret_key": self.secret}
        added = await page.api("groups.addCallbackServer", None, group_id=page.id, **server)
        number: int = added["response"]["server_id"]
        await reaches(page, number, "ok")
        flags: dict[str, Any] = {"server_id": number, **dict.fromkeys(wanted, 1), **settings}
        done = await page.api("groups.setCallbackSettings", None, group_id=page.id, **flags)
        assert done == {"response": 1}
        return number


async def reaches(page: VkPage, server: int, status: str) -> dict[str, Any]:
    """Wait until the server has this status; return the server's object from the network."""

    async def look() -> dict[str, Any] | None:
        found = await page.api("groups.getCallbackServers", group_id=page.id, server_ids=server)
        item: dict[str, Any] = found["response"]["items"][0]
        return item if item["status"] == status else None

    return await eventually(look, f"a server that is {status}", every=0.02)


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    """Run a receiver on a free port."""
    made = Receiver()
    app = web.Application()
    app.router.add_post("/callbacks", made.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/callbacks"
    try:
        yield made
    finally:
        await runner.cleanup()
