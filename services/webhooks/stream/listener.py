"""A listener: one open stream, the events it wants, and the messages that wait to be sent."""

import asyncio
from collections import deque
from collections.abc import Collection
from uuid import UUID

from services.webhooks.schemas.stream import StreamEndReason
from shared import clock
from shared.auth.callers import Caller
from shared.auth.rights import Right
from shared.events.listen_notify import wait_for_notification
from shared.tables.common import Event

# How many messages are sent together; the send timeout for slow readers applies to such a chunk.
CHUNK = 50


class Listener:
    """One open stream. Its buffer is bounded: a listener that falls behind reads the rest from the database."""

    def __init__(
        self, caller: Caller, types: Collection[str], *, subject_id: UUID | None = None, capacity: int = 1_000
    ) -> None:
        """`caller` has the right to read events; `types` are the requested types that the caller may read."""
        self.caller = caller
        # Computed once, since each event is compared with many listeners. `LiveStream.end_without_access` ends the
        # stream when the caller's access changes.
        self.types = frozenset(types) if Right.EVENTS_READ in caller.rights else frozenset()
        self._is_region_wide = caller.is_region_wide
        self.subject_id = subject_id
        # All events up to this position that the listener wants were sent or are in the buffer.
        self.reached = 0
        self._overflowed = False
        self.end: StreamEndReason | None = None
        self._capacity = capacity
        self._frames: deque[bytes] = deque()
        self._ready = asyncio.Event()

    def wants(self, event: Event, lineage: Collection[UUID]) -> bool:
        """Return whether this listener wants an event; `lineage` is the lineage of the event's organisation."""
        return (
            event.type in self.types
            and (self.subject_id is None or event.subject_id == self.subject_id)
            and (event.position or 0) > self.reached
            and (self._is_region_wide or self._may_see(event.organisation_id, lineage))
        )

    def _may_see(self, organisation_id: UUID | None, lineage: Collection[UUID]) -> bool:
        if organisation_id is None:
            return False
        own = self.caller.organisation_id
        return own == organisation_id or (self.caller.include_subordinates and own in lineage)

    @property
    def room(self) -> int:
        """Return how many messages the buffer can still take."""
        return self._capacity - len(self._frames)

    def follow_from(self, position: int) -> None:
        """Begin to follow the live tail after the events up to `position`."""
        self.reached = position
        self._overflowed = False

    def put(self, position: int, frame: bytes) -> None:
        """Add the message of the event at a position. If the buffer is full, refuse this and all later messages
        until the listener follows the live tail again.
        """
        if self.end is not None or self._overflowed:
            return
        if len(self._frames) >= self._capacity:
            self._overflowed = True
            return
        self._frames.append(frame)
        self.reached = position
        self._ready.set()

    @property
    def is_behind(self) -> bool:
        """Return whether messages after `reached` were refused, and all messages before them were taken."""
        return self._overflowed and not self._frames

    def finish(self, reason: StreamEndReason) -> None:
        """End the stream; only the first reason counts. Waiting messages are dropped: the client continues after
        the last event that it got.
        """
        if self.end is None:
            self.end = reason
            self._frames.clear()
            self._ready.set()

    def finish_if_expired(self) -> None:
        """End the stream when the caller's token has expired."""
        if self.seconds_left() <= 0:
            self.finish(StreamEndReason.TOKEN_EXPIRED)

    def seconds_left(self) -> float:
        """Return the seconds until the caller's token expires."""
        if self.caller.expires_at is None:
            return float("inf")
        return (self.caller.expires_at - clock.now()).total_seconds()

    async def take(self, seconds: float) -> bytes:
        """Return the next messages joined; empty if none came within the given seconds or the stream has ended."""
        if not self._frames and self.end is None:
            await wait_for_notification(self._ready, max(min(seconds, self.seconds_left()), 0))
        self.finish_if_expired()
        return b"".join(self._frames.popleft() for _ in range(min(CHUNK, len(self._frames))))
