"""The outbox: events for other services, numbered after commit, read by position.

A writer inserts events with `position` null, in the transaction of the change, after it locked or wrote the
subject's row. The insert takes the next number of a sequence, so the events of one subject are in the order in
which their transactions held its lock, whatever the machines' clocks show. The relay, one at a time under an
advisory lock, numbers committed rows in that order, without gaps on one server. A reader selects
`position > cursor` and advances its cursor in the transaction of its changes. With a sequence, a time or a
UUIDv7 assigned before commit, a reader could miss rows that commit late; a number assigned after commit prevents
this.
"""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import Dialect, TypeDecorator, func, select
from sqlalchemy.dialects.postgresql import JSONB

from shared import clock
from shared.contracts.event_base import EventData
from shared.database.bulk_insert import arrays_of, insert_arrays
from shared.database.sessions import WriteSession
from shared.events.listen_notify import EVENTS_WRITTEN
from shared.ids import new_id
from shared.tables.common import Event


@dataclass(frozen=True, kw_only=True)
class NewEvent:
    """An event to be written: its type and subject, who caused it and which organisation it concerns.

    The class of `data` is the type of the event.
    """

    data: EventData
    subject_id: UUID
    organisation_id: UUID | None
    actor: str
    occurred_at: datetime = field(default_factory=clock.now)


class _JsonText(TypeDecorator[str]):
    """JSONB whose value is already JSON text from the models, since encoding it again would slow down intake."""

    impl = JSONB
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> None:
        """Return None, so that the text is sent unchanged."""


_NOTIFY = select(func.pg_notify(EVENTS_WRITTEN, ""))
_COLUMNS = ("id", "type", "subject_id", "organisation_id", "actor", "occurred_at", "created_at", "data")
_INSERT = insert_arrays(Event, _COLUMNS, types={"data": _JsonText()})


async def emit(session: WriteSession, *events: NewEvent) -> None:
    """Write events in the session's transaction; a commit wakes the relay.

    The caller locks or writes the subject's row first; pending changes of the session are flushed here.
    """
    if not events:
        return
    await session.flush()
    created_at = clock.now()
    rows = [
        {
            "id": new_id(),
            "type": event.data.event_type,
            "subject_id": event.subject_id,
            "organisation_id": event.organisation_id,
            "actor": event.actor,
            "occurred_at": event.occurred_at,
            "created_at": created_at,
            "data": event.data.to_json(),
        }
        for event in events
    ]
    await session.execute(_INSERT, arrays_of(rows, _COLUMNS))
    if not session.info.get("outbox_notified"):
        await session.execute(_NOTIFY)
        session.info["outbox_notified"] = True
