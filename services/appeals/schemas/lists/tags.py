"""Schemas of tags."""

from pydantic import BaseModel, Field

from services.appeals.field_types import TagName
from services.appeals.lists.tags import MAX_TAGS
from services.appeals.schemas.common import RequestBody


class TagChange(RequestBody):
    """The tags to add and to remove; others stay."""

    add: list[TagName] = Field(default=[], max_length=MAX_TAGS, examples=[["крыльцо", "ремонт 2027"]])
    remove: list[TagName] = Field(default=[], max_length=MAX_TAGS, examples=[["проверить"]])


class TagsOut(BaseModel):
    """The tags of an appeal."""

    tags: list[str] = Field(description="In alphabetical order", examples=[["крыльцо", "ремонт 2027"]])


class TagOut(BaseModel):
    """A tag that is in use."""

    tag: str = Field(examples=["крыльцо"])
