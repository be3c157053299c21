"""Edits and withdrawals of published replies, requested by people. The stored text is the one that the network
shows: it changes only when the network has confirmed the change.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload

from services.appeals import jobs
from services.appeals.lifecycle.workflow import FINAL_STATUSES
from services.appeals.replies import (
    approval_rules,
    check_context,
    drafts,
    mark_question,
    reply_attachments,
    reply_queries,
)
from services.appeals.replies.new_reply import NewReply
from services.appeals.replies.repeated_texts import without_whitespace
from services.appeals.replies.submission import check_promise, require_none_under_way
from shared import clock
from shared.auth.callers import Caller
from shared.auth.rights import Right
from shared.contracts.values import WithdrawalGround
from shared.database.database_time import database_time
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict, Invalid
from shared.ids import new_id
from shared.networks import NETWORKS, NetworkInfo
from shared.tables.appeals import Appeal
from shared.tables.appeals_replies import Reply, ReplyChange
from shared.tables.ingest import Publication


@dataclass(frozen=True)
class EditOfReply:
    """The content of an edit. `promised_at` and `attachment_ids`: None keeps the value of the reply."""

    text: str
    reason: str
    promised_at: datetime | None = None
    attachment_ids: Sequence[UUID] | None = None


async def edit_reply(
    session: WriteSession,
    appeal: Appeal,
    reply_id: UUID,
    caller: Caller,
    *,
    given: EditOfReply,
    version: int | None,
) -> Reply:
    """Request the edit of a published reply in the network; `appeal` must be locked. Raises `NotFound`,
    `PreconditionFailed` naming the current version, `Conflict` if the reply cannot be edited now or by this
    person, `Invalid` naming text that must not be published, or a field that the edit cannot have.
    """
    reply = await reply_queries.get_reply(session, appeal, reply_id)
    drafts.check_version(reply, version)
    if appeal.erased_at is not None:
        raise Conflict("The personal data of the author was erased: the reply can only be withdrawn")
    network = await _require_changeable(session, reply)
    photos = given.attachment_ids
    if photos is not None and list(photos) == reply.attachment_ids:
        photos = None
    promised_at = given.promised_at if given.promised_at != reply.promised_at else None
    text = mark_question.edited_text(reply, given.text)
    _require_another_text(reply, text, promised_at, photos)
    message = await reply_queries.find_message(session, reply.in_reply_to)
    edited = NewReply(given.text, reply.kind, promised_at or reply.promised_at, reply.in_reply_to)
    if promised_at is not None:
        check_promise(edited)
        await _require_promise_in_force(session, appeal, reply)
    if photos is not None and not network.edits_photos:
        raise Invalid.field(
            "/attachments", f"«{network.title}» can edit only the text of a reply: omit `attachments`"
        )
    attached = await reply_attachments.require_attachable(session, photos or (), message, caller, reply)
    hints = await check_context.require_publishable(session, appeal, edited, message)
    await _require_approver(session, appeal, reply, caller)
    reply_attachments.link(attached, reply)
    await _request(
        session,
        reply,
        caller,
        kind="edit",
        text=text,
        reason=given.reason,
        hints=[hint.stored() for hint in hints],
        promised_at=promised_at,
        former_promised_at=reply.promised_at if promised_at is not None else None,
        attachment_ids=list(photos) if photos is not None else None,
        former_attachment_ids=reply.attachment_ids if photos is not None else None,
    )
    return reply


def _require_another_text(
    reply: Reply, text: str, promised_at: datetime | None, photos: Sequence[UUID] | None
) -> None:
    """Raise `Invalid` if the text is the same, unless only the photos change."""
    if without_whitespace(text) != without_whitespace(reply.text):
        return
    if promised_at is not None:
        raise Invalid.field("/text", "The citizen reads only the text: change it to give the new date")
    if photos is None:
        raise Invalid.field("/text", "The reply already has this text")


async def _require_approver(session: WriteSession, appeal: Appeal, reply: Reply, caller: Caller) -> None:
    """Raise `Conflict` if a rule requires approval, unless the caller is an approver and not the author."""
    may_approve = Right.REPLIES_APPROVE in caller.rights and caller.actor != reply.author
    if not may_approve and await approval_rules.approval_reason(session, appeal) is not None:
        raise Conflict(
            "Replies to this appeal need approval: only an approver other than the reply's author may edit it"
        )


async def _require_promise_in_force(session: WriteSession, appeal: Appeal, reply: Reply) -> None:
    """Raise `Conflict` unless the appeal waits for the date that this reply promises. Also raise it while another
    reply is being published: that reply may already be in the network, and ends only promises made before it.
    """
    await require_none_under_way(session, appeal)
    waits = appeal.promised_at is not None and appeal.promised_at == reply.promised_at
    ended = appeal.status in FINAL_STATUSES
    if ended or not waits or not await reply_queries.is_latest_published(session, reply):
        raise Conflict(
            "The promise of this reply is no longer open: another reply followed, the citizen wrote again, or the "
            "appeal has ended. Send a new reply with the new date"
        )


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
    """Request the deletion of a published reply in the network; its text stays here. Raises `NotFound`,
    `PreconditionFailed` naming the current version, `Conflict` if the reply cannot be withdrawn now.
    """
    reply = await reply_queries.get_reply(session, appeal, reply_id)
    drafts.check_version(reply, version)
    await _require_changeable(session, reply)
    await _request(session, reply, caller, kind="withdrawal", ground=ground, reason=reason)
    return reply


async def _require_changeable(session: WriteSession, reply: Reply) -> NetworkInfo:
    """Return the network of a published reply. Raises `Conflict` if the reply cannot be changed in the network
    now.
    """
    if reply.origin != "gospablik":
        raise Conflict(
            "Only a reply published through this system can be edited or withdrawn; change this one in the network"
        )
    if reply.status != "published":
        raise Conflict(f"Only a published reply can be edited or withdrawn; this one is «{reply.status}»")
    first = await session.scalar(
        select(Publication).where(Publication.reply_id == reply.id).order_by(Publication.part).limit(1)
    )
    if first is None:
        raise Conflict("The data of this reply's publication is deleted: change the reply in the network itself")
    network, kind = NETWORKS[first.network], first.kind
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
    return network


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
    """Enqueue the job that requests the change from ingest."""
    payload = {"change_id": str(change_id)}
    await jobs.queue.enqueue(session, jobs.CHANGE_PUBLICATION, payload, dedupe_key=dedupe_key)


# Built once: building the statement takes longer than executing it.
_CHANGES = (
    select(ReplyChange)
    .where(ReplyChange.reply_id.in_(bindparam("reply_ids", expanding=True)))
    .order_by(ReplyChange.requested_at, ReplyChange.id)
    .options(joinedload(ReplyChange.progress))
)


async def changes_of(session: AsyncSession, replies: Iterable[Reply]) -> Mapping[UUID, list[ReplyChange]]:
    """Return the changes of these replies, oldest first, with their progress in ingest."""
    found: dict[UUID, list[ReplyChange]] = defaultdict(list)
    ids = [reply.id for reply in replies]
    if ids:
        rows = await session.scalars(_CHANGES, {"reply_ids": ids})
        for row in rows:
            found[row.reply_id].append(row)
    return found
