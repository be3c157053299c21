"""The address of the client, as the gateway saw it."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from fastapi import Request

from shared.settings import settings


def client_address(request: Request) -> str | None:
    """Return the caller's address. `X-Real-Ip` is used only if the gateway forwarded the request.

    The gateway sets it to the address that it saw, whatever a client says; only the console tells it another one.
    """
    peer = request.client.host if request.client else None
    told = _address(request.headers.get("x-real-ip", ""))
    if told is None or peer is None or not _is_gateway(peer, settings().gateway_networks):
        return peer
    return str(told)


def counted_address(address: str | None) -> str:
    """Return the address that limits count: for IPv6 the /64 network, which belongs to one customer."""
    found = _address(address or "")
    if isinstance(found, IPv6Address):
        return str(ip_network((found, 64), strict=False))
    return str(found) if found else ""


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text.strip())
    except ValueError:
        return None


@lru_cache(maxsize=1024)
def _is_gateway(peer: str, networks: str) -> bool:
    found = _address(peer)
    return found is not None and any(
        found in ip_network(part.strip()) for part in networks.split(",") if part.strip()
    )
