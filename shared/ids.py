"""Identifiers made in the application."""

from uuid import UUID

import uuid_utils


def new_id() -> UUID:
    """A UUIDv7: sortable by creation, never used as a cursor before commit (see shared/events/outbox.py)."""
    return UUID(bytes=uuid_utils.uuid7().bytes)
