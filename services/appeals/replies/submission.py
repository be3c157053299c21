"""Submission of replies: validation, storage, and the request to publish."""

from uuid import UUID

from sqlalchemy import exists, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals import jobs
from services.appeals.lifecycle.timeline import AppealRecorder, event_snapshot
from services.appeals.lifecycle.workflow import FINAL_STATUSES, allowed_moves
from services.appeals.replies import (
    approval_rules,
    check_context,
    edit_lease,
    handover,
    mark_question,
    repeated_texts,
    reply_attachments,
    reply_queries,
)
from services.appeals.replies.new_reply import NewReply
from shared import clock
from shared.auth.callers import Caller
from shared.auth.rights import Right
from shared.contracts.appeal_events import ReplyQueued
from shared.database.database_time import database_time
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict, FieldError, Invalid, ReplyUnderWay
from shared.ids import new_id
from shared.reply_lock import lock_replies
from shared.tables.appeals import Appeal, AppealMessage
from shared.tables.appeals_replies import REPLY_STATUSES_UNDER_WAY, Reply
from shared.tables.ingest import Message, Publication

# Ingest splits texts longer than the network's limit; it accepts 500 characters more, for the request for a mark.
MAX_REPLY_LENGTH = 20_000


async def submit_reply(
    session: WriteSession, appeal: Appeal, draft: NewReply, caller: Caller, *, allow_duplicate: bool = False
) -> Reply:
    """Store the reply and request its publication, or its approval if a rule requires it; `appeal` must be locked.
    `allow_duplicate`: the caller repeats an equal final text on purpose. Raises `Conflict` if the appeal takes no
    reply now, `ReplyBeingWritten` naming the other person, `ReplyUnderWay` and `Duplicate` naming the first reply,
    `Invalid` naming the wrong field or the text that must not be published.
    """
    require_takes_reply(appeal, caller)
    await edit_lease.require_not_held_by_another(session, appeal, caller)
    message = await reply_queries.target_message(session, appeal, draft.message_id)
    attached = await reply_attachments.require_attachable(session, draft.attachment_ids or (), message, caller)
    reply = await create_reply(
        session, appeal, draft, message, caller.actor, allow_duplicate=allow_duplicate, check=True
    )
    reply_attachments.link(attached, reply)
    await edit_lease.release_lease(session, appeal, caller)
    return reply


def require_takes_reply(appeal: Appeal, caller: Caller) -> None:
    """Raise `Conflict` naming the allowed moves if the appeal takes no reply in its status."""
    if appeal.erased_at is not None:
        raise Conflict("The personal data of the author was erased, so no reply can be sent")
    if appeal.status in FINAL_STATUSES or appeal.status == "triage":
        raise Conflict(
            f"An appeal in status «{appeal.status}» cannot be replied to",
            allowed_moves=allowed_moves(
                appeal.status, caller.role, may_triage=caller.token_includes(Right.APPEALS_TRIAGE)
            ),
        )


async def create_reply(
    session: WriteSession,
    appeal: Appeal,
    draft: NewReply,
    message: Message,
    author: str,
    *,
    incident_reply_id: UUID | None = None,
    allow_duplicate: bool = False,
    check: bool = False,
) -> Reply:
    """Create a reply as `submit_reply` does, to this message of a locked appeal that takes a reply; write nothing
    on an error. `allow_duplicate` as for `submit_reply`. `check`: check the text, and store the results
    with it. The text of a reply to an incident was checked before.
    """
    await require_creatable(session, appeal, draft, allow_duplicate=allow_duplicate)
    hints = await check_context.require_publishable(session, appeal, draft, message) if check else None
    reply = new_reply(appeal, draft, author, message.id)
    reply.incident_reply_id = incident_reply_id
    await handover.hand_over(session, appeal, reply, author, hints)
    return reply


async def require_creatable(
    session: WriteSession, appeal: Appeal, draft: NewReply, *, allow_duplicate: bool = False
) -> None:
    """Raise as `create_reply` does, apart from the checks of the text, if the reply cannot be created now."""
    check_promise(draft)
    mark_question.check_outcome(draft)
    await require_none_under_way(session, appeal)
    if draft.kind == "final" and not allow_duplicate:
        await repeated_texts.require_new_text(session, appeal, draft.text)


def new_reply(appeal: Appeal, draft: NewReply, author: str, message_id: UUID) -> Reply:
    """Return a new draft of a reply to the message. The draft is not added to a session."""
    return Reply(
        id=new_id(), appeal_id=appeal.id, origin="gospablik", kind=draft.kind, text=draft.text, status="draft",
        author=author, promised_at=draft.promised_at, publication_id=None, in_reply_to=message_id, message_id=None,
        url=None, published_at=None, failure=None, approval=None, version=1, created_at=clock.now(),
        updated_at=clock.now(), incident_reply_id=None, submitted_at=None,
        attachment_ids=list(draft.attachment_ids or ()), outcome=draft.outcome, asks_mark=draft.ask_mark,
    )  # fmt: skip


async def require_none_under_way(session: AsyncSession, appeal: Appeal, *, besides: Reply | None = None) -> None:
    """Raise `ReplyUnderWay` if a reply other than `besides` to the locked appeal is under way. A failed reply
    counts if ingest has restarted its publication.
    """
    await lock_replies(session, appeal.id)
    first = await session.scalar(
        select(Reply)
        .where(
            Reply.appeal_id == appeal.id,
            Reply.id != besides.id if besides is not None else true(),
            or_(Reply.status.in_(REPLY_STATUSES_UNDER_WAY), reply_queries.is_resumed()),
        )
        .order_by(Reply.created_at, Reply.id)
        .limit(1)
    )
    if first is not None:
        status = first.status if first.status in REPLY_STATUSES_UNDER_WAY else "queued"
        what_to_do = {
            "draft": "edit and submit that draft, or discard it",
            "on_approval": "wait until it is approved or refused, or discard it",
        }.get(status, "wait until it is published or has failed")
        raise ReplyUnderWay(
            f"A reply to this appeal is under way («{status}»): {what_to_do}",
            reply=await reply_queries.reply_in_problem(session, first) | {"status": status},
        )


