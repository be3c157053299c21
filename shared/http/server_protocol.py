"""Uvicorn's HTTP protocol, extended to end the connection of a client that does not read."""

import asyncio
import socket

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# The kernel ends a connection whose client acknowledges nothing, or keeps its window closed, for this long.
UNREAD_SECONDS = 60
# The ASGI scope key of a function that ends the connection at once.
_ABORT = "gospablik.abort"


class HttpProtocol(HttpToolsProtocol):
    """A connection that `abort_connection` can end. Closing it would wait until the client has read all."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Set the kernel's limit on unacknowledged data, which also applies after a response."""
        super().connection_made(transport)
        connection: socket.socket | None = transport.get_extra_info("socket")
        if connection is not None and connection.family != socket.AF_UNIX and hasattr(socket, "TCP_USER_TIMEOUT"):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_SECONDS * 1000)

    def on_message_begin(self) -> None:
        """Begin a request, and let its app end the connection."""
        super().on_message_begin()
        self.scope.update({_ABORT: self.transport.abort})  # type: ignore[misc]


def abort_connection(scope: Scope) -> None:
    """End the connection of a request at once, and discard data that the client has not read."""
    if (abort := scope.get(_ABORT)) is not None:
        abort()
