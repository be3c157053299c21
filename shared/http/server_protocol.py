"""How the server speaks HTTP: as uvicorn does, but a reader that takes nothing cannot keep its connection."""

import asyncio
import socket

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# The kernel ends a connection whose reader acknowledges nothing, or leaves no room, for this time.
UNREAD_SECONDS = 60
# The scope key of a function that ends the connection at once.
_ABORT = "gospablik.abort"


class HttpProtocol(HttpToolsProtocol):
    """A connection. `abort_connection` ends it; closing would wait until the reader has taken what was written."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Set a limit on what stays unread, also after a response."""
        super().connection_made(transport)
        connection: socket.socket | None = transport.get_extra_info("socket")
        if connection is not None and connection.family != socket.AF_UNIX and hasattr(socket, "TCP_USER_TIMEOUT"):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_SECONDS * 1000)

    def on_message_begin(self) -> None:
        """Begin a request whose app may end the connection."""
        super().on_message_begin()
        self.scope.update({_ABORT: self.transport.abort})  # type: ignore[misc]


def abort_connection(scope: Scope) -> None:
    """End the connection of a request at once, and drop what its reader has not taken."""
    if (abort := scope.get(_ABORT)) is not None:
        abort()
