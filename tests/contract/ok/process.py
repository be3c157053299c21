"""The emulator as a process of its own, and its control door."""

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import aiohttp

START_SECONDS = 20


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class OkProcess:
    """`python -m emulators.ok` on a free port, with its state in one file."""

    def __init__(self, data: Path, **settings: object) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            **os.environ,
            "EMULATOR_PORT": str(self.port),
            "EMULATOR_DATA": str(data),
            **{f"EMULATOR_{name.upper()}": str(value) for name, value in settings.items()},
        }
        self.page = ""
        self.topic = ""
        self.bot = ""
        self.user: dict[str, Any] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._http: aiohttp.ClientSession | None = None

    @property
    def http(self) -> aiohttp.ClientSession:
        """A client without retries of its own."""
        if self._http is None:
            connector = aiohttp.TCPConnector(force_close=True)
            self._http = aiohttp.ClientSession(self.url, connector=connector)
        return self._http

    async def start(self) -> None:
        """Start and wait until the control door opens."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "emulators.ok", env=self.environment
        )
        deadline = asyncio.get_running_loop().time() + START_SECONDS
        while True:
            try:
                await self.door("pages")
            except aiohttp.ClientConnectorError:
                assert self._process.returncode is None, "the emulator ended at once"
                assert asyncio.get_running_loop().time() < deadline, "the emulator does not start"
                await asyncio.sleep(0.05)
            else:
                return

    async def end(self, with_signal: signal.Signals = signal.SIGTERM) -> int:
        """End the process; answers its exit status."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(with_signal)
        return await asyncio.wait_for(self._process.wait(), 10)

    async def close(self) -> None:
        """End the process if it runs, and the client."""
        try:
            if self._process is not None and self._process.returncode is None:
                await self.end(signal.SIGKILL)
        finally:
            if self._http is not None:
                await self._http.close()

    async def door(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Knock at the control door."""
        method = "GET" if body is None else "POST"
        async with self.http.request(method, f"/_control/{path}", json=body) as response:
            assert response.status == 200, await response.text()
            return await response.json()

    async def open_page(self, name: str, screen_name: str) -> None:
        """Make a page the one that helpers write on."""
        self.page = (await self.door("pages", {"name": name, "screen_name": screen_name}))["id"]
        tokens = (await self.door("tokens"))["items"]
        self.user = next(token for token in tokens if token["kind"] == "user")
        self.bot = next(token["token"] for token in tokens if token.get("page") == self.page)
        self.topic = (await self.door("post", {"page": self.page, "text": "Новость страницы"}))["thread"]

    async def citizen(self, text: str, kind: str = "comment", **more: Any) -> dict[str, Any]:
        """A citizen writes on the page."""
        answer: dict[str, Any] = await self.door(
            "citizen", {"page": self.page, "kind": kind, "text": text, **more}
        )
        return answer

    async def comment_many(self, texts: list[str]) -> None:
        """One citizen's comment per text, through the CSV feed."""
        table = "text\n" + "\n".join(texts)
        async with self.http.post("/_control/feed", params={"kind": "comment"}, data=table.encode()) as response:
            assert (await response.json())["accepted"] == len(texts)

    async def graph(self, path: str, body: Any = None, **query: Any) -> Any:
        """A call of the page's bot."""
        params = {"access_token": self.bot, **query}
        method = "GET" if body is None else "POST"
        async with self.http.request(method, f"/graph/me/{path}", params=params, json=body) as response:
            assert response.status == 200
            return await response.json()
