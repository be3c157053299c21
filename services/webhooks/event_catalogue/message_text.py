"""Texts of citizens' messages, read when deliveries are created, since events contain no texts."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select

from services.webhooks.event_catalogue.catalogue import WITH_TEXT
from shared.contracts.stored_events import parse_event
from shared.database.sessions import WriteSession
from shared.tables.appeals import Appeal
from shared.tables.common import Event
from shared.tables.ingest import Message


async def load_message_texts(session: WriteSession, events: Sequence[Event]) -> dict[UUID, str]:
    """Return current message texts by event id; for an event without message, the text that opened the appeal."""
    parsed = ((event, parse_event(event)) for event in events)
    message_of = {event: data.message_id for event, data in parsed if isinstance(data, WITH_TEXT)}
    messages = await session.execute(
        select(Message.id, Message.text).where(Message.id.in_({found for found in message_of.values() if found}))
    )
    text_of_message = {row.id: row.text for row in messages}
    without = {event.subject_id for event, found in message_of.items() if found not in text_of_message}
    appeal_rows = (
        await session.execute(select(Appeal.id, Appeal.text).where(Appeal.id.in_(without))) if without else ()
    )
    text_of_appeal = {row.id: row.text for row in appeal_rows}
    texts: dict[UUID, str] = {}
    for event, found in message_of.items():
        text = text_of_message.get(found) if found else None
        text = text if text is not None else text_of_appeal.get(event.subject_id)
        if text is not None:
            texts[event.id] = text.replace("\x00", "")  # jsonb cannot store NUL characters.
    return texts
