"""Wait until a condition holds. Timeouts are generous: only a hanging test reaches them."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

# Below pytest's timeout of 300 s, so that the failure names the condition. `tests.known_defects` sets less.
HANG_SECONDS = float(os.environ.get("HANG_SECONDS", "240"))


async def eventually(
    look: Callable[[], Awaitable[T | None]],
    what: str = "what was waited for",
    *,
    seconds: float = HANG_SECONDS,
    every: float = 0.1,
) -> T:
    """Return the first true result of `look`; raise an AssertionError with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        found = await look()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        await asyncio.sleep(every)


async def eventually_true(condition: Callable[[], bool], what: str = "what was waited for") -> None:
    """Wait until a synchronous condition holds."""

    async def look() -> bool:
        return condition()

    await eventually(look, what, every=0.02)


def eventually_blocking(look: Callable[[], T | None], what: str = "what was waited for") -> T:
    """Return the first true result of `look`, as `eventually` does, in code without an event loop."""
    deadline = time.monotonic() + HANG_SECONDS
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {HANG_SECONDS:.0f} s: {what}"
        time.sleep(0.05)
