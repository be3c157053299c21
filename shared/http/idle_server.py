"""The web server of a process that may have nothing to do for a long time."""

import asyncio
from contextlib import suppress
from types import FrameType

import uvicorn

# The `Date` header of responses has whole seconds.
TICK_SECONDS = 1.0


class IdleServer(uvicorn.Server):
    """A server that wakes once a second and on a signal; uvicorn's own looks ten times a second whether to exit,
    which takes 0.1 % of a core in each process.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._signalled: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def main_loop(self) -> None:
        """Run until a signal asks to exit."""
        self._loop, self._signalled = asyncio.get_running_loop(), asyncio.Event()
        # Tick 0 renews the header.
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_SECONDS):
                    await self._signalled.wait()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Exit as uvicorn does, and at once."""
        super().handle_exit(sig, frame)
        if self._loop is not None and self._signalled is not None:
            self._loop.call_soon_threadsafe(self._signalled.set)
