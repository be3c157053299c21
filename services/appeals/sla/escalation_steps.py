"""Escalation steps: who is notified, and when, that an answer is late or nearly late. Pure functions of deadline,
policy and calendar.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.appeals.sla.deadlines import ClockEvent, counting_calendar, next_working_moment, warning_moment
from services.appeals.sla.named_calendar import NamedCalendar
from shared.contracts.values import AwaitedClock, EscalationStep
from shared.tables.appeals_sla import SlaPolicy
from shared.working_time import add_working_time

# The policy's field for each level: working hours of the organisation from the deadline to the notification.
_AFTER_DEADLINE: tuple[tuple[EscalationStep, str], ...] = (
    ("manager", "manager_hours"),
    ("centre", "centre_hours"),
    ("deputy_head", "deputy_head_hours"),
)


@dataclass(frozen=True)
class AwaitedDeadline:
    """An awaited deadline of an appeal, and the moment when it is near (or None). `continued_at`: when its clock
    last continued after a pause or an answer; None if it was never interrupted.
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
        # If the deadline passed before an interruption of the clock, hours count from the end of the interruption,
        # because nobody had to act during it.
        late_from = max(self.due_at, self.continued_at or self.due_at)
        for step, field in _AFTER_DEADLINE:
            hours = self.policy.escalation.get(field)
            if hours is not None:
                after, _ = add_working_time(calendar.working, late_from, timedelta(hours=hours))
                moment = next_working_moment(calendar, max(after, late_from))
                if moment is not None:
                    yield step, moment

    def first_moment(self) -> datetime | None:
        """Return the moment of the first step; None if the policy has no steps."""
        return next((moment for _, moment in self.steps()), None)


def first_moment(awaited: Iterable[AwaitedDeadline]) -> datetime | None:
    """Return the earliest moment of the first steps of these deadlines; None if the policies have no steps."""
    return min((moment for found in awaited if (moment := found.first_moment()) is not None), default=None)


def near_moment(events: list[ClockEvent], policy: SlaPolicy) -> datetime | None:
    """Return the moment at which the policy's share of the time is used and the executor is notified, or None."""
    share = policy.escalation.get("executor_share")
    return warning_moment(events, share) if share is not None else None
