"""Schemas of alerts."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field

from services.appeals.assignees.directory import ActorRef
from services.appeals.field_types import BoundedDatetime
from services.appeals.schemas.common import RequestBody
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
    created_at: datetime = Field(
        description="When it was last raised. Send it as `until` once the alert has been seen",
        examples=["2026-11-27T10:00:00.123Z"],
    )
    seen_at: datetime | None
    seen_by: ActorRef | None


class AlertSeenIn(RequestBody):
    """The alert as a person has seen it."""

    until: BoundedDatetime | None = Field(
        default=None,
        description="`created_at` of the alert as it was shown: an alert raised again since then stays unseen",
        examples=["2026-11-27T10:00:00.123Z"],
    )
