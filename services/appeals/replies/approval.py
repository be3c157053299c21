"""Approval of replies by a second person: approved replies are published, refused replies become drafts again."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.assignees.directory import actor_id
from services.appeals.lifecycle.timeline import AppealRecorder, event_snapshot
from services.appeals.replies import drafts, handover, reply_queries, submission
from shared import clock
from shared.api.pagination import Paging, inline_literal
from shared.auth.callers import Caller
from shared.contracts.appeal_events import ReplyApproved, ReplyRefused
from shared.database.database_time import database_time
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict, Forbidden
from shared.tables.appeals import Appeal
from shared.tables.appeals_replies import Reply


async def approve(
    session: WriteSession, appeal: Appeal, reply_id: UUID, version: int | None, caller: Caller
) -> Reply:
    """Approve a reply and request its publication; `appeal` is locked.

    Raises `NotFound`, `PreconditionFailed`, `Forbidden` for the author, `ReplyUnderWay` naming a failed reply that
    is being published again, and `Conflict` if the reply is not on approval, the appeal no longer takes replies,
    or the promised date has passed.
    """
    reply = await _get_waiting(session, appeal, reply_id, version, caller)
    submission.require_takes_reply(appeal, caller)
    await submission.require_none_under_way(session, appeal, besides=reply)
    if reply.promised_at is not None and reply.promised_at <= clock.now():
        raise Conflict("The promised date has passed: refuse the reply, so that its author gives another date")
    recorder = AppealRecorder()
    await _decide(session, reply, caller, "approved", None)
    recorder.add_timeline_entry(appeal, "reply_approved", caller.actor, reply_id=str(reply.id))
    approved = ReplyApproved(**event_snapshot(appeal), reply_id=reply.id, kind=reply.kind)
    recorder.add_event(approved, caller.actor)
    await recorder.write(session)
    await handover.queue_reply(session, appeal, reply, caller.actor)
    return reply


async def refuse(
    session: WriteSession, appeal: Appeal, reply_id: UUID, remarks: str, caller: Caller, *, version: int | None
) -> Reply:
    """Refuse a reply with remarks; it becomes a draft again. Raises `NotFound`, `PreconditionFailed`, `Forbidden`
    for the author, and `Conflict` if the reply is not on approval.
    """
    reply = await _get_waiting(session, appeal, reply_id, version, caller)
    reply.status = "draft"
    await _decide(session, reply, caller, "refused", remarks)
    recorder = AppealRecorder()
    recorder.add_timeline_entry(appeal, "reply_refused", caller.actor, reply_id=str(reply.id), remarks=remarks)
    refused = ReplyRefused(**event_snapshot(appeal), reply_id=reply.id, kind=reply.kind)
    recorder.add_event(refused, caller.actor)
    recorder.mark_unread(appeal, actor_id(reply.author), "remarks", caller.actor)
    await recorder.write(session)
    return reply


async def _get_waiting(
    session: WriteSession, appeal: Appeal, reply_id: UUID, version: int | None, caller: Caller
) -> Reply:
    reply = await reply_queries.get_reply(session, appeal, reply_id)
    if reply.status != "on_approval":
        raise Conflict(f"The reply does not wait for approval; it is «{reply.status}»")
    drafts.check_version(reply, version)
    if reply.author == caller.actor:
        raise Forbidden("You are the author of the reply: another approver or a moderator must decide about it")
    return reply


async def _decide(session: WriteSession, reply: Reply, caller: Caller, decision: str, remarks: str | None) -> None:
    decided: dict[str, Any] = {
        "decision": decision,
        "decided_by": caller.actor,
        "decided_at": (await database_time(session)).isoformat(),
        "remarks": remarks,
    }
    reply.approval = {**(reply.approval or {}), **decided}
    reply.version += 1
    reply.updated_at = clock.now()
    await session.flush()


def waiting_query(caller: Caller, paging: Paging) -> Select[Reply, int]:
    """Return the query for one page of replies on approval in the caller's scope plus one row."""
    query = (
        select(Reply, Appeal.number)
        .join(Appeal, Appeal.id == Reply.appeal_id)
        .where(Reply.status == inline_literal("on_approval"), caller.scope(Appeal.organisation_id))
        .order_by(Reply.submitted_at, Reply.id)
        .limit(paging.limit + 1)
    )
    after = paging.after((Reply.submitted_at, Reply.id), (datetime.fromisoformat, UUID), descending=False)
    return query if after is None else query.where(after)


async def list_waiting(session: AsyncSession, caller: Caller, paging: Paging) -> Sequence[Row[Reply, int]]:
    """Return the replies on approval in the caller's scope, each with the number of its appeal, oldest first: one
    page plus one row.
    """
    return (await session.execute(waiting_query(caller, paging))).all()
