"""Events about changed access. They name ids and fields, never names or values of people."""

from collections.abc import Collection
from typing import Literal

from shared.database.sessions import WriteSession
from shared.events.outbox import NewEvent, emit
from shared.tables.registry import ApiClient, Person


async def emit_access_changed(
    session: WriteSession,
    event_type: Literal["person.changed", "client.changed"],
    subject: Person | ApiClient,
    actor: str,
    changed: Collection[str],
) -> None:
    """Emit an event that names the changed fields of a person or client; emit nothing when none changed."""
    if changed:
        data = {"changed": sorted(changed), "version": subject.version}
        event = NewEvent(
            type=event_type, subject_id=subject.id, organisation_id=subject.organisation_id, actor=actor, data=data
        )
        await emit(session, event)
