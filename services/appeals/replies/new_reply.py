"""A reply as its author wrote it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True)
class NewReply:
    """The content of a reply, as submitted by its author. `attachment_ids`: None keeps the attachments of a saved
    draft.
    """

    text: str
    kind: str
    promised_at: datetime | None
    message_id: UUID | None
    attachment_ids: Sequence[UUID] | None = ()
    outcome: str | None = None
    ask_mark: bool = False
