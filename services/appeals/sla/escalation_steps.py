"""When to notify whom that an answer is late or nearly late: a pure function of deadline, policy and calendar."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.appeals.sla.deadlines import ClockEvent, counting_calendar, next_working_moment, warning_moment
from services.appeals.sla.named_calendar import NamedCalendar
from shared.contracts.values import AwaitedClock, EscalationStep
from shared.tables.appeals_sla import SlaPolicy
from shared.working_time import add_working_time

# Each level is notified so many working hours of the organisation after the deadline.
_AFTER_DEADLINE: tuple[tuple[EscalationStep, str], ...] = (
    ("manager", "manager_hours"),
    ("centre", "centre_hours"),
    ("deputy_head", "deputy_head_hours"),
)


@dataclass(frozen=True)
class AwaitedDeadline:
    """A deadline of what an appeal awaits, and when it is near (null: no such moment).

    `continued_at`: when its clock last went on after a pause or an answer; null: it never stood still.
    """

    clock: AwaitedClock
    due_at: datetime
    near_at: datetime | None
    calendar: NamedCalendar
    policy: SlaPolicy
    continued_at: datetime | None = None

    def steps(self) -> Iterator[tuple[EscalationStep, datetime]]:
        """Yield the steps with their moments, in order, each in the working hours of the organisation."""
        if self.near_at is not None:
            yield "executor", self.near_at
        calendar = counting_calendar(self.calendar, "working")
        # Of a deadline that passed before the clock stood still, nobody could act in the meantime.
        late_from = max(self.due_at, self.continued_at or self.due_at)
        for step, field in _AFTER_DEADLINE:
            hours = self.policy.escalation.get(field)
            if hours is not None:
                after, _ = add_working_time(calendar.working, late_from, timedelta(hours=hours))
                moment = next_working_moment(calendar, max(after, late_from))
                if moment is not None:
                    yield step, moment

    def first_moment(self) -> datetime | None:
        """Return the moment of the first step; null: the policy has none."""
        return next((moment for _, moment in self.steps()), None)


def first_moment(awaited: Iterable[AwaitedDeadline]) -> datetime | None:
    """Return the earliest moment of the first steps of these deadlines; null: the policies have none."""
    return min((moment for found in awaited if (moment := found.first_moment()) is not None), default=None)


def near_moment(events: list[ClockEvent], policy: SlaPolicy) -> datetime | None:
    """Return when the share of the time is used after which the executor is notified."""
    share = policy.escalation.get("executor_share")
    return warning_moment(events, share) if share is not None else None
