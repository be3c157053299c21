"""An emulator in its own process, and a client of its control API."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import aiohttp

from cli.embedded.temporary_postgres import free_port
from tests.support.eventually import HANG_SECONDS
from tests.support.forked_program import ForkedProgram


class EmulatorProcess:
    """`python -m emulators.NETWORK` on a free port, with its state in one file."""

    def __init__(self, network: str, data: Path, **settings: object) -> None:
        self._network = network
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            **os.environ,
            "EMULATOR_PORT": str(self.port),
            "EMULATOR_DATA": str(data),
            **{f"EMULATOR_{name.upper()}": str(value) for name, value in settings.items()},
        }
        self._process: ForkedProgram | None = None
        self._http: aiohttp.ClientSession | None = None

    @property
    def http(self) -> aiohttp.ClientSession:
        """An HTTP client without keep-alive, so that no stale connection is used after a restart."""
        if self._http is None:
            self._http = aiohttp.ClientSession(self.url, connector=aiohttp.TCPConnector(force_close=True, limit=0))
        return self._http

    @property
    def pid(self) -> int:
        """Return the process id of the running emulator."""
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Start the process and wait until the control API responds."""
        self._process = ForkedProgram(f"emulators.{self._network}", env=self.environment)
        deadline = asyncio.get_running_loop().time() + HANG_SECONDS
        while True:
            try:
                await self.control("pages")
            except aiohttp.ClientConnectorError:
                assert self._process.returncode is None, "the emulator ended during its start"
                assert asyncio.get_running_loop().time() < deadline, "the emulator does not start"
                await asyncio.sleep(0.05)
            else:
                return

    async def end(self, with_signal: signal.Signals = signal.SIGTERM) -> int:
        """Stop the process and return its exit status."""
        assert self._process is not None
        self._process.send_signal(with_signal)
        return await asyncio.to_thread(self._process.wait)

    async def close(self) -> None:
        """Stop the process if it runs, and close the client."""
        try:
            if self._process is not None and self._process.returncode is None:
                await self.end(signal.SIGKILL)
        finally:
            if self._http is not None:
                await self._http.close()

    async def control(self, path: str, body: dict[str, Any] | None = None, method: str | None = None) -> Any:
        """Call the control API and return the body of the successful response."""
        method = method or ("GET" if body is None else "POST")
        async with self.http.request(method, f"/_control/{path}", json=body) as response:
            assert response.status == 200, await response.text()
            return await response.json()
