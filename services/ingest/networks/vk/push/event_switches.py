"""Switch on the events that we support: long poll and each callback server have a switch for each event type."""

from collections.abc import Awaitable, Callable
from typing import Any

from services.ingest.networks.calls import CallError, NoUsableToken, NoValidResponse
from services.ingest.networks.vk.push import vk_push

VERSION = "5.199"


def all_switches() -> dict[str, Any]:
    """Return the parameters that switch on all supported events."""
    return {"api_version": VERSION, **dict.fromkeys(vk_push.SUPPORTED_EVENTS, 1)}


async def ensure_events_enabled(read: Callable[[], Awaitable[Any]], change: Callable[..., Awaitable[Any]]) -> bool:
    """Switch on the supported events, unless all are on; return whether events were not delivered before.

    `read` returns the settings, `change` sets the given ones.
    """
    before = await read()
    if _are_enabled(before):
        return False
    await change(**all_switches())
    try:
        # The network may ignore the change: then no more events are delivered than before.
        return bool(await read() != before)
    except (CallError, NoUsableToken, NoValidResponse):
        return True


def _are_enabled(settings: Any) -> bool:
    flags = settings.get("events") if isinstance(settings, dict) else None
    if not isinstance(flags, dict) or settings.get("api_version") != VERSION:
        return False
    # Only long poll can be switched off as a whole.
    return bool(settings.get("is_enabled", True)) and all(flags.get(name) for name in vk_push.SUPPORTED_EVENTS)
