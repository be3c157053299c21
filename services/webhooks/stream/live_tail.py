"""The live tail: one reader per process follows the relay and hands new events to all listeners in memory."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator
from uuid import UUID

from sqlalchemy import select

from services.webhooks.stream.frames import event_frame
from services.webhooks.stream.listener import Listener
from shared.auth.callers import Caller
from shared.database.sessions import Database
from shared.tables.common import Event
from shared.tables.registry import Organisation

BATCH = 500
# The part of the organisation tree whose events a listener may see: an organisation, with or without those below
# it. It only narrows whom to ask: `Listener.wants` decides.
Audience = tuple[UUID | None, bool]
_REGION: Audience = (None, True)
# After these a listener may no longer see what it saw before.
ACCESS_EVENT_TYPES = frozenset({"person.changed", "client.changed"})


class LiveTail:
    """Reads events after its position while there are listeners."""

    def __init__(self) -> None:
        self.position = 0
        self._listeners: dict[Audience, set[Listener]] = {}
        # Set when there is something to read.
        self.wakeup = asyncio.Event()

    @property
    def has_listeners(self) -> bool:
        """Return whether anybody listens."""
        return bool(self._listeners)

    def attach(self, listener: Listener, reached: int) -> bool:
        """Let a listener follow that has got everything up to a position; False: it must read further first.

        Nothing is lost and nothing comes twice, because this awaits nothing: the reader is at most as far as the
        listener, and the listener skips events up to where it was.
        """
        if not self.has_listeners:
            self.position = reached
        elif reached < self.position:
            return False
        listener.reached = reached
        self._listeners.setdefault(_audience(listener.caller), set()).add(listener)
        self.wakeup.set()
        return True

    def detach(self, listener: Listener) -> None:
        """Let a listener go, if it follows."""
        audience = _audience(listener.caller)
        if (group := self._listeners.get(audience)) is not None:
            group.discard(listener)
            if not group:
                del self._listeners[audience]

    async def advance(self, database: Database, recheck: Callable[[], Awaitable[None]]) -> bool:
        """Read the next events and hand them out; False if there are none.

        `recheck` ends the streams of callers without access. It is called before events that follow a change of
        access are handed out.
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
        if self.position != start:  # the last listener left meanwhile, and another one began elsewhere
            return True
        for event, lineage in rows:
            self._hand_out(event, lineage or ())
        if rows:
            self.position = rows[-1].Event.position
        return bool(rows)

    def _hand_out(self, event: Event, lineage: Collection[UUID]) -> None:
        frame: bytes | None = None
        for audience in _audiences(event.organisation_id, lineage):
            for listener in self._listeners.get(audience, ()):
                if listener.wants(event, lineage):
                    frame = frame or event_frame(event)
                    listener.put(frame)


def _audience(caller: Caller) -> Audience:
    return _REGION if caller.is_region_wide else (caller.organisation_id, caller.include_subordinates)


def _audiences(organisation_id: UUID | None, lineage: Collection[UUID]) -> Iterator[Audience]:
    """Yield the audiences that may see the events of an organisation, each once."""
    yield _REGION
    if organisation_id is not None:
        yield organisation_id, False
        for each in {organisation_id, *lineage}:
            yield each, True
