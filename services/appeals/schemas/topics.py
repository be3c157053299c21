"""Topics as they cross the wire."""

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from services.appeals.schemas.common import NamedRef


class TopicOut(BaseModel):
    """A group of the classifier, or a topic of one."""

    id: UUID
    code: str = Field(examples=["roads"])
    name: str = Field(examples=["Дороги"])
    position: int
    level: Literal["group", "topic"]
    group: NamedRef | None = Field(description="Of a topic")


class TopicDetails(TopicOut):
    """What a class means."""

    classifier: str = Field(description="The version that brought it", examples=["2026-1"])
    active: bool = Field(description="Whether messages are still judged by it")
    contains: str | None = Field(description="What belongs to it", examples=["ямы и выбоины на проезжей части"])
    not_with: str | None = Field(description="Neighbours that it is not", examples=["Тротуары — пешеходная часть"])
    aliases: list[str] = Field(description="Old names and the words people use", examples=[["ямы", "выбоины"]])
