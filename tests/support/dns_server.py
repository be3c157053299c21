"""A real DNS server on loopback that answers as a test says, late, or not at all."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import cast

_HEADER, _QUESTION = struct.Struct("!HHHHHH"), struct.Struct("!HH")
_RESPONSE, _NO_SUCH_NAME = 0x8180, 3
SERVER_FAILURE, REFUSED = 2, 5
_A, _IN = 1, 1


class DnsServer(asyncio.DatagramProtocol):
    """Answers queries of IPv4 addresses; each answer may be used once (its time to live is 0).

    `records`: the addresses of each name; a name without a record does not exist. `silent`: names that get no
    answer. `failures`: the response codes of names that get an error. `delay_seconds`: how late all answers are.
    `asked`: the names of all queries.
    """

    def __init__(self) -> None:
        self.address = ""
        self.records: dict[str, Sequence[str]] = {}
        self.silent: set[str] = set()
        self.failures: dict[str, int] = {}
        self.delay_seconds = 0.0
        self.asked: list[str] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport for the answers."""
        self._transport = cast("asyncio.DatagramTransport", transport)
        self.address = "{}:{}".format(*transport.get_extra_info("sockname"))

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer a query with one question."""
        labels, at = [], _HEADER.size
        while size := data[at]:
            labels.append(data[at + 1 : at + 1 + size].decode())
            at += 1 + size
        name = ".".join(labels).lower()
        self.asked.append(name)
        if name in self.silent:
            return
        question = data[_HEADER.size : at + 1 + _QUESTION.size]
        kind, _ = _QUESTION.unpack_from(data, at + 1)
        addresses = self.records.get(name, ()) if kind == _A else ()
        flags = _RESPONSE | self.failures.get(name, 0 if name in self.records else _NO_SUCH_NAME)
        [number] = struct.unpack_from("!H", data)
        answer = _HEADER.pack(number, flags, 1, len(addresses), 0, 0) + question
        for address in addresses:
            # 0xC00C: the name of the question.
            answer += struct.pack("!HHHIH", 0xC00C, _A, _IN, 0, 4) + socket.inet_aton(address)
        asyncio.get_running_loop().call_later(self.delay_seconds, self._transport.sendto, answer, addr)


@asynccontextmanager
async def dns_server() -> AsyncIterator[DnsServer]:
    """Run a DNS server on a free port."""
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(
        DnsServer, local_addr=("127.0.0.1", 0)
    )
    try:
        yield server
    finally:
        transport.close()
