"""What crosses the wire: what came in, and what could not be read."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from shared.networks import NetworkName

MessageKind = Literal["comment", "wall_post", "message"]


class MessageOut(BaseModel):
    """A citizen's or the community's words."""

    id: UUID
    network: NetworkName
    kind: MessageKind
    external_id: str
    page_id: UUID
    organisation_id: UUID
    thread_key: str
    reply_to: str | None
    author_key: str | None = Field(description="Pseudonym: the same person has the same one")
    from_community: bool
    publication_id: UUID | None = Field(description="Set when the words are an answer published from here")
    text: str
    attachments: list[Any]
    url: str
    history: bool = Field(description="Written before the page's go-live moment")
    way_in: str
    written_at: datetime
    received_at: datetime
    edited_at: datetime | None
    deleted_at: datetime | None
    deleted_by: str | None = Field(description="author, community, or unknown where the network does not tell")
    version: int


class MessageVersionOut(BaseModel):
    """The words before an edit."""

    version: int
    text: str
    attachments: list[Any]
    replaced_at: datetime


class MessageDetail(MessageOut):
    """A message with the texts it had before, oldest first."""

    versions: list[MessageVersionOut]
