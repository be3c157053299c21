"""Events about changed access. They contain ids and field names, never people's names or values of fields."""

from collections.abc import Collection

from shared.contracts.registry_events import ClientChanged, PersonChanged
from shared.database.sessions import WriteSession
from shared.events.outbox import NewEvent, emit
from shared.tables.registry import ApiClient, Person


async def emit_access_changed(
    session: WriteSession,
    subject: Person | ApiClient,
    actor: str,
    changed: Collection[str],
) -> None:
    """Emit an event with the names of the changed fields of a person or client; no event when none changed."""
    if changed:
        model = PersonChanged if isinstance(subject, Person) else ClientChanged
        event = NewEvent(
            data=model(changed=sorted(changed), version=subject.version),
            subject_id=subject.id,
            organisation_id=subject.organisation_id,
            actor=actor,
        )
        await emit(session, event)
