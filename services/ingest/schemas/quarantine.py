"""Quarantined payloads as they cross the wire."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from services.ingest.schemas.base import RowModel
from shared.networks import NetworkName


class QuarantinedPayloadOut(RowModel):
    """A payload that could not be read."""

    id: UUID
    network: NetworkName
    page_id: UUID | None
    organisation_id: UUID | None
    way_in: str = Field(examples=["callback"])
    reason: str = Field(examples=["the field 'id' is missing"])
    created_at: datetime


class QuarantinedPayloadDetail(QuarantinedPayloadOut):
    """With the payload as it came."""

    raw: Any


class QuarantineRetryResult(BaseModel):
    """What reading it again brought."""

    new: int
    edited: int
    deleted: int
    restored: int
