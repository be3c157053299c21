"""How often each sender was refused lately: whoever guesses is told to slow down."""

import asyncio
from collections import OrderedDict

PERIOD = 60.0
MOST = 60
# Senders that are remembered; the one refused longest ago is forgotten first.
SENDERS = 10_000


class Refusals:
    """Counts refused requests by sender. What is admitted is never held up: one address pushes for many pages."""

    def __init__(self) -> None:
        self._counts: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def too_many(self, sender: str | None) -> bool:
        """Return whether this sender was refused too often in the last minute."""
        began, count = self._counts.get(sender or "", (0.0, 0))
        return count >= MOST and asyncio.get_running_loop().time() - began < PERIOD

    def refused(self, sender: str | None) -> None:
        """Count one more."""
        now = asyncio.get_running_loop().time()
        began, count = self._counts.pop(sender or "", (now, 0))
        self._counts[sender or ""] = (began, count + 1) if now - began < PERIOD else (now, 1)
        if len(self._counts) > SENDERS:
            self._counts.popitem(last=False)
