"""Host names of receivers, resolved by a real DNS server: in limited time, concurrently, and checked twice."""

import asyncio
import errno
import os
import resource
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from socket import AF_UNSPEC

import aiohttp
import pytest

from services.webhooks.endpoints import ssrf_guard
from services.webhooks.endpoints.ssrf_guard import UrlNotAllowed, check_url, guarded_socket_factory
from shared.http.name_resolution import LIMIT_SECONDS, HostResolver
from tests.support.dns_server import REFUSED, SERVER_FAILURE, DnsServer, dns_server

pytestmark = pytest.mark.enable_socket

LOOPBACK = (ip_network("127.0.0.0/8"),)


@pytest.fixture
async def dns(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[DnsServer]:
    async with dns_server() as server:
        monkeypatch.setattr(ssrf_guard, "HostResolver", lambda: HostResolver([server.address]))
        yield server


@pytest.fixture
async def resolver(dns: DnsServer) -> AsyncIterator[HostResolver]:
    found = HostResolver([dns.address])
    yield found
    await found.close()


async def addresses(resolver: HostResolver, host: str) -> list[str]:
    return [found["host"] for found in await resolver.resolve(host, 443, AF_UNSPEC)]


async def test_names_without_an_answer_neither_wait_long_nor_delay_others(
    dns: DnsServer, resolver: HostResolver
) -> None:
    dns.records = {"crm.example.org": ["77.88.8.8"]}
    dns.silent = {f"black-hole-{number}.example.org" for number in range(50)}
    begun = time.monotonic()
    waiting = [asyncio.create_task(addresses(resolver, name)) for name in dns.silent]
    assert await addresses(resolver, "crm.example.org") == ["77.88.8.8"]
    assert not any(task.done() for task in waiting)
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(result) for result in results} == {OSError}
    assert time.monotonic() - begun < LIMIT_SECONDS * 2


async def test_name_whose_answer_is_slower_than_usual_is_found(dns: DnsServer, resolver: HostResolver) -> None:
    dns.records = {f"{number}.example.org": ["77.88.8.8"] for number in range(10)}
    for number in range(9):
        await addresses(resolver, f"{number}.example.org")
    dns.delay_seconds = 0.6
    assert await addresses(resolver, "9.example.org") == ["77.88.8.8"]


@contextmanager
def no_free_descriptors() -> Iterator[None]:
    """Leave this process no free file descriptor, so that it can open nothing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_lack_of_descriptors_is_not_a_fault_of_the_host(dns: DnsServer, resolver: HostResolver) -> None:
    dns.records = {"crm.example.org": ["77.88.8.8"]}
    with no_free_descriptors(), pytest.raises(OSError, match="name servers cannot be reached") as raised:
        await resolver.resolve("crm.example.org")
    assert (raised.value.errno, dns.asked) == (errno.ENETDOWN, [])
    assert await addresses(resolver, "crm.example.org") == ["77.88.8.8"]


async def test_name_server_that_is_down_is_not_a_fault_of_the_host() -> None:
    async with dns_server() as server:
        address = server.address
    resolver = HostResolver([address])
    try:
        with pytest.raises(OSError, match="name servers cannot be reached") as raised:
            await resolver.resolve("crm.example.org")
    finally:
        await resolver.close()
    assert raised.value.errno == errno.ENETDOWN


@pytest.mark.parametrize("code", [SERVER_FAILURE, REFUSED])
async def test_error_returned_by_a_name_server_may_be_a_fault_of_the_host(
    dns: DnsServer, resolver: HostResolver, code: int
) -> None:
    dns.failures = {"crm.example.org": code}
    with pytest.raises(OSError, match=r"DNS|refused") as raised:
        await resolver.resolve("crm.example.org")
    assert raised.value.errno is None
    assert "crm.example.org" in dns.asked


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "localhost."])
async def test_localhost_is_resolved_by_the_system_and_not_by_dns(
    dns: DnsServer, resolver: HostResolver, host: str
) -> None:
    dns.records = {"localhost": ["77.88.8.8"]}
    system = await asyncio.get_running_loop().getaddrinfo("localhost", 443)
    assert set(await addresses(resolver, host)) == {info[4][0] for info in system}
    assert dns.asked == []


@pytest.mark.parametrize("host", ["0177.0.0.1", "127.1", "0x7f.1", "2130706433", "0", "crm.0x7f", "crm.5."])
async def test_host_that_ends_in_a_number_is_not_looked_up(
    dns: DnsServer, resolver: HostResolver, host: str
) -> None:
    dns.records = {host.rstrip("."): ["77.88.8.8"]}
    with pytest.raises(OSError, match="neither a name nor a plain address"):
        await resolver.resolve(host)
    with pytest.raises(UrlNotAllowed, match="was not found"):
        await check_url(f"https://{host}/hook", (), https_only=True)
    assert dns.asked == []


async def test_host_with_any_internal_address_is_refused_when_saved(dns: DnsServer) -> None:
    dns.records = {
        "public.example.org": ["77.88.8.8"],
        "mixed.example.org": ["77.88.8.8", "10.0.0.1"],
        "xn--41a.example.org": ["10.0.0.1"],
    }
    await check_url("https://public.example.org/hook", (), https_only=True)
    for host in ("mixed.example.org", "я.example.org"):
        with pytest.raises(UrlNotAllowed, match=f"{host} is inside a network"):
            await check_url(f"https://{host}/hook", (), https_only=True)
    with pytest.raises(UrlNotAllowed, match=r"none\.example\.org was not found"):
        await check_url("https://none.example.org/hook", (), https_only=True)


async def test_rebound_name_is_refused_at_the_socket(dns: DnsServer, resolver: HostResolver) -> None:
    """The name was public when the endpoint was saved; at delivery it resolves to loopback."""
    accepted: list[object] = []
    server = await asyncio.start_server(lambda *streams: accepted.append(streams), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    dns.records = {"crm.example.org": ["77.88.8.8"]}
    await check_url(f"http://crm.example.org:{port}/", (), https_only=False)
    dns.records = {"crm.example.org": ["127.0.0.1"]}
    connector = aiohttp.TCPConnector(
        socket_factory=guarded_socket_factory(()), resolver=resolver, use_dns_cache=False
    )
    async with server, aiohttp.ClientSession(connector=connector) as http:
        with pytest.raises(UrlNotAllowed, match="inside a network"):
            await http.post(f"http://crm.example.org:{port}/", data=b"")
    assert accepted == []
    assert dns.asked.count("crm.example.org") > 2
