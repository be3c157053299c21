"""A call that gets no connection to its network is told from one without a response."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from cli.embedded.temporary_postgres import free_port
from services.ingest.networks.calls import NoValidResponse, call_timeout, transport_failure
from services.ingest.networks.error_mapping import mapping_publish_errors, mapping_read_errors
from services.ingest.networks.port import PublishOutcomeUnknown, PublishRejected, ReadFailed
from services.ingest.networks.vk.vk_errors import user_message

pytestmark = pytest.mark.enable_socket  # a listener on loopback


class _Resolver(AbstractResolver):
    """Names are not resolved, or (`hangs`) not in time."""

    def __init__(self, *, hangs: bool) -> None:
        self._hangs = hangs

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Fail as the system's resolver does."""
        if self._hangs:
            await asyncio.Event().wait()
        raise OSError(-3, "Temporary failure in name resolution")

    async def close(self) -> None:
        """Do nothing."""


@pytest.fixture
async def silent_port() -> AsyncIterator[int]:
    """A server that accepts a request and never responds."""

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(wait, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def _failure(url: str, *, hangs: bool = False) -> NoValidResponse:
    connector = aiohttp.TCPConnector(resolver=_Resolver(hangs=hangs))
    async with aiohttp.ClientSession(connector=connector) as http:
        with pytest.raises((aiohttp.ClientError, TimeoutError)) as caught:
            await http.post(url, timeout=call_timeout(0.4))
    return transport_failure("vk", "wall.createComment", caught.value)


async def _refused() -> NoValidResponse:
    return await _failure(f"http://127.0.0.1:{free_port()}")


async def _unresolved() -> NoValidResponse:
    return await _failure("http://api.vk.invalid")


async def _slow_resolver() -> NoValidResponse:
    return await _failure("http://api.vk.invalid", hangs=True)


@pytest.mark.parametrize("fail", [_refused, _unresolved, _slow_resolver])
async def test_missing_connection_is_an_outage(fail: Callable[[], Awaitable[NoValidResponse]]) -> None:
    error = await fail()
    with pytest.raises(PublishRejected) as refused, mapping_publish_errors("vk", user_message):
        raise error
    assert (refused.value.code, refused.value.is_outage) == ("network_unreachable", True)
    assert not refused.value.permanent
    with pytest.raises(ReadFailed) as unread, mapping_read_errors():
        raise error
    assert unread.value.is_outage


async def test_missing_response_is_no_outage(silent_port: int) -> None:
    error = await _failure(f"http://127.0.0.1:{silent_port}")
    assert (error.was_sent, error.is_outage) == (True, False)
    with pytest.raises(PublishOutcomeUnknown), mapping_publish_errors("vk", user_message):
        raise error
