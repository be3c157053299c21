"""The deadlines of an appeal with their explanations, as `appeals.deadline` stores them.

The JSON is flat: the fields of the first clock, `next_response` for the message after the first reply, and
`previous_responses` for the clocks that stopped.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, PlainSerializer, TypeAdapter

_Moment = Annotated[AwareDatetime, PlainSerializer(datetime.isoformat, return_type=str, when_used="json")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class WorkingDay(_Part):
    """How much of a clock's working time falls on a day; `note` names a day off."""

    day: date
    minutes: int
    note: str | None


class Clock(_Part):
    """A response clock: the policy, the moment that it counts from, and the calendar that it counts in."""

    policy_id: UUID
    policy: str
    hours: float
    starts_from: str
    starts_at: _Moment
    due_at: _Moment
    calendar_id: UUID | None
    calendar: str
    time_zone: str
    days: list[WorkingDay]
    text: str


class AwaitedReply(_Part):
    """A message after the first reply that awaits one; no clock runs while the appeal is in triage."""

    message_id: UUID | None
    written_at: _Moment
    received_at: _Moment


class NextClock(Clock, AwaitedReply):
    """The clock of such a message."""


class StoppedClock(NextClock):
    """A clock of such a message that a reply has stopped."""

    answered_at: _Moment
    on_time: bool
    working_seconds: int


_FIRST: TypeAdapter[Clock | None] = TypeAdapter(Clock | None)
_NEXT: TypeAdapter[NextClock | AwaitedReply | None] = TypeAdapter(NextClock | AwaitedReply | None)
_PREVIOUS = TypeAdapter(list[StoppedClock])


@dataclass(frozen=True)
class DeadlineSnapshot:
    """The clock of the first reply, what awaits a further reply, and the clocks that further replies stopped."""

    first: Clock | None = None
    next_response: NextClock | AwaitedReply | None = None
    previous_responses: tuple[StoppedClock, ...] = ()

    @staticmethod
    def parse(stored: Mapping[str, Any] | None) -> "DeadlineSnapshot":
        """Return the stored deadlines; those of an appeal that never had any are empty."""
        if not stored:
            return DeadlineSnapshot()
        first = {name: value for name, value in stored.items() if name in Clock.model_fields}
        return DeadlineSnapshot(
            _FIRST.validate_python(first or None, extra="ignore"),
            _NEXT.validate_python(stored.get("next_response"), extra="ignore"),
            tuple(_PREVIOUS.validate_python(stored.get("previous_responses", []), extra="ignore")),
        )

    def dump(self) -> dict[str, Any]:
        """Return the JSON to store."""
        stored = self.first.model_dump(mode="json") if self.first else {}
        if self.next_response is not None:
            stored["next_response"] = self.next_response.model_dump(mode="json")
        if self.previous_responses:
            stored["previous_responses"] = [clock.model_dump(mode="json") for clock in self.previous_responses]
        return stored

    @property
    def text(self) -> str | None:
        """Return the deadline of the first reply in words."""
        return self.first.text if self.first else None

    @property
    def next_text(self) -> str | None:
        """Return the deadline of the next reply in words; None while no clock runs."""
        return self.next_response.text if isinstance(self.next_response, NextClock) else None
