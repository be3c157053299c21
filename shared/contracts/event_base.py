"""The base of all event models."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, PlainSerializer

from shared.auth.rights import Right

# RFC 3339 with the value's own offset, as `datetime.isoformat` writes it.
Moment = Annotated[AwareDatetime, PlainSerializer(datetime.isoformat, return_type=str, when_used="json")]


class FeedOnly:
    """Marks a field, as `Annotated[type, FeedOnly()]`, that is in the feed but not in webhooks."""


class EventData(BaseModel):
    """The data of an event. A class with its own `event_type` is an event type, a class without it a base.

    The docstring of a type is its description in the documentation and in the webhook catalogue. A field with a
    default is absent from the stored data if it was not set.
    """

    # A process uses few of the types: each gets its validator when it is used first.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    event_type: ClassVar[str]
    """`<subject>.<what_happened>`."""

    required_right: ClassVar[Right]
    """The right that a reader needs: that of the route that shows the subject."""

    sent_by_webhooks: ClassVar[bool] = False
    """Whether endpoints can subscribe to the type; the feed contains every type."""

    example: ClassVar[Mapping[str, Any]]
    """Data as it is stored."""

    def to_json(self) -> str:
        """Return the data as JSON text, as stored in the event's row."""
        return self.model_dump_json(by_alias=True, exclude_unset=True)

    def to_stored(self) -> dict[str, Any]:
        """Return the data as JSON values: `to_json`, parsed."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)
