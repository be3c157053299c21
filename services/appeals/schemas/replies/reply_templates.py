"""Schemas of reply templates."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field

from services.appeals.field_types import NonBlankText, SingleLine
from services.appeals.replies.submission import MAX_REPLY_LENGTH
from services.appeals.reply_templates.reply_templates import TemplateText
from services.appeals.reply_templates.template_fields import TEMPLATE_FIELDS
from services.appeals.schemas.common import NamedRef, RequestBody, TopicRef
from shared.contracts.values import ReplyKind

_FIELDS = "; ".join(f"`{{{name}}}`: {meaning}" for name, meaning in TEMPLATE_FIELDS.items())
_TEXT = "Здравствуйте, {имя}! По обращению № {номер} ответим до {срок}. {организация}"


class ReplyTemplateIn(RequestBody):
    """A reply template."""

    organisation_id: UUID | None = Field(
        default=None, description="The organisation that uses it; null: all, which only moderators may choose"
    )
    topic_id: UUID | None = Field(default=None, description="A topic or a topic group; null: any")
    name: SingleLine = Field(examples=["Промежуточный ответ"])
    kind: ReplyKind = "final"
    text: Annotated[NonBlankText, Field(max_length=MAX_REPLY_LENGTH)] = Field(
        description=f"The text with fields. {_FIELDS}", examples=[_TEXT]
    )

    def given(self) -> TemplateText:
        """Return the template's content as a domain object."""
        return TemplateText(**self.model_dump())


class ReplyTemplateOut(BaseModel):
    """A reply template."""

    id: UUID
    version: int = Field(description="Send as `If-Match` to change it", examples=[1])
    organisation: NamedRef | None = Field(description="Null: of the centre, for all")
    topic: TopicRef | None
    name: str = Field(examples=["Промежуточный ответ"])
    kind: ReplyKind
    text: str = Field(examples=[_TEXT])
    created_by: str = Field(examples=["0193f0a4-7c11-7d0e-9d5b-3f1f5a4f2b11"])
    created_at: datetime
    updated_at: datetime


class FilledTemplateOut(BaseModel):
    """A template filled with the values of an appeal."""

    id: UUID
    name: str = Field(examples=["Промежуточный ответ"])
    kind: ReplyKind
    own: bool = Field(description="Of the appeal's organisation; false: of the centre")
    text: str = Field(examples=["Здравствуйте, {имя}! По обращению № 1024 ответим до 07.12.2026. Школа № 1"])
    missing_fields: list[str] = Field(
        description="Fields that a person must fill in: a text that still has one is not published",
        examples=[["имя"]],
    )
