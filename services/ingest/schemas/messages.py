"""API models of messages."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from services.ingest.schemas.base import SourceKind
from shared.contracts.values import DeletedBy, MessageKind
from shared.networks import NetworkName


class MessageOut(BaseModel):
    """A message of a citizen or of the community."""

    id: UUID
    network: NetworkName
    kind: MessageKind
    external_id: str = Field(examples=["-1_3"])
    page_id: UUID
    organisation_id: UUID
    thread_key: str = Field(examples=["vk:-1_2"])
    reply_to: str | None
    author_key: str | None = Field(description="Pseudonym, stable per person")
    from_community: bool
    publication_id: UUID | None = Field(description="Set if the message is our own publication")
    text: str = Field(
        description="With the words that the author forwarded («Переслано:») or reposted («Репост записи:»)",
        examples=["Когда починят дорогу на ул. Бабушкина?"],
    )
    attachments: list[Any] = Field(
        description="As the network returns them, also of forwarded and reposted items; `geo` is a location",
        examples=[[]],
    )
    url: str = Field(examples=["https://vk.com/wall-1_2?reply=3"])
    history: bool = Field(
        description="Opens no appeal: it predates the page's go-live time, or came after its author's erasure"
    )
    source_kind: SourceKind = Field(examples=["long_poll"])
    written_at: datetime
    received_at: datetime
    edited_at: datetime | None
    deleted_at: datetime | None
    deleted_by: DeletedBy | None = Field(description="`unknown`: the network does not say")
    erased_at: datetime | None = Field(
        description="When the author's data was erased: show «данные удалены» in place of the text"
    )
    version: int


class MessageVersionOut(BaseModel):
    """The text of a message before an edit."""

    version: int
    text: str = Field(examples=["Когда почините дорогу?"])
    attachments: list[Any] = Field(examples=[[]])
    replaced_at: datetime


class MessageDetail(MessageOut):
    """A message with its earlier texts, oldest first."""

    versions: list[MessageVersionOut]
