"""A call that gets no connection to its network is distinguished from one without a response."""

import asyncio
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from unittest import mock
from uuid import uuid4

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from structlog.testing import capture_logs

from cli.embedded.temporary_postgres import free_port
from services.ingest.networks.calls import NoValidResponse, call_timeout, open_client, transport_failure
from services.ingest.networks.error_mapping import mapping_publish_errors, mapping_read_errors
from services.ingest.networks.ok.ok_client import OkClient
from services.ingest.networks.port import (
    Credential,
    PublishOutcomeUnknown,
    PublishRejected,
    ReadFailed,
    TokenKind,
    TokenPool,
)
from services.ingest.networks.refused_certificates import SHOWN_FOR, check_certificates
from services.ingest.networks.vk.vk_client import VkClient
from services.ingest.networks.vk.vk_errors import user_message
from services.ingest.settings import IngestSettings
from shared import clock
from shared.database.outages import DependencyUnavailable
from tests.support.certificates import make_authority
from tests.support.dns_server import dns_server
from tests.unit.ingest.settings_keys import KEYS

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


async def test_names_that_no_server_answers_occupy_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: list[Any] = []
    end = threading.Event()

    def hanging(*asked: Any, **_: Any) -> Any:
        looked_up.append(asked)
        end.wait(10)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    async with dns_server() as server, open_client(ssl.create_default_context(), [server.address]) as http:
        server.delay_seconds = 10
        calls = [http.post(f"http://pu{n}.vk.invalid", timeout=call_timeout(1)) for n in range(40)]
        failures = await asyncio.gather(*calls, return_exceptions=True)
        async with asyncio.timeout(1):
            await asyncio.to_thread(end.set)
    assert looked_up == []
    assert all(transport_failure("vk", "upload", one).is_outage for one in failures if isinstance(one, Exception))


async def test_missing_response_is_no_outage(silent_port: int) -> None:
    error = await _failure(f"http://127.0.0.1:{silent_port}")
    assert (error.was_sent, error.is_outage) == (True, False)
    with pytest.raises(PublishOutcomeUnknown), mapping_publish_errors("vk", user_message):
        raise error


@pytest.fixture
async def untrusted_port(tmp_path: Path) -> AsyncIterator[int]:
    """A server with a certificate of an unknown authority."""
    context = make_authority(tmp_path).issue(tmp_path)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_certificate_that_is_not_accepted_is_an_outage_with_a_visible_cause(
    untrusted_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    service: Any = None
    with capture_logs() as logs:
        failures = [await _failure(f"https://127.0.0.1:{untrusted_port}") for _ in range(3)]
    assert {(one.was_sent, one.is_outage) for one in failures} == {(False, True)}
    assert "the certificate of 127.0.0.1 is not accepted: unable to get local issuer certificate" in str(
        failures[0]
    )
    (line,) = [one for one in logs if one["log_level"] == "error"]
    assert (line["network"], line["host"]) == ("vk", "127.0.0.1")
    with pytest.raises(
        DependencyUnavailable, match=r"127\.0\.0\.1 since .*: unable to get local issuer certificate"
    ):
        await check_certificates(service)
    later = clock.now() + SHOWN_FOR
    monkeypatch.setattr(clock, "now", lambda: later)
    await check_certificates(service)


@pytest.fixture
async def redirecting_port() -> AsyncIterator[int]:
    """A server that redirects each request to a port where nobody listens."""
    target = f"http://127.0.0.1:{free_port()}/"

    async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 307 Temporary Redirect\r\nLocation: {target}\r\n"
        writer.write(f"{head}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(redirect, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("client", [VkClient, OkClient])
async def test_call_that_the_network_redirects_may_have_been_carried_out(
    client: type[VkClient | OkClient], redirecting_port: int
) -> None:
    url = f"http://127.0.0.1:{redirecting_port}"
    settings = IngestSettings(vk_api_url=url, ok_api_url=url, **KEYS)
    pool: Any = mock.create_autospec(TokenPool, instance=True)
    pool.begin_call.return_value = {}
    token = Credential(id=uuid4(), network="vk", kind=TokenKind.USER, page_id=None, token="token")
    async with aiohttp.ClientSession() as http:
        with pytest.raises(NoValidResponse) as caught:
            await client(http, pool, settings).call(token, "wall.createComment", message="Ответ")
    assert (caught.value.was_sent, caught.value.is_outage) == (True, False)
