"""Wake-ups: LISTEN on one dedicated connection per process, so that workers sleep instead of polling."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from shared.database.outages import is_outage
from shared.database.sessions import connect
from shared.logs import logger
from shared.supervision import Backoff

OUTBOX = "gospablik_outbox"  # someone wrote events: number them
EVENTS = "gospablik_events"  # events were numbered: read them

log = logger(__name__)

LOOK = 10.0
RECONNECT_BACKOFF = Backoff(0.2, 5.0)


class WakeUps:
    """Lets coroutines wait for a channel. A wake-up is a hint: every waiter also looks by itself in time."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = {}

    @asynccontextmanager
    async def subscribed(self, *channels: str) -> AsyncIterator[asyncio.Event]:
        """An event that is set whenever one of the channels rings."""
        event = asyncio.Event()
        event.set()
        for channel in channels:
            self._waiting.setdefault(channel, set()).add(event)
        try:
            yield event
        finally:
            for channel in channels:
                self._waiting[channel].discard(event)

    def ring(self, channel: str) -> None:
        """Wake all who wait for the channel."""
        for event in self._waiting.get(channel, ()):
            event.set()

    def ring_all(self) -> None:
        """Wake everyone: after a reconnect nobody knows what was missed."""
        for channel in self._waiting:
            self.ring(channel)

    async def run(self, url: str, channels: tuple[str, ...] = (OUTBOX, EVENTS)) -> None:
        """Hold the LISTEN connection until cancelled, reconnecting with a bounded back-off."""
        failures = 0
        while True:
            try:
                connection = await connect(url, server_settings={"application_name": "gospablik-wakeups"})
            except Exception as error:
                if not is_outage(error):
                    raise
                failures += 1
                delay = RECONNECT_BACKOFF.delay(failures)
                log.warning("wake-ups: no connection", error=repr(error), retry_in=delay)
                await asyncio.sleep(delay)
                continue
            failures = 0
            closed = asyncio.Event()
            connection.add_termination_listener(lambda _, closed=closed: closed.set())

            def heard(_connection: Any, _pid: int, channel: str, _payload: object) -> None:
                self.ring(channel)

            try:
                for channel in channels:
                    await connection.add_listener(channel, heard)
                self.ring_all()
                while not closed.is_set():
                    with suppress(TimeoutError):
                        await asyncio.wait_for(closed.wait(), LOOK)
                        break
                    # A server that vanished without a word closes nothing.
                    await connection.fetchval("SELECT 1", timeout=LOOK)
            except Exception as error:
                if not is_outage(error):
                    raise
                log.warning("wake-ups: connection lost", error=repr(error))
            finally:
                connection.terminate()


async def wait(event: asyncio.Event, seconds: float) -> None:
    """Wait for a wake-up, at most `seconds`; then clear it."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
    finally:
        event.clear()
