"""What bodies of requests and rows that are shown have in common."""

from pydantic import BaseModel, ConfigDict


class RequestModel(BaseModel):
    """A body from outside: a field nobody knows is a mistake that is named, not dropped."""

    model_config = ConfigDict(extra="forbid")


class RowModel(BaseModel):
    """Made from a row."""

    model_config = ConfigDict(from_attributes=True)
