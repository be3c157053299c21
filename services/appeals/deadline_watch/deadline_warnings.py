"""Warnings that a given share of the time until a deadline has been used, sent in the organisation's working
hours.
"""

from typing import cast

from sqlalchemy import select

from services.appeals.lifecycle.timeline import AppealRecorder, event_snapshot
from services.appeals.lifecycle.workflow import FINAL_STATUSES
from services.appeals.sla.clock_rows import ClockKind, events_of, shares_to_warn_of
from services.appeals.sla.deadlines import compute_deadline, read_clock, warning_moment
from services.appeals.sla.opened_clocks import clocks_of
from services.appeals.sla.sla_context import SlaContext
from shared import clock
from shared.contracts.appeal_events import AppealDeadlineNear
from shared.database.sessions import WriteSession
from shared.tables.appeals import Appeal
from shared.tables.appeals_sla import SlaClock

WARNING_BATCH = 200


async def record_warnings(session: WriteSession) -> int:
    """Record warnings of the next deadlines that are near; return how many clocks were handled. Each share is
    recorded once per clock; if several are reached at once, only the last. There is no warning for an appeal that
    has ended, or that is in `triage`.
    """
    now = clock.now()
    ids = await session.scalars(
        select(SlaClock.appeal_id)
        .join(Appeal, Appeal.id == SlaClock.appeal_id)
        .where(SlaClock.next_warning_at <= now, Appeal.status != "triage")
        .order_by(SlaClock.next_warning_at, SlaClock.id)
        .limit(WARNING_BATCH)
    )
    # Appeals that another transaction has locked are left to the next run.
    appeals = (
        await session.scalars(
            select(Appeal).where(Appeal.id.in_(ids.all())).order_by(Appeal.id).with_for_update(skip_locked=True)
        )
    ).all()
    sla = await SlaContext.load(session, {appeal.organisation_id for appeal in appeals}, selects_policies=False)
    recorder = AppealRecorder()
    handled = 0
    for appeal in appeals:
        for row in clocks_of(appeal):
            if row.next_warning_at is not None and row.next_warning_at <= now:
                handled += 1
                _warn(appeal, row, sla, recorder)
    await recorder.write(session)
    return handled


def _warn(appeal: Appeal, row: SlaClock, sla: SlaContext, recorder: AppealRecorder) -> None:
    policy, events, now = sla.policy(row.policy_id), events_of(row, sla.calendars), clock.now()
    if policy is None or row.due_at is None or appeal.status in FINAL_STATUSES:
        row.next_warning_at = None
        return
    moments = {share: warning_moment(events, share) for share in policy.warn_at}
    reached = [share for share, moment in moments.items() if moment is not None and moment <= now]
    share = max(reached, default=0)
    # A calendar that changed just now may have moved the moment ahead.
    is_new = share > (row.warned_share or 0)
    row.warned_share = share if is_new else row.warned_share
    ahead = shares_to_warn_of(policy, after=row.warned_share)
    row.next_warning_at = compute_deadline(events, ahead).next_warning_at
    if not is_new or row.due_at <= now:
        return  # after the deadline a breach is recorded instead of a warning
    left = int(read_clock(events, now).left.total_seconds())
    recorder.add_timeline_entry(appeal, "deadline_near", clock=row.kind, share=row.warned_share, left_seconds=left)
    near = AppealDeadlineNear(
        **event_snapshot(appeal),
        clock=cast("ClockKind", row.kind),
        share=row.warned_share,
        due_at=row.due_at,
        left_seconds=left,
    )
    recorder.add_event(near)
