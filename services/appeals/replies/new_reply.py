"""A reply as its author wrote it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True)
class NewReply:
    """A reply as its author wrote it. `attachment_ids`: None leaves those of a saved draft as they are."""

    text: str
    kind: str
    promised_at: datetime | None
    message_id: UUID | None
    attachment_ids: Sequence[UUID] | None = ()
    outcome: str | None = None
    ask_mark: bool = False
