"""The client address for rate limits and logs: as seen by the gateway, not as claimed by the caller."""

from ipaddress import ip_network
from types import SimpleNamespace

import pytest
from fastapi import Request
from structlog.testing import capture_logs

from shared.http import client_address as module
from shared.http.client_address import client_address, counted_address

GATEWAY = "10.1.0.0/24, fd00::/64"
PROXIES = (ip_network("192.0.2.0/28"),)


def _from(peer: str, *, real: str | None = None, forwarded: str | None = None) -> Request:
    given = ((b"x-real-ip", real), (b"x-forwarded-for", forwarded))
    headers = [(name, value.encode()) for name, value in given if value is not None]
    return Request({"type": "http", "client": (peer, 1), "headers": headers})


@pytest.fixture(autouse=True)
def _gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    found = SimpleNamespace(gateway_networks=GATEWAY, trusted_proxies=PROXIES)
    monkeypatch.setattr("shared.http.client_address.settings", lambda: found)


@pytest.mark.parametrize(
    ("peer", "real", "address"),
    [
        ("10.1.0.7", "198.51.100.7", "198.51.100.7"),
        ("fd00::7", "198.51.100.7", "198.51.100.7"),
        # The console must send exactly one valid address.
        ("10.1.0.7", "198.51.100.7, 203.0.113.9", "10.1.0.7"),
        ("10.1.0.7", "T. Ivanova", "10.1.0.7"),
        ("10.1.0.7", "", "10.1.0.7"),
        # A caller that bypasses the gateway cannot choose an address.
        ("10.1.1.7", "198.51.100.7", "10.1.1.7"),
    ],
)
def test_address_sent_by_the_console_is_used(peer: str, real: str, address: str) -> None:
    assert client_address(_from(peer, real=real)) == address


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("10.1.0.7", "198.51.100.7", "198.51.100.7"),
        # Trusted proxies are skipped, from the last address backwards.
        ("10.1.0.7", "198.51.100.7, 192.0.2.1", "198.51.100.7"),
        ("10.1.0.7", "198.51.100.7, 192.0.2.2, 192.0.2.1", "198.51.100.7"),
        # Addresses that the client sent come before its real address.
        ("10.1.0.7", "203.0.113.9, 198.51.100.7, 192.0.2.1", "198.51.100.7"),
        ("10.1.0.7", "192.0.2.9, 198.51.100.7", "198.51.100.7"),
        # The proxy itself is the client.
        ("10.1.0.7", "192.0.2.2, 192.0.2.1", "192.0.2.2"),
        ("10.1.0.7", "T. Ivanova, 192.0.2.1", "10.1.0.7"),
        ("10.1.0.7", "", "10.1.0.7"),
        # IPv4 addresses as written by a dual-stack listener.
        ("::ffff:10.1.0.7", "::ffff:198.51.100.7, ::ffff:192.0.2.1", "198.51.100.7"),
        # Proxies that append ports.
        ("10.1.0.7", "198.51.100.7:51234, 192.0.2.1:443", "198.51.100.7"),
        ("10.1.0.7", "[2001:db8::1]:51234", "2001:db8::1"),
        ("10.1.0.7", "[2001:db8::1]", "2001:db8::1"),
        ("10.1.0.7", "198.51.100.7:port", "10.1.0.7"),
        # A caller that bypasses the gateway cannot choose an address.
        ("192.0.2.1", "198.51.100.7", "192.0.2.1"),
    ],
)
def test_address_comes_from_trusted_proxies_and_not_from_the_caller(
    peer: str, forwarded: str, address: str
) -> None:
    assert client_address(_from(peer, forwarded=forwarded)) == address


def test_unreadable_address_is_logged_once() -> None:
    module._warn_of_unreadable_address.cache_clear()
    with capture_logs() as logged:
        for forwarded in ("", "T. Ivanova, 198.51.100.7", "unknown", "203.0.113.9, _hidden"):
            client_address(_from("10.1.0.7", forwarded=forwarded))
    assert [(one["log_level"], one["gateway"]) for one in logged] == [("warning", "10.1.0.7")]


def test_address_sent_by_the_console_takes_precedence_over_forwarded_ones() -> None:
    assert client_address(_from("10.1.0.7", real="198.51.100.7", forwarded="10.1.0.9")) == "198.51.100.7"


def test_addresses_of_one_ipv6_network_count_as_one() -> None:
    assert counted_address("2001:db8:1:2::1") == counted_address("2001:db8:1:2:ffff::9")
    assert counted_address("2001:db8:1:2::1") != counted_address("2001:db8:1:3::1")
    assert counted_address("198.51.100.7") != counted_address("198.51.100.8")
    assert counted_address("::ffff:198.51.100.7") == counted_address("198.51.100.7")
    assert counted_address("testclient") == counted_address(None) == ""
