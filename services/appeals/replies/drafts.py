"""Drafts of replies: create, save, submit, discard. An appeal has one draft at a time, which its staff share.
Every function is called with the appeal's row locked.
"""

from uuid import UUID

from services.appeals.lifecycle.timeline import AppealRecorder
from services.appeals.replies import (
    check_context,
    edit_lease,
    handover,
    mark_question,
    repeated_texts,
    reply_attachments,
    reply_queries,
    submission,
)
from services.appeals.replies.new_reply import NewReply
from services.appeals.replies.reply_versions import record_version
from shared import clock
from shared.api import preconditions
from shared.auth.callers import Caller
from shared.database.database_time import database_time
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict
from shared.tables.appeals import Appeal
from shared.tables.appeals_replies import Reply

_DISCARDABLE = frozenset({"draft", "on_approval"})


async def create_draft(session: WriteSession, appeal: Appeal, given: NewReply, caller: Caller) -> Reply:
    """Create a draft and give its author the edit lease. Kind and promise are checked when it is submitted.

    Raises `Conflict` if the appeal takes no reply now, `ReplyBeingWritten` naming the other person,
    `ReplyUnderWay` naming the first reply, `Invalid` for a message of another appeal or an attachment that cannot
    be attached.
    """
    submission.require_takes_reply(appeal, caller)
    message = await reply_queries.target_message(session, appeal, given.message_id)
    await submission.require_none_under_way(session, appeal)
    attached = await reply_attachments.require_attachable(session, given.attachment_ids or (), message, caller)
    await edit_lease.take_lease(session, appeal, caller)
    reply = submission.new_reply(appeal, given, caller.actor, message.id)
    reply.created_at = await database_time(session)
    session.add(reply)
    await session.flush()
    reply_attachments.link(attached, reply)
    await record_version(session, reply, caller.actor)
    return reply


async def save_draft(
    session: WriteSession, appeal: Appeal, reply_id: UUID, given: NewReply, caller: Caller, *, version: int | None
) -> Reply:
    """Save the current content of a draft, and renew the edit lease. Equal content keeps the version. Raises
    `NotFound`, `ReplyBeingWritten` naming the other person, `Conflict` if the reply is not a draft,
    `PreconditionFailed` naming the current version, `Invalid` for a message of another appeal or an attachment
    that cannot be attached.
    """
    reply = await reply_queries.get_reply(session, appeal, reply_id)
    _require_draft(reply)
    await edit_lease.take_lease(session, appeal, caller)
    check_version(reply, version)
    message_id = reply.in_reply_to
    if given.message_id is not None:
        message_id = (await reply_queries.target_message(session, appeal, given.message_id)).id
    ids = reply.attachment_ids if given.attachment_ids is None else list(given.attachment_ids)
    content = (given.text, given.kind, given.promised_at, message_id, ids)
    ending = (given.outcome, given.ask_mark)
    present = (reply.text, reply.kind, reply.promised_at, reply.in_reply_to, reply.attachment_ids)
    if (content, ending) == (present, (reply.outcome, reply.asks_mark)):
        return reply
    message = await reply_queries.find_message(session, message_id)
    attached = await reply_attachments.require_attachable(session, ids, message, caller, reply)
    reply_attachments.link(attached, reply)
    reply.text, reply.kind, reply.promised_at, reply.in_reply_to, reply.attachment_ids = content
    reply.outcome, reply.asks_mark = ending
    reply.version += 1
    reply.updated_at = clock.now()
    await session.flush()
    await record_version(session, reply, caller.actor)
    return reply


async def submit_draft(
    session: WriteSession,
    appeal: Appeal,
    reply_id: UUID,
    version: int | None,
    caller: Caller,
    *,
    allow_duplicate: bool = False,
) -> Reply:
    """Submit a draft for publication, or for approval if a rule requires it; the caller becomes its author.

    Raises the errors of `submission.submit_reply`, and `NotFound`, `PreconditionFailed`, or `Conflict` if the
    reply is not a draft.
    """
    reply = await reply_queries.get_reply(session, appeal, reply_id)
    _require_draft(reply)
    await edit_lease.require_not_held_by_another(session, appeal, caller)
    check_version(reply, version)
    submission.require_takes_reply(appeal, caller)
    await submission.require_none_under_way(session, appeal, besides=reply)
    written = NewReply(
        reply.text, reply.kind, reply.promised_at, reply.in_reply_to, (), reply.outcome, reply.asks_mark
    )
    submission.check_promise(written)
    mark_question.check_outcome(written)
    if reply.kind == "final" and not allow_duplicate:
        await repeated_texts.require_new_text(session, appeal, reply.text)
    message = await reply_queries.find_message(session, reply.in_reply_to)
    hints = await check_context.require_publishable(session, appeal, written, message)
    # The text that a partner proposed is now the answer of whoever submits it, and may have been rewritten.
    reply.answered_by = None
    reply.version += 1
    await handover.hand_over(session, appeal, reply, caller.actor, hints)
    await edit_lease.release_lease(session, appeal, caller)
    return reply


async def discard_draft(
    session: WriteSession, appeal: Appeal, reply_id: UUID, version: int | None, caller: Caller
) -> None:
    """Discard a draft, or a reply on approval. Its versions are kept and can still be read. Raises `NotFound`,
    `ReplyBeingWritten`, `PreconditionFailed`, or `Conflict` for a reply that was sent to publication.
    """
    reply = await reply_queries.get_reply(session, appeal, reply_id)
    if reply.status not in _DISCARDABLE:
        raise Conflict(f"Only a draft or a reply on approval can be discarded; this one is «{reply.status}»")
    await edit_lease.require_not_held_by_another(session, appeal, caller)
    check_version(reply, version)
    reply.status = "discarded"
    reply.version += 1
    reply.updated_at = clock.now()
    recorder = AppealRecorder()
    recorder.add_timeline_entry(appeal, "reply_discarded", caller.actor, reply_id=str(reply.id))
    await recorder.write(session)
    await edit_lease.release_lease(session, appeal, caller)


def check_version(reply: Reply, version: int | None) -> None:
    """Raise `PreconditionFailed` naming the current version unless the caller saw it."""
    preconditions.check_version(reply.version, version, version=reply.version)


def _require_draft(reply: Reply) -> None:
    if reply.status != "draft":
        raise Conflict(f"Only a draft can be changed or submitted; this reply is «{reply.status}»")
