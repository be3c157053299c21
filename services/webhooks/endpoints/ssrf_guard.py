"""Where a webhook may go: never inside the network, unless the operator allowed that network.

A name is checked when an endpoint is saved, for a clear answer, and every address again when the socket to it is
made, because a name may resolve to something else by then. Redirects are not followed at all.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

from yarl import URL

from services.webhooks.endpoints.special_purpose_networks import SPECIAL_PURPOSE_IPV4, SPECIAL_PURPOSE_IPV6
from services.webhooks.settings import IpNetwork

MAX_URL_LENGTH = 2000
DNS_TIMEOUT_SECONDS = 5
_NAT64 = ip_network("64:ff9b::/96")
# What IANA gives out for unicast; all else is unassigned, or another kind of address.
_UNICAST = ip_network("2000::/3")
_MULTICAST = ip_network("224.0.0.0/4")

IpAddress = IPv4Address | IPv6Address
AddressInfo = tuple[int, int, int, str, tuple[Any, ...]]


class UrlNotAllowed(Exception):  # noqa: N818 — reads better where it is raised
    """The address must not be called; the text says why, for the endpoint's owner."""


class AddressBlocked(UrlNotAllowed, RuntimeError):  # noqa: N818
    """The same when the socket is made: a `RuntimeError`, which the connector hands on as it is.

    It is no `OSError`: nothing is wrong with the network, so nobody may take it for an outage.
    """


def embedded_ipv4(address: IpAddress) -> IpAddress:
    """Return the IPv4 address inside an IPv6 one that a host uses in its place (mapped, NAT64), else itself."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def is_allowed(value: str, allowed: Sequence[IpNetwork]) -> bool:
    """Whether a numeric address may be called: ordinary unicast of the public internet, or in an allowed network.

    All of IANA's special-purpose registries is refused, also what they call globally reachable:
    anycast of protocols is nobody's web server. What is not written as a plain address is refused, since the
    system may read it in its own way.
    """
    try:
        address = embedded_ipv4(ip_address(value))
    except ValueError:
        return False
    if any(address in network for network in allowed):
        return True
    if isinstance(address, IPv4Address):
        return address not in _MULTICAST and not any(address in network for network in SPECIAL_PURPOSE_IPV4)
    return address in _UNICAST and not any(address in network for network in SPECIAL_PURPOSE_IPV6)


def guarded_socket_factory(allowed: Sequence[IpNetwork]) -> Callable[[AddressInfo], socket.socket]:
    """A socket factory for aiohttp's connector: the last gate, which sees the very address to be called."""

    def make(info: AddressInfo) -> socket.socket:
        family, kind, protocol, _, address = info
        if not is_allowed(str(address[0]), allowed):
            # The address itself stays unsaid: it would tell the endpoint's owner about the network.
            raise AddressBlocked("its address is inside a network that webhooks must not reach")
        return socket.socket(family, kind, protocol)

    return make


def parse_url(value: str, *, https_only: bool) -> URL:
    """The URL as the HTTP client will read it. Raises `Refused`."""
    if len(value) > MAX_URL_LENGTH:
        raise UrlNotAllowed(f"The URL is longer than {MAX_URL_LENGTH} characters")
    if not value.isprintable() or any(character.isspace() for character in value):
        raise UrlNotAllowed("The URL holds spaces or control characters")
    try:
        url = URL(value)
        port = url.port
        host = url.host
    except ValueError as error:
        raise UrlNotAllowed(f"The URL cannot be read: {error}") from error
    if url.scheme not in ({"https"} if https_only else {"https", "http"}):
        raise UrlNotAllowed("The URL must begin with https://" if https_only else "Expected https:// or http://")
    if not host or not port:
        raise UrlNotAllowed("The URL names no host")
    if url.user is not None or url.password is not None:
        raise UrlNotAllowed("The URL must not hold a name or password")
    if url.fragment:
        raise UrlNotAllowed("The URL must not hold a fragment")
    return url


async def check_url(value: str, allowed: Sequence[IpNetwork], *, https_only: bool) -> None:
    """Raise `Refused` unless the URL is well-formed and its host resolves to addresses that may all be called."""
    url = parse_url(value, https_only=https_only)
    host = url.host or ""
    try:
        async with asyncio.timeout(DNS_TIMEOUT_SECONDS):
            addresses = await asyncio.get_running_loop().getaddrinfo(host, url.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError) as error:
        raise UrlNotAllowed(f"The host {host} is not found") from error
    for *_, address in addresses:
        if not is_allowed(str(address[0]), allowed):
            raise UrlNotAllowed(f"The host {host} is inside a network that webhooks must not reach")
