"""Base classes of request and response models, and the kinds of sources."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, WithJsonSchema
from typing_extensions import TypeAliasType

# Kinds of the networks' sources, then of ingest's own ones. For the schema only: responses are not validated.
SOURCE_KINDS = (
    "long_poll", "callback", "wall_poll", "board_poll", "conversations_poll", "suggested_posts_poll",
    "discussions_poll", "topics_poll", "chats_poll", "reconciliation", "backfill", "read_back",
)  # fmt: skip
SourceKind = TypeAliasType(
    "SourceKind", Annotated[str, WithJsonSchema({"type": "string", "enum": list(SOURCE_KINDS)})]
)


class RequestModel(BaseModel):
    """A request body; unknown fields are rejected."""

    model_config = ConfigDict(extra="forbid")


class RowModel(BaseModel):
    """A response model built from a row."""

    model_config = ConfigDict(from_attributes=True)
