"""A reply as its author wrote it."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True)
class NewReply:
    """A reply as its author wrote it."""

    text: str
    kind: str
    promised_at: datetime | None
    message_id: UUID | None
