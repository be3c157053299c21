"""Schemas of replies."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field
from typing_extensions import TypeAliasType

from services.appeals.field_types import BoundedDatetime, NonBlankText
from services.appeals.replies.submission import MAX_REPLY_LENGTH
from services.appeals.schemas.common import RequestBody
from shared.contracts.values import ReplyKind, ReplyOrigin

ReplyStatus = TypeAliasType("ReplyStatus", Literal["queued", "sending", "uncertain", "published", "failed"])


class FailedReply(BaseModel):
    """The last reply that failed."""

    reply_id: UUID = Field(description="`POST /appeals/{id}/replies/{reply_id}/retry` retries it")
    code: str | None = Field(examples=["vk:15"])
    message: str | None = Field(examples=["Сеть не дала доступа."])
    at: datetime


class ReplyOut(BaseModel):
    """A reply and its status."""

    id: UUID
    origin: ReplyOrigin = Field(description="`network`: staff wrote it in the network itself")
    kind: ReplyKind
    text: str = Field(examples=["Ямочный ремонт начнётся в понедельник."])
    status: ReplyStatus = Field(examples=["published"])
    author: str = Field(examples=["0193f0a4-7c11-7d0e-9d5b-3f1f5a4f2b11"])
    promised_at: datetime | None
    in_reply_to: UUID | None = Field(
        description="The citizen's message that it answers, chosen when the reply is made; null for one written "
        "in the network to nobody in particular"
    )
    publication_id: UUID | None
    url: str | None = Field(examples=["https://vk.com/wall-1_2?reply=4"])
    published_at: datetime | None = Field(examples=["2026-11-27T16:41:00+08:00"])
    failure: dict[str, Any] | None = Field(
        examples=[
            None,
            {
                "code": "vk:15",
                "message": "Сеть не дала доступа.",
                "at": "2026-03-02T10:00:00+08:00",
                "will_retry": False,
            },
        ]
    )
    created_at: datetime


class ReplyIn(RequestBody):
    """A reply to the citizen."""

    text: Annotated[NonBlankText, Field(max_length=MAX_REPLY_LENGTH)] = Field(
        examples=["Ямочный ремонт начнётся в понедельник."]
    )
    kind: ReplyKind = "final"
    promised_at: BoundedDatetime | None = Field(
        default=None, description="With `interim`: when the final reply will come"
    )
    message_id: UUID | None = Field(
        default=None,
        description="The message to reply to; by default the latest that needs an answer. Later messages do not "
        "change it",
    )


class ReplyRetryIn(RequestBody):
    """How to retry a failed reply."""

    text: Annotated[NonBlankText, Field(max_length=MAX_REPLY_LENGTH)] | None = Field(
        default=None,
        description="The whole corrected reply; unchanged when left out",
        examples=["Ямочный ремонт начнётся во вторник."],
    )
