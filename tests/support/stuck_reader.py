"""A client that sends a request to a server of this process and then reads nothing."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import psutil


class StuckReader:
    """The connection of the client; its receive buffer is small."""

    def __init__(self, connection: socket.socket) -> None:
        self._address = connection.getsockname()

    @property
    def is_served(self) -> bool:
        """Return whether the server's end of the connection is open."""
        return self._address in {each.raddr for each in psutil.Process().net_connections("tcp")}


@asynccontextmanager
async def stuck_reader(base: str, path: str, headers: dict[str, str] | None = None) -> AsyncIterator[StuckReader]:
    """Send a GET request and read nothing until the block ends."""
    target = urlsplit(base)
    lines = (
        f"GET {path} HTTP/1.1",
        "Host: test",
        *(f"{name}: {value}" for name, value in (headers or {}).items()),
    )
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(connection, (target.hostname, target.port))
        await loop.sock_sendall(connection, "\r\n".join((*lines, "", "")).encode())
        yield StuckReader(connection)
