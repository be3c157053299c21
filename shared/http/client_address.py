"""The address of the client, as the gateway saw it."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from fastapi import Request

from shared.settings import settings


def client_address(request: Request) -> str | None:
    """Return the caller's address. Headers are used only if the gateway forwarded the request.

    `X-Real-Ip` comes from the console alone: the gateway drops that of everybody else. Otherwise it is the last
    address in `X-Forwarded-For` that is no proxy of the region: what stands before it, the client itself may have
    written. The gateway lets the header pass from these proxies only.
    """
    peer = request.client.host if request.client else None
    config = settings()
    if peer is None or not _is_gateway(peer, config.gateway_networks):
        return peer
    told = request.headers.get("x-real-ip")
    found = _address(told) if told else _last_outside(request, config.trusted_proxies)
    return str(found) if found else peer


def _last_outside(
    request: Request, proxies: tuple[IPv4Network | IPv6Network, ...]
) -> IPv4Address | IPv6Address | None:
    """Return the last forwarded address that is no proxy; if all are, the first; None if it is no address."""
    found = None
    for part in reversed(",".join(request.headers.getlist("x-forwarded-for")).split(",")):
        found = _address(part)
        if found is None or not any(found in network for network in proxies):
            break
    return found


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
