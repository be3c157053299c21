"""What crosses the wire: where networks push to."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field, SecretStr

from services.ingest.schemas.base import RequestModel
from shared.networks import NetworkName


class CallbackIn(RequestModel):
    """A push that a person set up in the network. Never shown again."""

    secret: SecretStr = Field(
        min_length=6,
        max_length=50,
        examples=["s3cret-of-the-server"],
        description="The key of VK, or the address's end of OK",
    )
    confirmation_code: SecretStr | None = Field(
        default=None, max_length=100, examples=["1a2b3c4d"], description="VK: what the settings page shows"
    )


class CallbackOut(BaseModel):
    """Where a network pushes a page's events to."""

    page_id: UUID
    network: NetworkName
    url: str = Field(description="With the secret hidden where it is part of the address")
    by_hand: bool = Field(description="Set up by a person, and not watched over")
    state: Literal["waiting", "working", "failed"]
    reason: str | None
    has_confirmation_code: bool
    checked_at: datetime | None
    last_event_at: datetime | None
