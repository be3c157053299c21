"""The address of the client, as the gateway saw it."""

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from fastapi import Request

from shared import logs
from shared.settings import settings

log = logs.get_logger(__name__)

# Some proxies append the port of the client: `203.0.113.9:51234`, `[2001:db8::1]:443`.
_WITH_PORT = re.compile(r"\[([^\]]+)\](?::\d{1,5})?|([\d.]+):\d{1,5}")


def client_address(request: Request) -> str | None:
    """Return the caller's address. Headers are used only if the gateway forwarded the request.

    `X-Real-Ip` is used if present: the gateway drops it unless the console sent it. Otherwise the address is the
    last one in `X-Forwarded-For` that is not a proxy of the region: the client may have forged the addresses
    before it. The gateway accepts the header only from these proxies.
    """
    peer = request.client.host if request.client else None
    config = settings()
    if peer is None or not _is_gateway(peer, config.gateway_networks):
        return peer
    real_ip = request.headers.get("x-real-ip")
    found = _address(real_ip) if real_ip else _last_outside(request, config.trusted_proxies, peer)
    return str(found) if found else peer


def _last_outside(
    request: Request, proxies: tuple[IPv4Network | IPv6Network, ...], peer: str
) -> IPv4Address | IPv6Address | None:
    """Return the last forwarded address that is not a proxy (the first if all are); None if unreadable."""
    forwarded = ",".join(request.headers.getlist("x-forwarded-for")).split(",")
    if forwarded[-1].strip() and _address(forwarded[-1]) is None:
        _warn_of_unreadable_address(peer)
    found = None
    for part in reversed(forwarded):
        found = _address(part)
        if found is None or not any(found in network for network in proxies):
            break
    return found


@lru_cache(maxsize=1024)
def _warn_of_unreadable_address(peer: str) -> None:
    """Log, once for each gateway, that all its clients are counted as one address."""
    log.warning("last address in X-Forwarded-For cannot be read: the gateway's own is used", gateway=peer)


def counted_address(address: str | None) -> str:
    """Return the address by which rate limits count: for IPv6 the /64 network, which belongs to one customer."""
    found = _address(address or "")
    if isinstance(found, IPv6Address):
        return str(ip_network((found, 64), strict=False))
    return str(found) if found else ""


def _address(text: str) -> IPv4Address | IPv6Address | None:
    text = text.strip()
    if with_port := _WITH_PORT.fullmatch(text):
        text = with_port[1] or with_port[2]
    try:
        found = ip_address(text)
    except ValueError:
        return None
    # A dual-stack listener reports IPv4 clients as `::ffff:203.0.113.9`.
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found


@lru_cache(maxsize=1024)
def _is_gateway(peer: str, networks: str) -> bool:
    found = _address(peer)
    return found is not None and any(
        found in ip_network(part.strip()) for part in networks.split(",") if part.strip()
    )
