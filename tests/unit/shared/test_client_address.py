"""The client address for rate limits and logs: what the gateway saw, not what the caller claims."""

from types import SimpleNamespace

import pytest
from fastapi import Request

from shared.http.client_address import client_address, counted_address

GATEWAY = "10.1.0.0/24, fd00::/64"


def _from(peer: str, told: str) -> Request:
    return Request({"type": "http", "client": (peer, 1), "headers": [(b"x-real-ip", told.encode())]})


@pytest.mark.parametrize(
    ("peer", "told", "address"),
    [
        ("10.1.0.7", "198.51.100.7", "198.51.100.7"),
        ("fd00::7", "198.51.100.7", "198.51.100.7"),
        # The gateway names one address.
        ("10.1.0.7", "198.51.100.7, 203.0.113.9", "10.1.0.7"),
        ("10.1.0.7", "T. Ivanova", "10.1.0.7"),
        ("10.1.0.7", "", "10.1.0.7"),
        # A caller that bypasses the gateway cannot choose an address.
        ("10.1.1.7", "198.51.100.7", "10.1.1.7"),
    ],
)
def test_caller_cannot_choose_the_counted_address(
    peer: str, told: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.http.client_address.settings", lambda: SimpleNamespace(gateway_networks=GATEWAY))
    assert client_address(_from(peer, told)) == address


def test_addresses_of_one_ipv6_network_count_as_one() -> None:
    assert counted_address("2001:db8:1:2::1") == counted_address("2001:db8:1:2:ffff::9")
    assert counted_address("2001:db8:1:2::1") != counted_address("2001:db8:1:3::1")
    assert counted_address("198.51.100.7") != counted_address("198.51.100.8")
    assert counted_address("testclient") == counted_address(None) == ""
