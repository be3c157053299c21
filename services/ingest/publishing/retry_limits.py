"""Who may retry the failed reply of an appeal, and when: the same rules as in appeals."""

from uuid import UUID

from sqlalchemy import exists, or_, select

from shared.auth.callers import Caller
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict, NotFound
from shared.reply_lock import lock_replies
from shared.tables.appeals import Appeal, AppealMessage
from shared.tables.appeals_replies import PENDING_REPLY_STATUSES, REPLY_STATUSES_UNDER_WAY, Reply
from shared.tables.ingest import Publication


async def require_retry_allowed(session: WriteSession, caller: Caller, reply_id: UUID) -> None:
    """Raise `NotFound` unless the appeal of the reply is in the caller's scope, `Conflict` if the appeal was
    merged, the message that the reply answers is in another appeal by now, or another reply is under way.

    The organisation of a publication is the one that answered. The appeal may have been transferred since, and the
    reply would be published in the name of its new owner. A publication without a reply has no such limit.
    """
    appeal_id = await session.scalar(select(Reply.appeal_id).where(Reply.id == reply_id))
    if appeal_id is None:
        return
    await lock_replies(session, appeal_id)
    appeal = (
        await session.execute(
            select(
                Appeal.id, Appeal.status, Reply.in_reply_to, caller.scope(Appeal.organisation_id).label("in_scope")
            )
            .join(Reply, Reply.appeal_id == Appeal.id)
            .where(Reply.id == reply_id)
        )
    ).one()
    if not appeal.in_scope:
        raise NotFound("No such publication")
    if appeal.status == "merged":
        raise Conflict("The appeal was merged into another one: reply to the other appeal")
    in_appeal = exists().where(
        AppealMessage.message_id == appeal.in_reply_to, AppealMessage.appeal_id == appeal.id
    )
    if appeal.in_reply_to is not None and not await session.scalar(select(in_appeal)):
        raise Conflict(
            "The message that this reply answers was moved to another appeal: answer it there, or write a new "
            "reply to a message of this appeal"
        )
    resumed = exists().where(Publication.reply_id == Reply.id, Publication.status.in_(PENDING_REPLY_STATUSES))
    under_way = await session.scalar(
        select(Reply.status)
        .where(
            Reply.appeal_id == appeal.id,
            Reply.id != reply_id,
            or_(Reply.status.in_(REPLY_STATUSES_UNDER_WAY), (Reply.status == "failed") & resumed),
        )
        .limit(1)
    )
    if under_way is not None:
        raise Conflict(
            "Another reply to the appeal is under way: discard its draft, or wait until it is published or "
            "has failed"
        )
