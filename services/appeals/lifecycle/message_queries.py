"""Queries by which the appeals service reads the messages of ingest."""

from sqlalchemy import Select, select
from sqlalchemy.orm import defer

from shared.tables.ingest import Message

# Only ingest may read the raw payload.
WITHOUT_RAW_PAYLOAD = defer(Message.raw, raiseload=True)


def select_messages() -> Select[Message]:
    """Return a query that selects messages without their raw payload."""
    return select(Message).options(WITHOUT_RAW_PAYLOAD)
