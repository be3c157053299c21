"""Limits that an SLA policy sets besides clocks: the last moment to return an appeal, and the latest promised
date.
"""

from datetime import datetime

from services.appeals.sla.clock_rows import STARTED_STATES, owned_since
from services.appeals.sla.deadlines import ClockEvent, Target, read_clock
from services.appeals.sla.opened_clocks import clocks_of
from services.appeals.sla.policy_selection import promise_target, return_target
from services.appeals.sla.sla_context import SlaContext
from shared.tables.appeals import Appeal
from shared.tables.appeals_sla import SlaClock, SlaPolicy


def return_until(appeal: Appeal, sla: SlaContext) -> datetime | None:
    """Return until when the organisation may return or transfer the appeal; None means no limit."""
    found = _running_policy(appeal, sla)
    target = return_target(found[1]) if found is not None else None
    if found is None or target is None:
        return None
    return _after(owned_since(found[0]), target, appeal, sla)


def latest_promise(appeal: Appeal, sla: SlaContext, moment: datetime) -> datetime | None:
    """Return the latest date that an interim reply may promise at the moment; None means no limit."""
    found = _running_policy(appeal, sla)
    target = promise_target(found[1]) if found is not None else None
    return _after(moment, target, appeal, sla) if target is not None else None


def _running_policy(appeal: Appeal, sla: SlaContext) -> tuple[SlaClock, SlaPolicy] | None:
    for row in reversed(clocks_of(appeal)):
        policy = sla.policy(row.policy_id)
        if row.state in STARTED_STATES and policy is not None:
            return row, policy
    return None


def _after(moment: datetime, target: Target, appeal: Appeal, sla: SlaContext) -> datetime | None:
    calendar = sla.calendars.for_organisation(appeal.organisation_id)
    return read_clock([ClockEvent(1, "started", moment, moment, calendar, target)]).due_at
