"""Schemas of presence."""

from datetime import datetime

from pydantic import BaseModel, Field

from services.appeals.assignees.directory import ActorRef


class PresentOut(BaseModel):
    """A person who has the page of the appeal open."""

    actor: ActorRef
    since: datetime


class PresenceOut(BaseModel):
    """The other people who have the page of an appeal open."""

    others: list[PresentOut]
    expires_in: int = Field(
        examples=[45], description="Seconds after which a page without a heartbeat no longer counts as open"
    )
