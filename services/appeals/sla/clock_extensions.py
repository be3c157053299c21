"""Extensions of clocks: the limit set by the policy of a clock, and the event that extends the clock."""

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
    """Return the limit that this version of the policy sets for a clock of this kind; None if it allows no
    extension.
    """
    found = policy.extensions.get(kind)
    if found is None:
        return None
    return ExtensionLimit(int(found["count"]), timedelta(hours=found["hours"]))


def has_passed(row: SlaClock, moment: datetime) -> bool:
    """Return whether the deadline of a clock has passed. A clock paused before its deadline has none."""
    return row.due_at is not None and row.due_at <= moment


def extend_clock(appeal: Appeal, row: SlaClock, seconds: int, sla: SlaContext, actor: str) -> None:
    """Extend a started clock of a locked appeal by `seconds`, which count in the unit of the clock's target."""
    add_event(row, "extended", actor, time_source.now(), extension_seconds=seconds)
    store_results(row, sla)
    store_due_dates(appeal, sla)
