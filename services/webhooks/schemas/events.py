"""API models of the event feed."""

from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import BaseModel, Field, WithJsonSchema
from typing_extensions import TypeAliasType

from services.webhooks.event_catalogue.catalogue import mask_personal_data
from services.webhooks.feed.positions import format_position
from shared.contracts.catalogue import EVENT_RIGHTS
from shared.tables.common import Event

EventType = TypeAliasType(
    "EventType", Annotated[str, WithJsonSchema({"type": "string", "enum": sorted(EVENT_RIGHTS)})]
)


class FeedEvent(BaseModel):
    """One event of the feed."""

    position: str = Field(examples=["0.42"], description="Send as `after` to read on from here")
    id: UUID = Field(description="Also the `webhook-id` of its deliveries")
    type: EventType = Field(examples=["appeal.opened"])
    subject_id: UUID
    organisation_id: UUID | None
    occurred_at: datetime
    data: dict[str, Any] = Field(
        description="Without citizens' texts; personal data is masked",
        examples=[{"number": 1024, "status": "assigned", "urgency": "normal"}],
    )

    @classmethod
    def of_row(cls, event: Event) -> Self:
        """Return a numbered event as readers of the feed see it, with personal data masked."""
        return cls(
            position=format_position(event.position or 0),
            id=event.id,
            type=event.type,
            subject_id=event.subject_id,
            organisation_id=event.organisation_id,
            occurred_at=event.occurred_at,
            data=mask_personal_data(event.data),
        )


class EventFeed(BaseModel):
    """Events in order. Continue with `after = next_after`; no items means nothing new."""

    items: list[FeedEvent]
    next_after: str = Field(examples=["0.42"])
