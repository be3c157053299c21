"""Effects of a published reply on its appeal: clock, status, timeline."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select

from services.appeals.lifecycle.timeline import AppealRecorder, event_snapshot
from services.appeals.lifecycle.transitions import assign
from services.appeals.lifecycle.workflow import status_after_reply
from services.appeals.routing.context import RoutingContext
from services.appeals.settings import settings
from services.appeals.sla import clocks
from services.appeals.sla.deadlines import counting_calendar
from shared import clock
from shared.contracts.appeal_events import AppealAnswered, ReplyFailed
from shared.database.sessions import WriteSession
from shared.tables.appeals import OPEN_APPEAL_STATUSES, Appeal
from shared.tables.appeals_replies import Reply
from shared.working_time import add_working_time


def record_published_reply(
    appeal: Appeal,
    reply: Reply,
    published_at: datetime,
    routing_context: RoutingContext,
    recorder: AppealRecorder,
    *,
    actor: str,
    has_effect: bool = True,
    recorded_at: datetime | None = None,
) -> None:
    """Stop the clocks that the reply answers at the moment of publication, and set the new status. A second reply,
    or a reply to an appeal that ended meanwhile, is recorded without changing the figures of the first reply.
    `has_effect` false: a later reply is published, or a later message awaits an answer; the reply is recorded
    without changing clocks, status or feedback. `recorded_at`: the time of the timeline entry, if it is not that
    of the publication.
    """
    on_time = None
    appeal.reply_failed = None
    was_open, was_in_triage = appeal.status in OPEN_APPEAL_STATUSES, appeal.status == "triage"
    if has_effect:
        if appeal.status == "triage" and appeal.organisation_id is None:
            _assign_by_reply(appeal, routing_context, recorder, actor)
        on_time = clocks.stop_clocks(
            appeal, published_at, routing_context.sla, actor, is_final=reply.kind != "interim"
        )
        appeal.status = status_after_reply(appeal.status, reply.kind)
        if was_in_triage:
            # A moderator who had the appeal does not work for the organisation.
            recorder.queue_assignee_choice(appeal)
        promised_at = reply.promised_at if appeal.status == "interim" else None
        clocks.set_promise(appeal, promised_at, routing_context.sla)
        # A breach is recorded once per clock or promise: clear the record for the next one.
        appeal.overdue_recorded_at = None
        if reply.kind == "final" and was_open:
            _record_final_answer(appeal, reply, published_at, routing_context, recorder)
    recorder.add_timeline_entry(
        appeal,
        "answered",
        actor,
        at=recorded_at or published_at,
        reply_kind=reply.kind,
        reply_id=str(reply.id),
        origin=reply.origin,
        published_at=published_at.isoformat(),
        on_time=on_time,
        url=reply.url or appeal.url,
    )
    answered = AppealAnswered(
        **event_snapshot(appeal),
        reply_id=reply.id,
        reply_url=reply.url,
        kind=reply.kind,
        origin=reply.origin,
        published_at=published_at,
        on_time=on_time,
    )
    recorder.add_event(answered, actor)


def _record_final_answer(
    appeal: Appeal, reply: Reply, published_at: datetime, routing_context: RoutingContext, recorder: AppealRecorder
) -> None:
    """Store the outcome of the matter, and open a feedback round. Do not call this for a further reply to an
    answered appeal, such as «пожалуйста», which is not an answer.
    """
    appeal.outcome = reply.outcome
    appeal.final_answer_at = appeal.final_answer_at or published_at
    calendar = counting_calendar(routing_context.sla.calendars.for_organisation(appeal.organisation_id), "working")
    window = timedelta(hours=settings().feedback_window_hours)
    silent_after, _ = add_working_time(calendar.working, published_at, window)
    recorder.await_feedback(appeal, reply.id, answered_at=published_at, silent_after=silent_after)


def _assign_by_reply(
    appeal: Appeal, routing_context: RoutingContext, recorder: AppealRecorder, actor: str
) -> None:
    """Assign an appeal in triage to the organisation that answered: by answering it decided that an answer was
    due.
    """
    route = routing_context.route_appeal(appeal)
    page_owner = routing_context.page_owners.get(appeal.page_id) if appeal.page_id else None
    organisation_id: UUID | None = page_owner.organisation_id if page_owner else route.organisation_id
    if organisation_id is not None:
        assign(appeal, organisation_id, routing_context.sla, recorder, actor, route=route.to_snapshot())


async def lock_with_appeal(session: WriteSession, reply_id: UUID) -> tuple[Appeal, Reply] | None:
    """Return the reply with its appeal, both locked; None if it does not exist. All code that locks both locks the
    appeal first, to avoid deadlocks.
    """
    appeal = await session.scalar(
        select(Appeal)
        .join(Reply, Reply.appeal_id == Appeal.id)
        .where(Reply.id == reply_id)
        .with_for_update(of=Appeal)
    )
    if appeal is None:
        return None
    reply = await session.scalar(
        select(Reply).where(Reply.id == reply_id).with_for_update().execution_options(populate_existing=True)
    )
    return (appeal, reply) if reply is not None else None


def fail_reply(appeal: Appeal, reply: Reply, failure: dict[str, Any], recorder: AppealRecorder) -> None:
    """Mark the reply as failed, set the appeal's flag for lists and emit `reply.failed`, so that a person sees the
    failure.
    """
    reply.status, reply.failure = "failed", failure
    summary = {name: failure[name] for name in ("code", "message", "at")}
    appeal.reply_failed = {"reply_id": str(reply.id), **summary}
    appeal.updated_at = clock.now()
    recorder.add_timeline_entry(appeal, "reply_failed", reply_id=str(reply.id), failure=failure)
    failed = ReplyFailed(
        **event_snapshot(appeal),
        reply_id=reply.id,
        kind=reply.kind,
        code=summary["code"],
        reason=summary["message"],
        failed_at=summary["at"],
    )
    recorder.add_event(failed)
