"""Schemas of alerts."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field

from services.appeals.assignees.directory import ActorRef
from shared.contracts.values import AlertKind, AppealStatus


class AlertOut(BaseModel):
    """An alert that moderators must see at once."""

    id: UUID
    kind: AlertKind
    why: str = Field(examples=["Срочно: «оборван провод»"])
    appeal_id: UUID | None
    appeal_number: int | None = Field(examples=[1024])
    appeal_status: AppealStatus | None
    incident_id: UUID | None = Field(description="The incident of the spike, or the one that the appeal is in")
    incident_number: int | None
    incident_title: str | None
    created_at: datetime
    seen_at: datetime | None
    seen_by: ActorRef | None
