"""Addresses that webhooks may call: known ways into an internal network are refused."""

import socket
from ipaddress import IPv4Network, IPv6Network, ip_network

import aiohttp
import pytest
from cryptography.fernet import Fernet

from services.webhooks.endpoints.special_purpose_networks import SPECIAL_PURPOSE_IPV4, SPECIAL_PURPOSE_IPV6
from services.webhooks.endpoints.ssrf_guard import (
    UrlNotAllowed,
    check_url,
    guarded_socket_factory,
    is_allowed,
    parse_url,
)
from services.webhooks.settings import WebhooksSettings
from shared.database.outages import is_outage

pytestmark = pytest.mark.enable_socket  # host names are resolved

LOOPBACK = (ip_network("127.0.0.0/8"),)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.255",
        "192.168.1.1", "169.254.169.254", "100.64.0.1", "100.127.255.255", "192.0.0.1", "192.0.2.1", "198.18.0.1",
        "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
        "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1",
        "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1", "2002:7f00:1::", "2002:a00:1::1",
        "2001:0:4136:e378:8000:63bf:80ff:fffe", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12:3456::1", "fec0::1",
        "ff02::1", "2001:db8::1", "100::1",
        # Copied by hand from the IANA registries: the test fails if the code lacks an entry.
        "192.0.0.9", "192.0.0.100", "192.31.196.1", "192.52.193.1", "192.88.99.1", "192.175.48.1",
        "2001:2::1", "2001:20::1", "2001:1ff::1", "2620:4f:8000::1", "3fff::1", "5f00::1",
        "127.1", "0x7f.1", "0x7f000001", "2130706433", "0177.0.0.1", "localhost", "", "1.2.3.4.5",
    ],
)  # fmt: skip
def test_special_purpose_or_malformed_address_is_refused(address: str) -> None:
    assert not is_allowed(address, ())


@pytest.mark.parametrize("network", [*SPECIAL_PURPOSE_IPV4, *SPECIAL_PURPOSE_IPV6], ids=str)
def test_every_entry_of_the_special_purpose_registries_is_refused(network: IPv4Network | IPv6Network) -> None:
    middle = network.network_address + network.num_addresses // 2
    # For an address with an embedded IPv4 address, the embedded one is checked: embed a private one.
    inside = {"::ffff:0:0/96": ["::ffff:10.0.0.1"], "64:ff9b::/96": ["64:ff9b::a00:1"]}.get(
        str(network), [str(network.network_address), str(middle), str(network.broadcast_address)]
    )
    assert [address for address in inside if is_allowed(address, ())] == []


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8",
        "77.88.8.8",
        "2a02:6b8::feed:ff",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
        "192.0.1.1",
        "2620:4f:8001::1",
    ],
)
def test_public_address_is_allowed(address: str) -> None:
    assert is_allowed(address, ())


@pytest.mark.parametrize(
    ("address", "allowed"),
    [("127.0.0.1", True), ("::ffff:127.0.0.1", True), ("::1", False), ("10.0.0.1", False), ("8.8.8.8", True)],
)
def test_allowed_network_allows_only_itself(address: str, allowed: bool) -> None:
    assert is_allowed(address, LOOPBACK) is allowed


@pytest.mark.parametrize(
    "url",
    [
        "", "example.org", "/hooks", "ftp://example.org/", "file:///etc/passwd", "gopher://example.org/", "http://",
        "https://", "https://user@example.org/", "https://user:password@example.org/", "https://example.org/#part",
        "https://example.org:99999/", "https://exa mple.org/", "https://example.org/\r\nHost: inside",
        "https://example.org/\x00", "https://[::1", "https://example.org/" + "a" * 2000, "javascript:alert(1)",
    ],
)  # fmt: skip
def test_malformed_or_unsupported_url_is_refused(url: str) -> None:
    with pytest.raises(UrlNotAllowed):
        parse_url(url, https_only=False)


def test_http_url_is_refused_in_production() -> None:
    with pytest.raises(UrlNotAllowed, match="https"):
        parse_url("http://example.org/", https_only=True)
    assert parse_url("https://example.org/a?b=c", https_only=True).host == "example.org"


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "localhost", "127.1", "0x7f.1", "0x7f000001", "2130706433",
     "0177.0.0.1", "0", "10.0.0.1", "169.254.169.254", "[fe80::1]", "localhost.", "LOCALHOST", "①②⑦.⓪.⓪.①"],
)  # fmt: skip
async def test_internal_host_is_refused_when_saved(host: str) -> None:
    with pytest.raises(UrlNotAllowed):
        await check_url(f"https://{host}/hook", (), https_only=True)


async def test_unknown_host_is_refused_and_named() -> None:
    with pytest.raises(UrlNotAllowed, match=r"nowhere\.invalid was not found"):
        await check_url("https://nowhere.invalid/", (), https_only=True)


async def test_host_in_an_allowed_network_is_accepted() -> None:
    await check_url("http://127.0.0.1:8080/hook", LOOPBACK, https_only=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "0x7f.1", "2130706433", "[::ffff:127.0.0.1]"])
async def test_socket_to_internal_address_is_not_created(host: str) -> None:
    """The check at connection time is independent of the check when the endpoint was saved."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        port = listener.getsockname()[1]
        connector = aiohttp.TCPConnector(socket_factory=guarded_socket_factory(()))
        async with aiohttp.ClientSession(connector=connector) as http:
            with pytest.raises((aiohttp.ClientError, ValueError, UrlNotAllowed)):
                await http.post(f"http://{host}:{port}/", data=b"")
        with pytest.raises(BlockingIOError):
            listener.accept()


async def test_dns_rebinding_is_refused() -> None:
    """The host was public when the endpoint was saved; at delivery it resolves to loopback."""

    class Rebound(aiohttp.abc.AbstractResolver):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
        ) -> list[aiohttp.abc.ResolveResult]:
            return [
                {
                    "hostname": host, "host": "127.0.0.1", "port": port, "family": socket.AF_INET, "proto": 0,
                    "flags": socket.AI_NUMERICHOST,
                }
            ]  # fmt: skip

        async def close(self) -> None:
            """Do nothing: there is nothing to release."""

    connector = aiohttp.TCPConnector(socket_factory=guarded_socket_factory(()), resolver=Rebound())
    async with aiohttp.ClientSession(connector=connector) as http:
        with pytest.raises(UrlNotAllowed, match="inside a network") as refused:
            await http.post("http://crm.example.org/", data=b"")
    assert not is_outage(refused.value)


def test_allowed_networks_are_parsed_from_one_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOSPABLIK_ENCRYPTION_KEYS", Fernet.generate_key().decode())
    monkeypatch.setenv("GOSPABLIK_WEBHOOKS_ALLOWED_NETWORKS", "127.0.0.0/8, fd00::/8")
    networks = WebhooksSettings().webhooks_allowed_networks
    assert networks == (ip_network("127.0.0.0/8"), ip_network("fd00::/8"))
