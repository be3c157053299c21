"""Alerts as they cross the wire."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from services.appeals.lifecycle.workflow import AppealStatus


class AlertOut(BaseModel):
    """What a moderator must see at once."""

    id: UUID
    kind: Literal["urgent", "burst", "ping_pong"]
    why: str = Field(examples=["Срочно: «оборван провод»"])
    appeal_id: UUID | None
    appeal_number: int | None
    appeal_status: AppealStatus | None
    incident_id: UUID | None = Field(description="Of a burst, or the one that the case is in")
    incident_number: int | None
    incident_title: str | None
    created_at: datetime
    seen_at: datetime | None
    seen_by: str | None
