"""Schemas of topics."""

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field
from typing_extensions import TypeAliasType

from services.appeals.schemas.common import NamedRef

TopicLevel = TypeAliasType("TopicLevel", Literal["group", "topic"])


class TopicOut(BaseModel):
    """A topic group, or a topic in a group."""

    id: UUID
    code: str = Field(examples=["roads"])
    name: str = Field(examples=["Дороги"])
    position: int
    level: TopicLevel
    group: NamedRef | None = Field(description="The group of a topic; null for a group")


class TopicDetails(TopicOut):
    """A topic or topic group with its definition."""

    taxonomy_version: str = Field(description="The taxonomy version that added it", examples=["2026-1"])
    active: bool = Field(description="Whether messages are still classified by it")
    includes: str | None = Field(
        description="What the topic includes", examples=["ямы и выбоины на проезжей части"]
    )
    excludes: str | None = Field(
        description="Neighbouring topics that it excludes", examples=["Тротуары — пешеходная часть"]
    )
    aliases: list[str] = Field(description="Old names and the words people use", examples=[["ямы", "выбоины"]])
