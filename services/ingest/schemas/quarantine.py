"""API models of quarantined payloads."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from services.ingest.schemas.base import RowModel, SourceKind
from shared.networks import NetworkName


class QuarantinedPayloadOut(RowModel):
    """A payload that could not be parsed or stored."""

    id: UUID
    network: NetworkName
    page_id: UUID | None
    organisation_id: UUID | None
    source_kind: SourceKind = Field(examples=["callback"])
    reason: str = Field(examples=["the field 'id' is missing"])
    created_at: datetime


class QuarantinedPayloadDetail(QuarantinedPayloadOut):
    """A quarantined payload with its raw content."""

    raw: Any = Field(examples=[{"type": "wall_reply_new", "object": {}}])


class QuarantineRetryResult(BaseModel):
    """Numbers of messages that parsing the payload again has changed."""

    new: int
    edited: int
    deleted: int
    restored: int
