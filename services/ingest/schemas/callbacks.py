"""API models of callback registrations."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field, SecretStr
from typing_extensions import TypeAliasType

from services.ingest.schemas.base import RequestModel
from shared.networks import NetworkName

CallbackState = TypeAliasType("CallbackState", Literal["pending", "active", "failed"])


class CallbackIn(RequestModel):
    """A callback that a person configured in the network. The secret is never returned."""

    secret: SecretStr = Field(
        min_length=6,
        max_length=50,
        examples=["s3cret-of-the-server"],
        description="VK: the secret key; OK: the last part of the URL",
    )
    confirmation_code: SecretStr | None = Field(
        default=None, max_length=100, examples=["1a2b3c4d"], description="VK: the code shown on the settings page"
    )


class CallbackOut(BaseModel):
    """The callback registration of a page."""

    page_id: UUID
    network: NetworkName
    url: str = Field(
        description="The secret is masked if it is part of the URL",
        examples=["https://feedback.example.org/callbacks/vk"],
    )
    manual: bool = Field(description="Set up by a person in the network; never changed there by the system")
    state: CallbackState = Field(examples=["active"])
    reason: str | None
    has_confirmation_code: bool
    checked_at: datetime | None
    last_event_at: datetime | None
