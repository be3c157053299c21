"""The live tail: one reader per process follows the relay and hands new events to all listeners in memory."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterator
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select

from services.webhooks.stream.frames import event_frame
from services.webhooks.stream.listener import Listener
from shared.auth.callers import Caller
from shared.database.sessions import Database
from shared.tables.common import Event
from shared.tables.registry import Organisation

BATCH = 500
# How long, and at most how many, events are remembered for listeners that come back.
KEPT_SECONDS, KEPT_EVENTS = 60.0, 500
# The organisations whose events a listener may see: one, with or without those below it. It only preselects
# listeners: `Listener.wants` decides.
Audience = tuple[UUID | None, bool]
_REGION: Audience = (None, True)
# After these events a listener may have lost access.
ACCESS_EVENT_TYPES = frozenset({"person.changed", "client.changed"})


@dataclass
class RecentEvent:
    """An event that was sent, its organisation's lineage, and its message once a listener wanted it."""

    event: Event
    lineage: Collection[UUID]
    read_at: float
    frame: bytes | None = None

    @property
    def position(self) -> int:
        """Return the event's position."""
        return self.event.position or 0

    def hand_to(self, listener: Listener) -> None:
        """Add the message to the listener's buffer if the listener wants it."""
        if listener.wants(self.event, self.lineage):
            self.frame = self.frame or event_frame(self.event)
            listener.put(self.position, self.frame)


class LiveTail:
    """Reads events after its position while there are listeners, and for a short time afterwards.

    It keeps recent events, so that a listener that reconnects soon, or finished its catch-up while events came,
    does not have to read another page from the database.
    """

    def __init__(self) -> None:
        self.position = 0
        self._listeners: dict[Audience, set[Listener]] = {}
        # Events after `_kept_after` up to `position`, in order.
        self._recent: deque[RecentEvent] = deque()
        self._kept_after = 0
        self._active_until = 0.0
        # Set when there is something to read.
        self.wakeup = asyncio.Event()

    @property
    def active(self) -> bool:
        """Return whether there are listeners, or were until recently."""
        return bool(self._listeners) or time.monotonic() < self._active_until

    def attach(self, listener: Listener, reached: int, *, end: int | None) -> bool:
        """Attach a listener that has all events up to `reached`; return False if it must read more pages first.

        `end` is the position of the last event if the listener read up to it: an idle tail starts there. It never
        starts at a position given by a client, which may be beyond the end. The listener gets the recent events
        after `reached`. Nothing is awaited here, so no event is lost or sent twice.
        """
        if not self.active:
            if end is None:
                return False
            self.position = self._kept_after = end
            self._recent.clear()
        elif reached < self._kept_after:
            return False
        listener.follow_from(reached)
        missed = [recent for recent in self._recent if listener.wants(recent.event, recent.lineage)]
        if len(missed) > listener.room:
            return False
        for recent in missed:
            recent.hand_to(listener)
        self._listeners.setdefault(_audience(listener.caller), set()).add(listener)
        self.wakeup.set()
        return True

    def drop_recent(self) -> None:
        """Drop the recent events, because there are no listeners."""
        self._recent.clear()

    def detach(self, listener: Listener) -> None:
        """Detach a listener, if it is attached."""
        audience = _audience(listener.caller)
        if (group := self._listeners.get(audience)) is None or listener not in group:
            return
        group.remove(listener)
        if not group:
            del self._listeners[audience]
        self._active_until = time.monotonic() + KEPT_SECONDS

    async def advance(self, database: Database, recheck: Callable[[], Awaitable[None]]) -> bool:
        """Read the next events and send them to listeners; return False if there are none.

        `recheck` ends the streams of callers without access. It is called before a batch that contains a change of
        access is sent.
        """
        start = self.position
        query = (
            select(Event, Organisation.lineage)
            .outerjoin(Organisation, Organisation.id == Event.organisation_id)
            .where(Event.position > start)
            .order_by(Event.position)
            .limit(BATCH)
        )
        async with database.read() as session:
            rows = (await session.execute(query)).all()
        if any(row.Event.type in ACCESS_EVENT_TYPES for row in rows):
            await recheck()
        if self.position != start:  # the tail became idle meanwhile, and a new listener set another position
            return True
        read_at = time.monotonic()
        for event, lineage in rows:
            self._hand_out(RecentEvent(event, lineage or (), read_at))
        self._forget(read_at)
        return bool(rows)

    def _hand_out(self, recent: RecentEvent) -> None:
        for audience in _audiences(recent.event.organisation_id, recent.lineage):
            for listener in self._listeners.get(audience, ()):
                recent.hand_to(listener)
        self._recent.append(recent)
        self.position = recent.position
        if recent.event.type == "organisation.changed":
            # The audience of earlier events may have changed, so listeners read them from the database again.
            self._recent.clear()
            self._kept_after = self.position

    def _forget(self, now: float) -> None:
        while self._recent and (len(self._recent) > KEPT_EVENTS or now - self._recent[0].read_at > KEPT_SECONDS):
            self._kept_after = self._recent.popleft().position


def _audience(caller: Caller) -> Audience:
    return _REGION if caller.is_region_wide else (caller.organisation_id, caller.include_subordinates)


def _audiences(organisation_id: UUID | None, lineage: Collection[UUID]) -> Iterator[Audience]:
    """Yield the audiences that may see the events of an organisation, each once."""
    yield _REGION
    if organisation_id is not None:
        yield organisation_id, False
        for each in {organisation_id, *lineage}:
            yield each, True
