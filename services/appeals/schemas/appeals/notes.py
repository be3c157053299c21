"""Schemas of internal notes and watchers."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field

from services.appeals.assignees.directory import ActorRef
from services.appeals.field_types import NonBlankText
from services.appeals.notes.notes import MAX_MENTIONS, MAX_NOTE_LENGTH
from services.appeals.schemas.common import _ID, NamedRef, RequestBody
from shared.contracts.values import NoteVisibility

_TEXT = "Позвонил в дорожную службу: бригада выедет завтра"
NoteText = Annotated[NonBlankText, Field(max_length=MAX_NOTE_LENGTH, examples=[_TEXT])]


class NoteIn(RequestBody):
    """A new internal note."""

    text: NoteText
    visibility: NoteVisibility = Field(
        default="organisation",
        description="`organisation`: its author's organisation, or the centre; the centre reads all notes. "
        "`everyone_on_appeal`: everyone who may read the appeal, also organisations that get it later",
    )
    mentions: list[UUID] = Field(
        default=[], max_length=MAX_MENTIONS, description="People to notify; they become watchers", examples=[[]]
    )


class NoteUpdate(RequestBody):
    """The new text of a note."""

    text: NoteText


class NoteOut(BaseModel):
    """An internal note."""

    id: UUID = Field(examples=[_ID])
    version: int = Field(description="Send as `If-Match` to edit the note", examples=[1])
    author: ActorRef
    organisation: NamedRef | None = Field(description="Whose note it is; null: the centre's")
    visibility: NoteVisibility
    text: str | None = Field(description="Null: the note was deleted", examples=[_TEXT])
    mentions: list[ActorRef]
    created_at: datetime
    edited_at: datetime | None
    deleted_at: datetime | None


class WatcherIn(RequestBody):
    """The person who is to watch the appeal."""

    person_id: UUID | None = Field(
        default=None, description="By default the caller", examples=["0193f0a4-7c11-7d0e-9d5b-3f1f5a4f2b11"]
    )


class WatcherOut(BaseModel):
    """A person who watches the appeal."""

    person: ActorRef
    added_by: ActorRef
    created_at: datetime
