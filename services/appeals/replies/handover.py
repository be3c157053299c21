"""Submission of a reply to an approver if a rule requires it, else to ingest for publication."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select

from services.appeals import jobs
from services.appeals.lifecycle.timeline import AppealRecorder, event_snapshot
from services.appeals.replies import approval_rules, mark_question
from services.appeals.replies.checks.hints import Hint
from services.appeals.replies.reply_queries import target_message
from services.appeals.replies.reply_versions import record_version
from shared import clock
from shared.contracts.appeal_events import ReplyApprovalRequested, ReplyQueued
from shared.database.database_time import database_time
from shared.database.sessions import WriteSession
from shared.tables.appeals import Appeal, TimelineEntry
from shared.tables.appeals_replies import Reply


async def hand_over(
    session: WriteSession, appeal: Appeal, reply: Reply, actor: str, hints: Sequence[Hint] | None = None
) -> None:
    """Submit the author's draft for publication, or for approval if a rule requires it.

    `hints` are stored with this version of the text.
    """
    # The database's time, read while the appeal is locked, because it is compared with times of other machines and
    # messages.
    reply.created_at = reply.submitted_at = await database_time(session)
    reply.author = actor
    reason = await approval_rules.approval_reason(session, appeal)
    if reason is None:
        await queue_reply(session, appeal, reply, actor)
    else:
        await _request_approval(session, appeal, reply, actor, reason)
    if hints is not None:
        await record_version(session, reply, actor, hints)


async def _request_approval(session: WriteSession, appeal: Appeal, reply: Reply, actor: str, reason: str) -> None:
    reply.status = "on_approval"
    reply.updated_at = clock.now()
    assert reply.submitted_at is not None
    reply.approval = {
        "reason": reason,
        "requested_by": actor,
        "requested_at": reply.submitted_at.isoformat(),
        "decision": None,
        "decided_by": None,
        "decided_at": None,
        "remarks": None,
    }
    session.add(reply)
    _begin_work(appeal)
    recorder = AppealRecorder()
    recorder.add_timeline_entry(
        appeal, "reply_approval_requested", actor, reply_id=str(reply.id), reply_kind=reply.kind, reason=reason
    )
    await session.flush()
    requested = ReplyApprovalRequested(**event_snapshot(appeal), reply_id=reply.id, kind=reply.kind)
    recorder.add_event(requested, actor)
    await recorder.write(session)


async def queue_reply(session: WriteSession, appeal: Appeal, reply: Reply, actor: str) -> None:
    """Request the publication of a reply that needs no approval, or no longer needs it."""
    mark_question.append_question(reply)
    reply.status, reply.organisation_id = "queued", appeal.organisation_id
    reply.created_at = await database_time(session)
    reply.updated_at = clock.now()
    session.add(reply)
    _begin_work(appeal)
    appeal.reply_failed = None
    await session.flush()
    recorder = AppealRecorder()
    recorder.add_timeline_entry(
        appeal,
        "reply_queued",
        actor,
        reply_id=str(reply.id),
        reply_kind=reply.kind,
        message_id=str(reply.in_reply_to),
    )
    recorder.add_event(ReplyQueued(**event_snapshot(appeal), reply_id=reply.id), actor)
    await recorder.write(session)
    await enqueue_publication_request(session, reply)


def _begin_work(appeal: Appeal) -> None:
    if appeal.status in {"assigned", "reopened"}:
        appeal.status = "in_progress"
    appeal.updated_at = clock.now()


async def enqueue_publication_request(
    session: WriteSession, reply: Reply, *, dedupe_key: str | None = None
) -> None:
    """Enqueue the job that asks ingest to publish the reply to the message that was chosen when the reply was
    created.
    """
    await ensure_target_message(session, reply)
    await jobs.queue.enqueue(
        session,
        jobs.REQUEST_PUBLICATION,
        {"reply_id": str(reply.id), "message_id": str(reply.in_reply_to)},
        dedupe_key=dedupe_key,
    )


async def ensure_target_message(session: WriteSession, reply: Reply) -> None:
    """Set the message that a reply answers, if an older release stored it only in the timeline. Without a timeline
    entry the message is chosen as for a new reply: one such row must not block the scheduled job.
    """
    if reply.in_reply_to is not None:
        return
    entries = await session.scalars(
        select(TimelineEntry.data).where(
            TimelineEntry.appeal_id == reply.appeal_id, TimelineEntry.kind == "reply_queued"
        )
    )
    message_ids = [
        data["message_id"] for data in entries if data["reply_id"] == str(reply.id) and "message_id" in data
    ]
    if message_ids:
        reply.in_reply_to = UUID(message_ids[0])
    else:
        reply.in_reply_to = (await target_message(session, await session.get_one(Appeal, reply.appeal_id))).id
