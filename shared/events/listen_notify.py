"""LISTEN on one connection per process, so that workers wait for notifications instead of polling."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from typing import Any

from shared.database.outages import is_outage
from shared.database.sessions import ReadOnlyServerError, connect
from shared.logs import get_logger
from shared.supervision import Backoff, WorkerReport, report_nothing

EVENTS_WRITTEN = "gospablik_outbox"  # events were written and have to be numbered
# Events were numbered and can be read. The payload names the first and last position and the types of these
# events: "801 812 appeal.opened,message.received"; a relay of an earlier version sends none.
EVENTS_NUMBERED = "gospablik_events"
# Sent only within this process: two polls in a row found rows to number, so perhaps no relay works.
OUTBOX_WAITS = "outbox waits"

log = get_logger(__name__)

PROBE_SECONDS = 10.0
OUTBOX_SECONDS = 1.0
# The longest wait for a notification, which may be lost; shorter while there is no LISTEN connection.
LONGEST_WAIT_SECONDS, LONGEST_WAIT_UNCONNECTED_SECONDS = 10.0, 1.0
_OUTBOX = """SELECT (SELECT max(position) FROM events), EXISTS (SELECT FROM events WHERE position IS NULL)
    OR EXISTS (SELECT FROM audit WHERE position IS NULL), current_setting('transaction_read_only') = 'on'"""
RECONNECT_BACKOFF = Backoff(0.2, 5.0)


class NotificationListener:
    """Lets coroutines wait for notifications. These may be lost, so every waiter also polls after a time.

    With `polls_outbox` the connection also polls the outbox every second for all waiters, because audit rows are
    written without a notification.
    """

    def __init__(self, *, polls_outbox: bool = False) -> None:
        self._polls_outbox = polls_outbox
        self._connected = False
        # The waiters of each channel, with the types of events that they wait for; None: all.
        self._waiting: dict[str, dict[asyncio.Event, frozenset[str] | None]] = {}
        self._last_position: int | None = None
        self._outbox_waited = False

    @property
    def longest_wait(self) -> float:
        """Return how many seconds a waiter waits for a notification before it polls."""
        return LONGEST_WAIT_SECONDS if self._connected else LONGEST_WAIT_UNCONNECTED_SECONDS

    @asynccontextmanager
    async def subscribe(self, channel: str, types: Collection[str] | None = None) -> AsyncIterator[asyncio.Event]:
        """Yield an event that is set at every notification on the channel, except those that name only other
        types of events than `types`.
        """
        event = asyncio.Event()
        event.set()
        waiting = self._waiting.setdefault(channel, {})
        waiting[event] = None if types is None else frozenset(types)
        try:
            yield event
        finally:
            del waiting[event]

    def notify_local(self, channel: str, types: Collection[str] | None = None) -> None:
        """Wake the waiters of the channel in this process; with `types`, only those that wait for one of them."""
        for event, wanted in self._waiting.get(channel, {}).items():
            if types is None or wanted is None or not wanted.isdisjoint(types):
                event.set()

    def notify_all_local(self) -> None:
        """Wake all waiters in this process, since notifications may have been missed before a reconnect."""
        for channel in self._waiting:
            self.notify_local(channel)

    async def run(
        self,
        url: str,
        report: WorkerReport = report_nothing,
        channels: tuple[str, ...] = (EVENTS_WRITTEN, EVENTS_NUMBERED),
    ) -> None:
        """Hold the LISTEN connection until cancelled, reconnecting with a bounded backoff.

        `report` gets the error while there is no connection: `url` may fail although other connections work.
        """
        failures = 0
        while True:
            try:
                connection = await connect(url, server_settings={"application_name": "gospablik-wakeups"})
            except Exception as error:
                if not is_outage(error):
                    raise
                failures += 1
                delay = RECONNECT_BACKOFF.delay(failures)
                log.warning("listen connection failed", error=repr(error), retry_in_seconds=delay)
                report(repr(error))
                await asyncio.sleep(delay)
                continue
            failures = 0
            closed = asyncio.Event()
            connection.add_termination_listener(lambda _, closed=closed: closed.set())

            def on_notification(_connection: Any, _pid: int, channel: str, payload: str) -> None:
                self.notify_local(channel, self._numbered_types(payload) if channel == EVENTS_NUMBERED else None)

            try:
                for channel in channels:
                    await connection.add_listener(channel, on_notification)
                self._connected = True
                report(None)
                self.notify_all_local()
                while not closed.is_set():
                    with suppress(TimeoutError):
                        async with asyncio.timeout(OUTBOX_SECONDS if self._polls_outbox else PROBE_SECONDS):
                            await closed.wait()
                        break
                    # The connection stays open if the server disappears, so probe it.
                    if self._polls_outbox:
                        last, waits, is_read_only = await connection.fetchrow(_OUTBOX, timeout=PROBE_SECONDS)
                        self._compare(last, outbox_waits=waits, is_read_only=is_read_only)
                    else:
                        await connection.fetchval("SELECT 1", timeout=PROBE_SECONDS)
            except Exception as error:
                if not is_outage(error):
                    raise
                log.warning("listen connection lost", error=repr(error))
                report(repr(error))
            finally:
                self._connected = False
                connection.terminate()

    def _numbered_types(self, payload: str) -> list[str] | None:
        """Return the types of events that a notification names; None if an earlier one was missed, or if another
        version sent it in another form.
        """
        try:
            first, last, types = payload.split(" ")
            follows = self._last_position is not None and int(first) == self._last_position + 1
            self._last_position = int(last)
        except ValueError:
            self._last_position = None
            return None
        return types.split(",") if follows else None

    def _compare(self, last_position: int | None, *, outbox_waits: bool, is_read_only: bool) -> None:
        """Wake the waiters of the channels for which there is something new that no notification has told.

        Raise `ReadOnlyServerError` on a read-only server, because nothing new will be written there.
        """
        if is_read_only:
            raise ReadOnlyServerError("the server is read-only")
        if last_position != self._last_position:
            self._last_position = last_position
            self.notify_local(EVENTS_NUMBERED)
        if outbox_waits:
            self.notify_local(EVENTS_WRITTEN)
            if self._outbox_waited:
                self.notify_local(OUTBOX_WAITS)
        self._outbox_waited = outbox_waits


async def wait_for_notification(event: asyncio.Event, seconds: float) -> None:
    """Wait for a notification, at most `seconds`, and clear the event."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
    finally:
        event.clear()
