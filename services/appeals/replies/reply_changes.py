"""Edits and withdrawals of published replies, as people ask for them.

The text that people see is what stands in the network: it changes when the network has confirmed the change.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals import jobs
from services.appeals.replies import approval_rules, check_context, drafts, reply_queries
from services.appeals.replies.edit_lease import database_time
from services.appeals.replies.new_reply import NewReply
from services.appeals.replies.submission import without_whitespace
from shared import clock
from shared.auth.callers import Caller
from shared.auth.rights import Right
from shared.contracts.values import WithdrawalGround
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict, Invalid
from shared.ids import new_id
from shared.networks import NETWORKS
from shared.tables.appeals import Appeal
from shared.tables.appeals_replies import Reply, ReplyChange
from shared.tables.ingest import Publication


async def edit_reply(
    session: WriteSession,
    appeal: Appeal,
    reply_id: UUID,
    caller: Caller,
    *,
    text: str,
    reason: str,
    version: int | None,
) -> Reply:
    """Request that the text of a published reply is replaced in the network; `appeal` is locked.

    Raises `NotFound`, `PreconditionFailed` naming the present version, `Conflict` unless the reply can be edited
    now and by this person, `Invalid` naming what must not be published.
    """
    reply = await reply_queries.get_reply(session, appeal, reply_id)
    drafts.check_version(reply, version)
    if appeal.erased_at is not None:
        raise Conflict("The personal data of the author was erased: the reply can only be withdrawn")
    parts = await _require_changeable(session, reply)
    if len(parts) > 1:
        raise Conflict(
            "The reply was published in several parts and cannot be edited: withdraw it, and reply again"
        )
    if without_whitespace(text) == without_whitespace(reply.text):
        raise Invalid.field("/text", "The reply has this text already")
    message = await reply_queries.find_message(session, reply.in_reply_to)
    edited = NewReply(text, reply.kind, reply.promised_at, reply.in_reply_to)
    hints = await check_context.require_publishable(session, appeal, edited, message)
    may_approve = Right.REPLIES_APPROVE in caller.rights and caller.actor != reply.author
    if not may_approve and await approval_rules.approval_reason(session, appeal) is not None:
        raise Conflict(
            "Replies to this appeal need approval: only an approver other than the reply's author may edit it"
        )
    stored = [hint.stored() for hint in hints]
    await _request(session, reply, caller, kind="edit", text=text, reason=reason, hints=stored)
    return reply


async def withdraw_reply(
    session: WriteSession,
    appeal: Appeal,
    reply_id: UUID,
    caller: Caller,
    *,
    ground: WithdrawalGround,
    reason: str,
    version: int | None,
) -> Reply:
    """Request that a published reply is deleted in the network; its text stays here. Raises as `edit_reply`."""
    reply = await reply_queries.get_reply(session, appeal, reply_id)
    drafts.check_version(reply, version)
    await _require_changeable(session, reply)
    await _request(session, reply, caller, kind="withdrawal", ground=ground, reason=reason)
    return reply


async def _require_changeable(session: WriteSession, reply: Reply) -> Sequence[Publication]:
    """Return the parts of a published reply. Raises `Conflict` unless it can be changed in the network now."""
    if reply.origin != "gospablik":
        raise Conflict("Only a reply that was published from here can be edited or withdrawn")
    if reply.status != "published":
        raise Conflict(f"Only a published reply can be edited or withdrawn; this one is «{reply.status}»")
    parts = (
        await session.scalars(
            select(Publication).where(Publication.reply_id == reply.id).order_by(Publication.part)
        )
    ).all()
    if not parts:
        raise Conflict("Ingest does not know the publication of this reply any more")
    network, kind = NETWORKS[parts[0].network], parts[0].kind
    if kind not in network.changeable:
        place = "a conversation" if kind == "message" else "comments"
        raise Conflict(f"«{network.title}» does not let a reply in {place} be edited or withdrawn")
    waiting = await session.scalar(
        select(ReplyChange).where(ReplyChange.reply_id == reply.id, ReplyChange.status == "queued")
    )
    if waiting is not None:
        raise Conflict(
            "Another change of this reply is under way: wait until it is applied or has failed",
            change={"id": str(waiting.id), "kind": waiting.kind, "requested_by": waiting.requested_by},
        )
    return parts


async def _request(session: WriteSession, reply: Reply, caller: Caller, **given: Any) -> None:
    change = ReplyChange(
        id=new_id(),
        reply_id=reply.id,
        status="queued",
        former_text=reply.text,
        requested_by=caller.actor,
        requested_at=await database_time(session),
        **given,
    )
    session.add(change)
    reply.version += 1
    reply.updated_at = clock.now()
    await session.flush()
    await enqueue_change(session, change.id)


async def enqueue_change(session: WriteSession, change_id: UUID, *, dedupe_key: str | None = None) -> None:
    """Enqueue the job that asks ingest to carry the change out."""
    payload = {"change_id": str(change_id)}
    await jobs.queue.enqueue(session, jobs.CHANGE_PUBLICATION, payload, dedupe_key=dedupe_key)


# Making a statement takes longer than its execution.
_CHANGES = (
    select(ReplyChange)
    .where(ReplyChange.reply_id.in_(bindparam("reply_ids", expanding=True)))
    .order_by(ReplyChange.requested_at, ReplyChange.id)
)


async def changes_of(session: AsyncSession, replies: Iterable[Reply]) -> Mapping[UUID, list[ReplyChange]]:
    """Return the changes of these replies, oldest first."""
    found: dict[UUID, list[ReplyChange]] = defaultdict(list)
    ids = [reply.id for reply in replies]
    if ids:
        rows = await session.scalars(_CHANGES, {"reply_ids": ids})
        for row in rows:
            found[row.reply_id].append(row)
    return found
