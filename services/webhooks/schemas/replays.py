"""API models of replays."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.webhooks.schemas.webhooks import BoundedMoment


class WebhookReplayKind(StrEnum):
    """`failed`: failed deliveries; `all`: all events of a period, also events never sent; `event`: one event."""

    FAILED = "failed"
    ALL = "all"
    EVENT = "event"


class WebhookReplayRequest(BaseModel):
    """A request to send events again. Times are creation times of events or, with `failed`, of deliveries."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"what": "all", "since": "2026-11-23T00:00:00+08:00"}]},
    )

    what: WebhookReplayKind
    since: BoundedMoment | None = Field(
        default=None,
        description="Included; needed with `failed` and `all`",
        examples=["2026-11-23T00:00:00+08:00"],
    )
    until: BoundedMoment | None = Field(default=None, description="Not included; null: until now")
    after: Annotated[str, Field(max_length=50)] | None = Field(
        default=None, description="With `all`: `next_after` of the previous response, to continue"
    )
    event_id: UUID | None = Field(default=None, description="Needed with `event`")


class WebhookReplay(BaseModel):
    """The result of a replay request. If `has_more` is true, repeat the request; if `next_after` is not null, send
    it as `after`.
    """

    queued: int = Field(description="Deliveries that were queued; pending ones stay as they are", examples=[240])
    last_due_at: datetime | None = Field(description="When the last of them is due; null: none was queued")
    has_more: bool = Field(description="Whether there may be more: one request queues at most 1,000")
    next_after: str | None = Field(
        description="With `all`: where to continue, and where the replay ends: events that came after its first "
        "request are not repeated",
        examples=["0.42-0.97"],
    )
