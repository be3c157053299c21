"""Extensions of clocks: what the policy of a clock allows, and the event that extends it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from services.appeals.sla.clock_rows import add_event, store_results
from services.appeals.sla.due_dates import store_due_dates
from services.appeals.sla.sla_context import SlaContext
from shared import clock as time_source
from shared.tables.appeals import Appeal
from shared.tables.appeals_sla import SlaClock, SlaPolicy


@dataclass(frozen=True)
class ExtensionLimit:
    """How often a clock may be extended, and by how much of its unit each time."""

    count: int
    longest: timedelta


def extension_limit(policy: SlaPolicy, kind: str) -> ExtensionLimit | None:
    """Return how far the version of the policy lets a clock of this kind be extended; None: not at all."""
    found = policy.extensions.get(kind)
    if found is None:
        return None
    return ExtensionLimit(int(found["count"]), timedelta(hours=found["hours"]))


def has_passed(row: SlaClock, moment: datetime) -> bool:
    """Return whether the deadline of a clock is over; that of a clock paused in time is not."""
    return row.due_at is not None and row.due_at <= moment


def extend_clock(appeal: Appeal, row: SlaClock, seconds: int, sla: SlaContext, actor: str) -> None:
    """Extend a started clock of a locked appeal by this time in the unit of its target."""
    add_event(row, "extended", actor, time_source.now(), extension_seconds=seconds)
    store_results(row, sla)
    store_due_dates(appeal, sla)