def check_promise(draft: NewReply) -> None:
    """Raise `Invalid` naming the field if kind and promise do not fit together."""
    errors = []
    if draft.kind == "interim" and draft.promised_at is None:
        errors.append(
            FieldError(
                pointer="/promised_at",
                detail="Give the date of the final reply: an interim reply must promise one",
            )
        )
    if draft.kind == "final" and draft.promised_at is not None:
        errors.append(
            FieldError(pointer="/promised_at", detail="Omit the date: only an interim reply has a promised date")
        )
    if draft.promised_at is not None and draft.promised_at <= clock.now():
        errors.append(FieldError(pointer="/promised_at", detail="The promised date must not be in the past"))
    if errors:
        names = ", ".join(dict.fromkeys(error.pointer for error in errors))
        raise Invalid(f"Invalid: {names}", errors=errors)


async def retry_reply(
    session: WriteSession, appeal: Appeal, reply_id: UUID, caller: Caller, text: str | None = None
) -> Reply | None:
    """Retry a failed reply, with the corrected `text` if given; return None if the appeal has no such reply.
    Raises `Conflict` if the appeal was merged, the reply has not failed, its message was moved to another appeal,
    or the corrected text needs the approval of another person; `ReplyUnderWay` naming another reply; `Invalid` if
    parts of it are published and `text` does not begin with them, or if `text` must not be published. The former
    text stays in the timeline.
    """
    reply = await session.scalar(
        select(Reply).where(Reply.id == reply_id, Reply.appeal_id == appeal.id).with_for_update()
    )
    if reply is None:
        return None
    if appeal.status == "merged":
        raise Conflict("The appeal was merged into another one: reply to the other appeal")
    if reply.status != "failed":
        raise Conflict(f"Only a failed reply can be retried; this one is «{reply.status}»")
    await _require_message_in_appeal(session, appeal, reply)
    await require_none_under_way(session, appeal)
    recorder = AppealRecorder()
    if text is not None:
        text = mark_question.with_question(reply, text)
    if text is not None and text != reply.text:
        await _check_correction(session, reply, text)
        await _require_correction_allowed(session, appeal, reply, text, caller)
        recorder.add_timeline_entry(
            appeal, "reply_corrected", caller.actor, reply_id=str(reply.id), former=reply.text
        )
        reply.text = text
    reply.status, reply.failure = "queued", None
    reply.version += 1
    reply.submitted_at = await database_time(session)
    reply.updated_at = clock.now()
    appeal.reply_failed = None
    await session.flush()
    recorder.add_timeline_entry(appeal, "reply_queued", caller.actor, reply_id=str(reply.id), again=True)
    recorder.add_event(ReplyQueued(**event_snapshot(appeal), reply_id=reply.id), caller.actor)
    await recorder.write(session)
    if reply.publication_id is None:
        reply.organisation_id = appeal.organisation_id
        await handover.enqueue_publication_request(session, reply)
    else:
        await jobs.queue.enqueue(session, jobs.RETRY_PUBLICATION, {"reply_id": str(reply.id)})
    return reply


async def _require_message_in_appeal(session: AsyncSession, appeal: Appeal, reply: Reply) -> None:
    """Raise `Conflict` if the message that the reply answers is in another appeal by now. A failed reply does not
    keep its message from being moved.
    """
    if reply.in_reply_to is None:
        return
    in_appeal = exists().where(AppealMessage.message_id == reply.in_reply_to, AppealMessage.appeal_id == appeal.id)
    if not await session.scalar(select(in_appeal)):
        raise Conflict(
            "The message that this reply answers was moved to another appeal: answer it there, or write a new "
            "reply to a message of this appeal"
        )


async def _require_correction_allowed(
    session: AsyncSession, appeal: Appeal, reply: Reply, text: str, caller: Caller
) -> None:
    """Raise `Invalid` or `Conflict` if the caller may not publish the corrected text now."""
    message = await reply_queries.find_message(session, reply.in_reply_to)
    corrected = NewReply(text, reply.kind, reply.promised_at, reply.in_reply_to)
    await check_context.require_publishable(session, appeal, corrected, message)
    may_approve = Right.REPLIES_APPROVE in caller.rights and caller.actor != reply.author
    if not may_approve and await approval_rules.approval_reason(session, appeal) is not None:
        raise Conflict(
            "The corrected text needs approval: only an approver other than the author may retry with it"
        )


async def _check_correction(session: AsyncSession, reply: Reply, text: str) -> None:
    """Raise `Invalid` unless the text begins with the parts that are already published, which cannot be changed,
    and adds to them.
    """
    parts = await session.scalars(
        select(Publication.text)
        .where(Publication.reply_id == reply.id, Publication.status == "published")
        .order_by(Publication.part)
    )
    published = repeated_texts.without_whitespace("".join(parts))
    if not repeated_texts.without_whitespace(text).startswith(published):
        detail = "A part of the reply is already published: the corrected text must begin with it"
        raise Invalid.field("/text", detail)
    if published == repeated_texts.without_whitespace(text):
        raise Invalid.field("/text", "All of this text is already published: add the missing rest")
