"""A TCP proxy in front of a server that can refuse connections, hang, respond 503 and cut transfers."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

Fault = Literal["refuse", "hang", "slow_down", "cut"]
SLOW_DOWN = (
    b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code>'
    b"<Message>Please reduce your request rate.</Message></Error>"
)
# Bytes that pass before a transfer is cut: the headers and the beginning of the file.
PASSED_BEFORE_CUT = 2_000


class FaultProxy:
    """Forwards bytes to the server unless a fault is set.

    `refuse`: no connection is accepted. `hang`: requests are read and get no response. `slow_down`: requests get
    S3's response 503. `cut`: the connection ends in the middle of a request or its response.

    `requests` counts the requests that met the current fault, `hanging` the requests that hang now.
    """

    def __init__(self, target_port: int) -> None:
        self._target = target_port
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._fault: Fault | None = None
        self._left = 0
        self.port = 0
        self.requests = 0
        self.hanging = 0

    async def start(self) -> None:
        """Accept connections, after a restart on the same port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Refuse new connections and abort the open connections."""
        if self._server is not None:
            self._server.close()
            self._end_all()
            await self._server.wait_closed()
            self._server = None

    async def set(self, fault: Fault | None, *, requests: int | None = None) -> None:
        """Set the fault of all further requests or, with `requests`, of this many; None ends the fault."""
        self._fault, self._left, self.requests = fault, requests if requests is not None else 1_000_000, 0
        self._end_all()
        if fault == "refuse":
            await self.stop()
        elif self._server is None:
            await self.start()

    def _end_all(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            if self._fault is None or self._left == 0:
                await self._pass_on(reader, writer, None)
                return
            self._left -= 1
            self.requests += 1
            if self._fault == "cut":
                await self._pass_on(reader, writer, PASSED_BEFORE_CUT)
            elif self._fault == "slow_down":
                await _read_request(reader)
                head = f"HTTP/1.1 503 Slow Down\r\nContent-Length: {len(SLOW_DOWN)}\r\nConnection: close\r\n\r\n"
                writer.write(head.encode() + SLOW_DOWN)
                await writer.drain()
            else:
                self.hanging += 1
                try:
                    await reader.read()  # until the client gives up
                finally:
                    self.hanging -= 1
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client ended the connection, or a change of the fault did
        finally:
            self._open.discard(writer)
            writer.close()

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: int | None
    ) -> None:
        target_reader, target_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._open.add(target_writer)
        ways = (
            asyncio.create_task(_copy(reader, target_writer, limit)),
            asyncio.create_task(_copy(target_reader, writer, limit)),
        )
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self._open.discard(target_writer)
            target_writer.transport.abort()
            if limit is not None:
                writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: int | None) -> None:
    passed = 0
    while (limit is None or passed < limit) and (data := await reader.read(65_536)):
        part = data if limit is None else data[: limit - passed]
        passed += len(part)
        writer.write(part)
        await writer.drain()


async def _read_request(reader: asyncio.StreamReader) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    await reader.readexactly(int(length[1]) if length else 0)


@asynccontextmanager
async def fault_proxy(target_port: int) -> AsyncIterator[FaultProxy]:
    """Run a proxy in front of a server on loopback."""
    proxy = FaultProxy(target_port)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
