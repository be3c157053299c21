"""Waiting until a condition holds. Timeouts are generous: only a test that hangs reaches them."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

SECONDS = 90.0


async def eventually(
    look: Callable[[], Awaitable[T | None]],
    what: str = "what was waited for",
    *,
    seconds: float = SECONDS,
    every: float = 0.1,
) -> T:
    """Return the first true result of `look`; raise an AssertionError naming `what` if there is none in time."""
    deadline = time.monotonic() + seconds
    while True:
        found = await look()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        await asyncio.sleep(every)


async def eventually_true(condition: Callable[[], bool], what: str = "what was waited for") -> None:
    """Wait until a condition that needs no await holds."""

    async def look() -> bool:
        return condition()

    await eventually(look, what, every=0.02)


def eventually_blocking(look: Callable[[], T | None], what: str = "what was waited for") -> T:
    """Do the same as `eventually`, for code without an event loop."""
    deadline = time.monotonic() + SECONDS
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {SECONDS:.0f} s: {what}"
        time.sleep(0.05)
