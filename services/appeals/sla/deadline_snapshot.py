"""The deadlines of an appeal with their explanations, as `appeals.deadline` stores them.

The JSON is flat: the fields of the first clock, `next` for the message after the first reply, and `earlier` for
the clocks that stopped.
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
    """How much of a clock's working time falls on a day; `title` names a day off."""

    day: date
    minutes: int
    title: str | None


class Clock(_Part):
    """A response clock: the policy, the moment that it counts from, and the calendar that it counts in."""

    policy_id: UUID
    policy: str
    hours: float
    starts_from: str
    start: _Moment
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
_EARLIER = TypeAdapter(list[StoppedClock])


@dataclass(frozen=True)
class DeadlineSnapshot:
    """The clock of the first reply, what awaits a further reply, and the clocks that further replies stopped."""

    first: Clock | None = None
    next: NextClock | AwaitedReply | None = None
    earlier: tuple[StoppedClock, ...] = ()

    @staticmethod
    def parse(stored: Mapping[str, Any] | None) -> "DeadlineSnapshot":
        """Return the stored deadlines; those of an appeal that never had any are empty."""
        if not stored:
            return DeadlineSnapshot()
        first = {name: value for name, value in stored.items() if name in Clock.model_fields}
        return DeadlineSnapshot(
            _FIRST.validate_python(first or None, extra="ignore"),
            _NEXT.validate_python(stored.get("next"), extra="ignore"),
            tuple(_EARLIER.validate_python(stored.get("earlier", []), extra="ignore")),
        )

    def dump(self) -> dict[str, Any]:
        """Return the JSON to store."""
        stored = self.first.model_dump(mode="json") if self.first else {}
        if self.next is not None:
            stored["next"] = self.next.model_dump(mode="json")
        if self.earlier:
            stored["earlier"] = [clock.model_dump(mode="json") for clock in self.earlier]
        return stored

    @property
    def text(self) -> str | None:
        """Return the deadline of the first reply in words."""
        return self.first.text if self.first else None

    @property
    def next_text(self) -> str | None:
        """Return the deadline of the next reply in words; None while no clock runs."""
        return self.next.text if isinstance(self.next, NextClock) else None
