"""Schemas of attachments."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field

from services.appeals.schemas.common import _ID
from shared.contracts.values import PhotoType


class AttachmentOut(BaseModel):
    """A stored photo: re-encoded as a JPEG, without the metadata of the camera."""

    id: UUID = Field(description="`GET /attachments/{id}` returns the file", examples=[_ID])
    name: str = Field(description="Only for people to read", examples=["двор после ремонта.jpg"])
    content_type: PhotoType
    size: int = Field(description="Bytes", examples=[483_201])
    sha256: str = Field(examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"])
    width: int = Field(description="Pixels", examples=[2560])
    height: int = Field(examples=[1920])
    created_at: datetime
