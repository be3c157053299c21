"""Texts of citizens' messages, read when deliveries are created, since events contain no texts."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select

from services.webhooks.event_catalogue.catalogue import CATALOGUE
from services.webhooks.event_catalogue.payloads import AppealMessagePayload
from shared.database.sessions import WriteSession
from shared.tables.appeals import Appeal
from shared.tables.common import Event
from shared.tables.ingest import Message


async def load_message_texts(session: WriteSession, events: Sequence[Event]) -> dict[UUID, str]:
    """Return by event id the current text of its message; without a message, the text that opened the appeal."""
    worded = [event for event in events if issubclass(CATALOGUE[event.type].data, AppealMessagePayload)]
    message_of = {event.id: _message(event) for event in worded}
    messages = await session.execute(
        select(Message.id, Message.text).where(
            Message.id.in_({message_id for message_id in message_of.values() if message_id})
        )
    )
    text_of_message = {row.id: row.text for row in messages}
    without = {event.subject_id for event in worded if message_of[event.id] not in text_of_message}
    appeal_rows = (
        await session.execute(select(Appeal.id, Appeal.text).where(Appeal.id.in_(without))) if without else ()
    )
    text_of_appeal = {row.id: row.text for row in appeal_rows}
    message_id: dict[UUID, str] = {}
    for event in worded:
        message = message_of[event.id]
        text = text_of_message.get(message) if message else None
        text = text if text is not None else text_of_appeal.get(event.subject_id)
        if text is not None:
            message_id[event.id] = text.replace("\x00", "")  # jsonb cannot hold NUL.
    return message_id


def _message(event: Event) -> UUID | None:
    message_id = event.data.get("message_id")
    return UUID(message_id) if message_id else None
