"""Protection against server-side request forgery: internal addresses need the operator's permission.

A host name is checked when an endpoint is saved, to give a clear error, and each address again when its socket is
created, because the name may resolve to another address by then (DNS rebinding). Redirects are not followed.
"""

import socket
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

from yarl import URL

from services.webhooks.endpoints.special_purpose_networks import SPECIAL_PURPOSE_IPV4, SPECIAL_PURPOSE_IPV6
from services.webhooks.settings import IpNetwork
from shared.http.name_resolution import HostResolver

MAX_URL_LENGTH = 2000
_NAT64 = ip_network("64:ff9b::/96")
# The range from which IANA allocates global unicast addresses (2000::/3); other addresses are unassigned or not
# unicast.
_UNICAST = ip_network("2000::/3")
_MULTICAST = ip_network("224.0.0.0/4")

IpAddress = IPv4Address | IPv6Address
AddressInfo = tuple[int, int, int, str, tuple[Any, ...]]


class UrlNotAllowed(Exception):  # noqa: N818 — reads better where it is raised
    """The URL or address must not be called; the text tells the endpoint's owner why."""


class AddressBlocked(UrlNotAllowed, RuntimeError):  # noqa: N818
    """The address must not be called, raised when the socket is created.

    A `RuntimeError`, which aiohttp's connector passes on unchanged, and not an `OSError`, which would be treated
    as an outage of the network.
    """


def embedded_ipv4(address: IpAddress) -> IpAddress:
    """Return the IPv4 address embedded in an IPv6 address (mapped, NAT64), otherwise the address itself."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def is_allowed(value: str, allowed: Sequence[IpNetwork]) -> bool:
    """Return whether a numeric address may be called: public unicast, or in an allowed network.

    All special-purpose networks are refused, also globally reachable ones: anycast addresses of protocols are not
    web servers. Text that is not a plain address is refused, because the operating system may interpret it
    differently.
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
    """Return a socket factory for aiohttp's connector.

    This is the last check, on the address that the socket connects to.
    """

    def make(info: AddressInfo) -> socket.socket:
        family, kind, protocol, _, address = info
        if not is_allowed(str(address[0]), allowed):
            # The message does not contain the address, which would reveal the internal network to the endpoint's
            # owner.
            raise AddressBlocked("its address is inside a network that webhooks must not reach")
        return socket.socket(family, kind, protocol)

    return make


def parse_url(value: str, *, https_only: bool) -> URL:
    """Return the URL as the HTTP client will parse it. Raise `UrlNotAllowed`."""
    if len(value) > MAX_URL_LENGTH:
        raise UrlNotAllowed(f"The URL is longer than {MAX_URL_LENGTH} characters")
    if not value.isprintable() or any(character.isspace() for character in value):
        raise UrlNotAllowed("The URL contains spaces or control characters")
    try:
        url = URL(value)
        port = url.port
        host = url.host
    except ValueError as error:
        raise UrlNotAllowed(f"The URL cannot be parsed: {error}") from error
    if url.scheme not in ({"https"} if https_only else {"https", "http"}):
        raise UrlNotAllowed(f"The URL must begin with https://{'' if https_only else ' or http://'}")
    if not host or not port:
        raise UrlNotAllowed("The URL has no host, or its port is 0")
    if url.user is not None or url.password is not None:
        raise UrlNotAllowed("The URL must not contain a user name or password")
    if url.fragment:
        raise UrlNotAllowed("The URL must not contain a fragment")
    return url


async def check_url(value: str, allowed: Sequence[IpNetwork], *, https_only: bool) -> None:
    """Raise `UrlNotAllowed` unless the URL is well-formed and all addresses of its host may be called."""
    url = parse_url(value, https_only=https_only)
    try:
        addresses = await _addresses(url)
    except (OSError, UnicodeError) as error:
        raise UrlNotAllowed(f"The host {url.host} was not found") from error
    for address in addresses:
        if not is_allowed(address, allowed):
            raise UrlNotAllowed(f"The host {url.host} is inside a network that webhooks must not reach")


async def _addresses(url: URL) -> list[str]:
    """Return the addresses of the URL's host, which is resolved unless it is an address itself."""
    # The name in the form in which the HTTP client resolves it.
    host = url.raw_host or ""
    try:
        ip_address(host)
    except ValueError:
        resolver = HostResolver()
    else:
        return [host]
    try:
        return [found["host"] for found in await resolver.resolve(host)]
    finally:
        await resolver.close()
