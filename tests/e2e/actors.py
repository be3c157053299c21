"""Users of the system in tests: citizens in the networks, staff at the API, another system."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from aiohttp import web

from tests.support.eventually import eventually

PASSWORD = "demo"
# Tokens are renewed after half of their lifetime.
TOKEN_SECONDS = 450


@dataclass
class NetworkControl:
    """Actions of people in an emulated network, through its control API."""

    name: str
    http: httpx.AsyncClient

    async def _post(self, call: str, **body: Any) -> dict[str, Any]:
        answer = await self.http.post(f"/_control/{call}", json=body)
        assert answer.status_code < 300, f"{call}: {answer.status_code} {answer.text}"
        found: dict[str, Any] = answer.json()
        return found

    async def citizen(self, page: Any, kind: str, text: str, **more: Any) -> dict[str, Any]:
        """Write as a citizen. Return the network's id, thread and author."""
        return await self._post("citizen", page=page, kind=kind, text=text, **more)

    async def staff(self, page: Any, thread: Any, text: str, **more: Any) -> dict[str, Any]:
        """Write as the page's staff in the network."""
        return await self._post("community", page=page, thread=thread, text=text, **more)

    async def fault(self, **body: Any) -> None:
        """Inject a fault into the network."""
        await self._post("faults", **body)

    async def clear_faults(self) -> None:
        """Remove all injected faults."""
        (await self.http.delete("/_control/faults")).raise_for_status()

    async def answers(self, page: Any, text: str) -> list[dict[str, Any]]:
        """Return the community's comments and messages on this page with exactly this text."""
        answer = await self.http.get("/_control/answers", params={"page": page})
        answer.raise_for_status()
        return [item for item in answer.json()["items"] if item["text"] == text]


@dataclass
class Person:
    """A person signed in at the gateway."""

    http: httpx.AsyncClient
    token: str = ""
    credentials: dict[str, str] | None = None
    signed_in_at: float = field(default_factory=time.monotonic)

    @classmethod
    async def sign_in(cls, http: httpx.AsyncClient, username: str, password: str = PASSWORD) -> "Person":
        """Sign in as one of the demo people."""
        form = {"grant_type": "password", "username": username, "password": password}
        answer = await http.post("/api/v1/auth/token", data=form)
        assert answer.status_code == 200, answer.text
        return cls(http, answer.json()["access_token"], form)

    async def _renew_token(self) -> None:
        answer = await self.http.post("/api/v1/auth/token", data=self.credentials)
        if answer.status_code == 200:
            self.token, self.signed_in_at = answer.json()["access_token"], time.monotonic()

    async def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Send a request under /api/v1 with this person's token and return the response."""
        if self.credentials and time.monotonic() > self.signed_in_at + TOKEN_SECONDS:
            await self._renew_token()
        headers = {"Authorization": f"Bearer {self.token}", **more.pop("headers", {})}
        return await self.http.request(method, f"/api/v1{path}", headers=headers, **more)

    async def get(self, path: str, **params: Any) -> dict[str, Any]:
        """Return the body of a successful GET."""
        # Pass None, not an empty dict: httpx would remove the query of the path.
        answer = await self.ask("GET", path, params=params or None)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
        found: dict[str, Any] = answer.json()
        return found

    async def post(self, path: str, body: dict[str, Any], **headers: str) -> dict[str, Any]:
        """Return the body of a successful POST."""
        answer = await self.ask("POST", path, json=body, headers=headers)
        assert answer.status_code in {200, 201, 202}, f"{path}: {answer.status_code} {answer.text}"
        found: dict[str, Any] = answer.json()
        return found

    async def list_all(self, path: str, **params: Any) -> list[dict[str, Any]]:
        """Return all items of a list."""
        items: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            page = await self.get(path, limit=200, **params, **({"cursor": cursor} if cursor else {}))
            items += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return items

    async def appeal_about(self, text: str) -> dict[str, Any]:
        """Wait until the list has an appeal with exactly this text; return it. The last word must be unique."""

        async def look() -> dict[str, Any] | None:
            listed = await self.get("/appeals", q=text.rsplit(maxsplit=1)[-1], limit=5)
            return next((item for item in listed["items"] if item["text"] == text), None)

        return await eventually(look, f"an appeal about «{text}»")

    async def appeal(self, appeal_id: str) -> dict[str, Any]:
        """Return an appeal with all details."""
        return await self.get(f"/appeals/{appeal_id}")


@dataclass
class Receiver:
    """Another system that receives our webhooks."""

    url: str
    received: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def wait_for(self, event_type: str, appeal_id: str) -> tuple[dict[str, str], bytes]:
        """Wait for the first delivery of this event about this appeal; return its headers and body."""

        async def look() -> tuple[dict[str, str], bytes] | None:
            return next(
                (
                    (headers, body)
                    for headers, body in self.received
                    if f'"{event_type}"'.encode() in body and appeal_id.encode() in body
                ),
                None,
            )

        return await eventually(look, f"a webhook {event_type} about {appeal_id}")


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    """Run an HTTP server on loopback that stores the deliveries it receives."""
    found = Receiver("")

    async def hook(request: web.Request) -> web.Response:
        found.received.append(({k.lower(): v for k, v in request.headers.items()}, await request.read()))
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/hook", hook)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.url = f"{site.name}/hook"
    host, port = runner.addresses[0][:2]
    found.url = f"http://{host}:{port}/hook"
    try:
        yield found
    finally:
        await runner.cleanup()
