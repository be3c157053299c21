"""What crosses the wire: answers on their way out."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field

from services.ingest.schemas.base import RequestModel, RowModel
from shared.networks import NetworkName

PublicationStatus = Literal["queued", "sending", "uncertain", "published", "failed"]


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty")
    return text


ReplyText = Annotated[str, Field(min_length=1, max_length=20_000), AfterValidator(_not_blank)]


class FailureOut(BaseModel):
    """Why an answer is not out, in words for its author."""

    code: str = Field(examples=["vk:213"])
    message: str = Field(examples=["Комментировать эту запись нельзя: комментарии закрыты."])
    final: bool = Field(default=True, description="False: it is tried again by itself")


class PublicationOut(RowModel):
    """An answer, or one part of a long one, on its way into the network."""

    id: UUID
    reply_id: UUID
    appeal_id: UUID | None = Field(description="The appeal whose reply it is; null where none was named")
    part: int = Field(description="From 0; a part is sent when the one before it stands")
    parts: int = Field(description="How many parts the answer has", examples=[1])
    page_id: UUID
    organisation_id: UUID
    network: NetworkName
    kind: Literal["comment", "message"]
    thread_key: str
    target: str | None
    text: str
    status: PublicationStatus
    attempts: int
    external_id: str | None
    url: str | None
    published_at: datetime | None
    failure: FailureOut | None
    version: int
    created_at: datetime
    updated_at: datetime


class PublicationRequest(RequestModel):
    """Appeals asks for an answer to be published."""

    reply_id: UUID
    appeal_id: UUID | None = Field(default=None, description="The appeal whose reply it is")
    message_id: UUID
    text: ReplyText
    on_behalf_of: str = Field(min_length=1, max_length=200)
    organisation_id: UUID | None = Field(default=None, description="Whose answer it is; the page's by default")


class PublicationRetry(RequestModel):
    """How an answer that failed is sent again."""

    text: ReplyText | None = Field(
        default=None,
        description="The whole answer, corrected; the same words when left out",
        examples=["Ямочный ремонт начнётся во вторник."],
    )


class PublicationRequested(RowModel):
    """What became of the request."""

    id: UUID
    status: PublicationStatus
