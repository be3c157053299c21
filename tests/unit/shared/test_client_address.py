"""The address that limits count and the log tells: what the gateway saw, not what a caller says of itself."""

from types import SimpleNamespace

import pytest
from fastapi import Request

from shared.http.client_address import client_address, counted_address

GATEWAY = "10.1.0.0/24, fd00::/64"


def _from(peer: str, told: str) -> Request:
    return Request({"type": "http", "client": (peer, 1), "headers": [(b"x-forwarded-for", told.encode())]})


@pytest.mark.parametrize(
    ("peer", "told", "address"),
    [
        ("10.1.0.7", "198.51.100.7", "198.51.100.7"),
        ("fd00::7", "198.51.100.7", "198.51.100.7"),
        # The last is what the gateway saw; those before it are the caller's own words.
        ("10.1.0.7", "198.51.100.7, 203.0.113.9", "203.0.113.9"),
        ("10.1.0.7", "T. Ivanova", "10.1.0.7"),
        ("10.1.0.7", "", "10.1.0.7"),
        # Somebody who reaches a service past the gateway chooses no address.
        ("10.1.1.7", "198.51.100.7", "10.1.1.7"),
    ],
)
def test_nobody_chooses_the_address_that_they_are_counted_by(
    peer: str, told: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.http.client_address.settings", lambda: SimpleNamespace(gateway_networks=GATEWAY))
    assert client_address(_from(peer, told)) == address


def test_one_customers_many_addresses_count_as_one() -> None:
    assert counted_address("2001:db8:1:2::1") == counted_address("2001:db8:1:2:ffff::9")
    assert counted_address("2001:db8:1:2::1") != counted_address("2001:db8:1:3::1")
    assert counted_address("198.51.100.7") != counted_address("198.51.100.8")
    assert counted_address("testclient") == counted_address(None) == ""
