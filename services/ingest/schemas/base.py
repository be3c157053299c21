"""Base classes of request and response models."""

from pydantic import BaseModel, ConfigDict


class RequestModel(BaseModel):
    """A request body; unknown fields are rejected."""

    model_config = ConfigDict(extra="forbid")


class RowModel(BaseModel):
    """A response model built from a row."""

    model_config = ConfigDict(from_attributes=True)
