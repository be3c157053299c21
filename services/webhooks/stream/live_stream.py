"""The open streams of a process: their number, the access of their callers, and the reader that they share."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from uuid import UUID

import prometheus_client

from services.webhooks.schemas.stream import StreamEndReason
from services.webhooks.settings import webhooks_settings
from services.webhooks.stream.listener import Listener
from services.webhooks.stream.live_tail import LiveTail
from shared.auth import token_recheck
from shared.database.outages import is_outage
from shared.database.sessions import Database
from shared.events.consumer import AFTER_OUTAGE_SECONDS
from shared.events.listen_notify import EVENTS_NUMBERED, wait_for_notification
from shared.http.problems import TooManyRequests, Unavailable
from shared.logs import get_logger
from shared.service import Service

log = get_logger(__name__)

OPEN_STREAMS = prometheus_client.Gauge("gospablik_open_streams", "Event streams that are open")
ENDED_STREAMS = prometheus_client.Counter("gospablik_ended_streams_total", "Event streams that ended", ["reason"])
STREAM_OVERFLOWS = prometheus_client.Counter(
    "gospablik_stream_overflows_total",
    "How often a stream's buffer was full and the rest was read from the database",
)
# Notifications may be lost, so the reader also reads after this time.
POLL_SECONDS = 2.0
# Concurrent reads of the feed: many clients reconnect at once, and other requests need connections too.
CATCH_UP_READS = 2
READ_WAIT_SECONDS = 10.0
RETRY_AFTER_SECONDS = 10


class Slot:
    """A stream that is counted against the limits, from before the first query of its request until the stream
    ends.
    """

    def __init__(self, subject: str) -> None:
        self.subject = subject
        # The key of the counted organisation, None for the centre; empty until it is known.
        self.organisation: tuple[UUID | None, ...] = ()
        self.listener: Listener | None = None


class LiveStream:
    """The streams of one process that serves the API."""

    name = "stream"

    def __init__(self) -> None:
        self.tail = LiveTail()
        self._reads = asyncio.Semaphore(CATCH_UP_READS)
        self._open: set[Slot] = set()
        self._by_caller: Counter[str] = Counter()
        self._by_organisation: Counter[UUID | None] = Counter()
        self._stopping = False

    @contextmanager
    def reserve(self, subject: str) -> Iterator[Slot]:
        """Count a stream of the caller while the block runs.

        Raise `TooManyRequests` if the caller has too many streams, `Unavailable` if the process has too many or
        stops. Nothing is awaited between the check and the count, so that parallel requests cannot pass the limit
        together.
        """
        limits = webhooks_settings()
        headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
        if self._stopping or len(self._open) >= limits.stream_per_process:
            raise Unavailable(
                "The server has too many open event streams or is stopping: try again after `Retry-After` seconds",
                headers=headers,
            )
        if self._by_caller[subject] >= limits.stream_per_caller:
            raise TooManyRequests(
                f"You have {limits.stream_per_caller} open event streams: close one of them", headers=headers
            )
        slot = Slot(subject)
        self._open.add(slot)
        self._by_caller[subject] += 1
        OPEN_STREAMS.set(len(self._open))
        try:
            yield slot
        finally:
            if slot.listener is not None:
                self.tail.detach(slot.listener)
            self._open.discard(slot)
            self._by_caller[subject] -= 1
            if not self._by_caller[subject]:
                del self._by_caller[subject]
            for organisation_id in slot.organisation:
                self._by_organisation[organisation_id] -= 1
                if not self._by_organisation[organisation_id]:
                    del self._by_organisation[organisation_id]
            OPEN_STREAMS.set(len(self._open))

    def count_organisation(self, slot: Slot, organisation_id: UUID | None) -> None:
        """Count the slot for the caller's organisation too; the centre (None) counts as one organisation.

        Raise `TooManyRequests` if it has too many streams: with many clients an organisation could otherwise take
        all streams of the process. The organisation is known later than the subject, since a ticket contains only
        the subject.
        """
        limit = webhooks_settings().stream_per_organisation
        if self._by_organisation[organisation_id] >= limit:
            holder = "The centre" if organisation_id is None else "Your organisation"
            raise TooManyRequests(
                f"{holder} has {limit} open event streams: close one of them",
                headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
            )
        self._by_organisation[organisation_id] += 1
        slot.organisation = (organisation_id,)

    def register_listener(self, slot: Slot, listener: Listener) -> None:
        """Register the slot's listener: it is ended when its caller loses access, or when the process stops."""
        slot.listener = listener
        if self._stopping:
            listener.finish(StreamEndReason.SHUTDOWN)

    @asynccontextmanager
    async def reading(self, *, within: float | None = None) -> AsyncIterator[None]:
        """Limit how many streams and requests read the feed at once. Raise `TimeoutError`, which counts as an
        outage, after waiting for `within` seconds. An open stream waits without limit: if it ended, its client
        would only reconnect.
        """
        async with asyncio.timeout(within):
            await self._reads.acquire()
        try:
            yield
        finally:
            self._reads.release()

    def stop(self) -> None:
        """End all streams, and refuse new ones."""
        self._stopping = True
        self._end_all(StreamEndReason.SHUTDOWN)

    def _listeners(self) -> list[Listener]:
        return [slot.listener for slot in self._open if slot.listener is not None]

    def _end_all(self, reason: StreamEndReason) -> None:
        for listener in self._listeners():
            listener.finish(reason)

    async def run(self, service: Service) -> None:
        """Hand out new events and check access again until cancelled."""
        checked_at = time.monotonic()

        async def recheck() -> None:
            nonlocal checked_at
            checked_at = time.monotonic()
            await self.end_without_access(service.database)

        async with service.wakeups.subscribe(EVENTS_NUMBERED) as notified:
            self.tail.wakeup = notified
            while True:
                await wait_for_notification(notified, POLL_SECONDS)
                try:
                    more = True
                    while more:
                        if time.monotonic() - checked_at >= webhooks_settings().stream_recheck_seconds:
                            await recheck()
                        more = self.tail.active and await self.tail.advance(service.database, recheck)
                    if not self.tail.active:
                        self.tail.drop_recent()
                except Exception as error:
                    if not is_outage(error):
                        self._end_all(StreamEndReason.UNAVAILABLE)
                        raise
                    log.warning("event streams waiting for database", error=repr(error)[:300])
                    await asyncio.sleep(AFTER_OUTAGE_SECONDS)

    async def end_without_access(self, database: Database) -> None:
        """End the streams of callers who no longer have the access that their token names."""
        listeners = self._listeners()
        if not listeners:
            return
        async with database.read() as session:
            allowed = await token_recheck.callers_with_access(session, {one.caller for one in listeners})
        for listener in listeners:
            if listener.caller not in allowed:
                listener.finish(StreamEndReason.ACCESS_CHANGED)
