"""A page as people name it: an address in the network, a short name, or our id."""

import re
from typing import Any
from uuid import UUID

from cli.remote import Remote, RemoteError

# Addresses that hold the network's own id.
_NUMBERED = (
    ("vk", re.compile(r"^(?:vk\.com|vk\.ru)/(?:club|public|event)(\d+)$")),
    ("vk", re.compile(r"^(?:vk\.com|vk\.ru)/wall-(\d+)(?:_\d+)?$")),
    ("ok", re.compile(r"^ok\.ru/group/(\d+)(?:/.*)?$")),
)


def short(address: str) -> str:
    """An address without what does not tell pages apart: scheme, `www.` or `m.`, query, capitals."""
    bare = re.sub(r"^https?://", "", address.strip(), flags=re.IGNORECASE).lower()
    return re.sub(r"^(?:www|m)\.", "", bare).split("?", 1)[0].split("#", 1)[0].rstrip("/")


def by_number(address: str) -> tuple[str, str] | None:
    """Network and the network's own id, where the address holds it."""
    for network, pattern in _NUMBERED:
        if found := pattern.match(short(address)):
            return network, found[1]
    return None


async def find_page(remote: Remote, given: str) -> dict[str, Any]:
    """The registered page that is meant. Raises `RemoteError` when there is none, or more than one."""
    try:
        return await remote.get(f"/pages/{UUID(given)}")
    except ValueError:
        pass
    if (numbered := by_number(given)) is not None:
        network, external_id = numbered
        found = (await remote.get("/pages", network=network, external_id=external_id))["items"]
    else:
        wanted = short(given)
        name = wanted.rpartition("/")[2]
        bare = "/" not in wanted
        found = [
            page
            async for page in remote.items("/pages")
            if short(page["url"]) == wanted or (bare and (page["screen_name"] or "").lower() == name)
        ] or ([] if bare else await _by_screen_name(remote, wanted))
    if not found:
        raise RemoteError(f"No page «{given}» is registered: give its address in the network or our id")
    if len(found) > 1:
        raise RemoteError(f"«{given}» may be {', '.join(page['url'] for page in found)}: give the whole address")
    page: dict[str, Any] = found[0]
    return page


async def _by_screen_name(remote: Remote, wanted: str) -> list[dict[str, Any]]:
    """Pages of the network that the address names, by their short name."""
    host, _, name = wanted.rpartition("/")
    network = {"vk.com": "vk", "vk.ru": "vk", "ok.ru": "ok"}.get(host)
    if network is None:
        return []
    pages = remote.items("/pages", network=network)
    return [page async for page in pages if (page["screen_name"] or "").lower() == name]
