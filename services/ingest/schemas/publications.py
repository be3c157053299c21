"""API models of publications."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field
from typing_extensions import TypeAliasType

from services.ingest.schemas.base import RequestModel, RowModel
from shared.contracts.values import PhotoType
from shared.networks import MAX_PHOTOS, NetworkName

PublicationKind = TypeAliasType("PublicationKind", Literal["comment", "message"])
PublicationStatus = TypeAliasType(
    "PublicationStatus", Literal["queued", "sending", "uncertain", "published", "failed"]
)

PublicationChangeStatus = TypeAliasType(
    "PublicationChangeStatus", Literal["queued", "sending", "uncertain", "done", "failed"]
)


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("The text is empty")
    return text


# Appeals accepts 20,000 characters and may append its request for a mark (at most 300).
MAX_PUBLISHED_LENGTH = 20_500

ReplyText = Annotated[str, Field(min_length=1, max_length=MAX_PUBLISHED_LENGTH), AfterValidator(_not_blank)]


class PublicationAttachment(RequestModel):
    """A photo of the reply, which the appeals service stores."""

    id: UUID
    name: str = Field(min_length=1, max_length=200, examples=["двор.jpg"])
    content_type: PhotoType


class FailureOut(BaseModel):
    """The reason why a reply is not published, with a message for its author."""

    code: str = Field(examples=["vk:213"])
    message: str = Field(examples=["Комментировать эту запись нельзя: комментарии закрыты."])
    final: bool = Field(default=True, description="False: it is retried automatically")


class PublicationOut(RowModel):
    """The publication of a reply, or of one part of a long reply."""

    id: UUID
    reply_id: UUID
    appeal_id: UUID | None = Field(description="The appeal of the reply; null if none was given")
    part: int = Field(description="From 0; a part is sent once the previous one is published", examples=[0])
    parts: int = Field(description="Number of parts of the reply", examples=[1])
    page_id: UUID
    organisation_id: UUID
    network: NetworkName
    kind: PublicationKind
    thread_key: str | None = Field(
        description="The thread in the network. That of a private `message` names the person who gets it: its "
        "`thread_key`, `external_id` and `url` are shown to those who may read messages, and null for others",
        examples=["vk:-1_2"],
    )
    reply_to: str | None = Field(
        description="The network's id of the comment that it replies to; null: it is posted to the thread"
    )
    text: str = Field(
        description="Masked in lists, unmasked in a single publication",
        examples=["Ямочный ремонт начнётся в понедельник."],
    )
    attachments: list[PublicationAttachment] = Field(
        description="The photos published with it; the photos of a reply in parts belong to the first part"
    )
    status: PublicationStatus = Field(examples=["published"])
    attempts: int
    external_id: str | None
    url: str | None
    published_at: datetime | None
    withdrawn_at: datetime | None = Field(
        description="When it was deleted in the network, by a withdrawal of the reply or by an edit that needs "
        "fewer parts",
        examples=[None],
    )
    failure: FailureOut | None
    version: int
    created_at: datetime
    updated_at: datetime


class PublicationRequest(RequestModel):
    """A request by the appeals service to publish a reply."""

    reply_id: UUID
    appeal_id: UUID | None = Field(default=None, description="The appeal of the reply")
    message_id: UUID
    text: ReplyText
    attachments: list[PublicationAttachment] = Field(default=[], max_length=MAX_PHOTOS)
    on_behalf_of: str = Field(min_length=1, max_length=200)
    organisation_id: UUID | None = Field(
        default=None, description="The replying organisation; by default the page's"
    )


class PublicationRetry(RequestModel):
    """Request to retry a failed publication."""

    text: ReplyText | None = Field(
        default=None,
        description="The whole corrected reply; unchanged if omitted",
        examples=["Ямочный ремонт начнётся во вторник."],
    )


class PublicationChangeRequest(RequestModel):
    """A request by the appeals service to edit a published reply or, without `text`, to withdraw it."""

    id: UUID
    text: ReplyText | None
    attachments: list[PublicationAttachment] | None = Field(
        default=None, max_length=MAX_PHOTOS, description="The reply's photos after the edit; null: unchanged"
    )
    on_behalf_of: str = Field(min_length=1, max_length=200)


class PublicationChangeRequested(RowModel):
    """Result of a change request."""

    id: UUID
    status: PublicationChangeStatus


class PublicationRequested(RowModel):
    """Result of a publication request."""

    id: UUID
    status: PublicationStatus
