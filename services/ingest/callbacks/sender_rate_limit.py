"""Rate limit for senders of rejected events, against guessing of secrets."""

import asyncio
from collections import OrderedDict

from shared.http.client_address import counted_address

PERIOD_SECONDS = 60.0
MAX_REJECTIONS = 60
# Number of senders kept; the one rejected longest ago is dropped first.
MAX_SENDERS = 10_000


class RejectedSenderLimit:
    """Counts rejected events by sender, for IPv6 by network: one customer has all addresses of a network.

    Accepted events do not count: one address pushes for many pages.
    """

    def __init__(self) -> None:
        self._counts: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def exceeded(self, sender: str | None) -> bool:
        """Return whether this sender has reached the maximum number of rejections per minute."""
        began, count = self._counts.get(counted_address(sender), (0.0, 0))
        return count >= MAX_REJECTIONS and asyncio.get_running_loop().time() - began < PERIOD_SECONDS

    def record(self, sender: str | None) -> None:
        """Count a rejected event."""
        now, address = asyncio.get_running_loop().time(), counted_address(sender)
        began, count = self._counts.pop(address, (now, 0))
        self._counts[address] = (began, count + 1) if now - began < PERIOD_SECONDS else (now, 1)
        if len(self._counts) > MAX_SENDERS:
            self._counts.popitem(last=False)
