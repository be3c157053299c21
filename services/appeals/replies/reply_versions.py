"""Versions of the text of a reply, so that no written text is lost."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.replies.checks.hints import Hint
from shared.api.pagination import Paging
from shared.database.database_time import database_time
from shared.database.sessions import WriteSession
from shared.ids import new_id
from shared.tables.appeals_replies import Reply, ReplyChange, ReplyVersion

# Consecutive saves of one person within this time are one version, because an editor saves every few seconds.
ONE_VERSION_WITHIN = timedelta(minutes=1)


async def record_version(
    session: WriteSession, reply: Reply, author: str, hints: Sequence[Hint] | None = None
) -> None:
    """Store the current text of the reply as a version by `author`. `hints`: the results of the checks at
    submission; a submitted version is never overwritten. The reply must be flushed and the row of its appeal
    locked.
    """
    now = await database_time(session)
    last = await session.scalar(
        select(ReplyVersion).where(ReplyVersion.reply_id == reply.id).order_by(ReplyVersion.number.desc()).limit(1)
    )
    stored = None if hints is None else [hint.stored() for hint in hints]
    if last is not None and _is_continued(last, reply, author, now, submitted=hints is not None):
        last.text, last.kind, last.promised_at, last.saved_at = reply.text, reply.kind, reply.promised_at, now
        last.hints, last.attachment_ids = stored, list(reply.attachment_ids)
    else:
        session.add(
            ReplyVersion(
                id=new_id(), reply_id=reply.id, number=last.number + 1 if last is not None else 1, kind=reply.kind,
                text=reply.text, promised_at=reply.promised_at, author=author, hints=stored, created_at=now,
                saved_at=now, attachment_ids=list(reply.attachment_ids),
            )
        )  # fmt: skip
    await session.flush()


async def record_edit(session: WriteSession, reply: Reply, change: ReplyChange) -> None:
    """Store the edited text of a published reply as a version by the person who edited it. A reply without
    versions first gets a version with its former text. The row of its appeal must be locked. An edit made in the
    network was not checked: its version has no hints.
    """
    last = await session.scalar(select(func.max(ReplyVersion.number)).where(ReplyVersion.reply_id == reply.id))
    now = await database_time(session)
    if last is None:
        former = _version_of(reply, 1, reply.author, reply.created_at, now)
        former.text = change.former_text
        former.promised_at = change.former_promised_at or reply.promised_at
        if change.former_attachment_ids is not None:
            former.attachment_ids = change.former_attachment_ids
        session.add(former)
    edited = _version_of(reply, (last or 1) + 1, change.requested_by, change.requested_at, now)
    edited.hints = change.hints or []
    session.add(edited)
    await session.flush()


def _version_of(reply: Reply, number: int, author: str, created_at: datetime, saved_at: datetime) -> ReplyVersion:
    return ReplyVersion(
        id=new_id(), reply_id=reply.id, number=number, kind=reply.kind, text=reply.text,
        promised_at=reply.promised_at, author=author, hints=[], created_at=created_at, saved_at=saved_at,
        attachment_ids=list(reply.attachment_ids),
    )  # fmt: skip


def _is_continued(last: ReplyVersion, reply: Reply, author: str, now: datetime, *, submitted: bool) -> bool:
    """Return whether the current text replaces the last version instead of becoming a new one."""
    if last.hints is not None:  # a submitted version
        return False
    if submitted:
        written = (reply.text, reply.kind, reply.promised_at, reply.attachment_ids)
        return (last.text, last.kind, last.promised_at, last.attachment_ids) == written
    return last.author == author and now - last.created_at < ONE_VERSION_WITHIN


async def list_versions(session: AsyncSession, reply_id: UUID, paging: Paging) -> Sequence[ReplyVersion]:
    """Return the versions of a reply, newest first: one page plus one row."""
    query = (
        select(ReplyVersion)
        .where(ReplyVersion.reply_id == reply_id)
        .order_by(ReplyVersion.number.desc())
        .limit(paging.limit + 1)
    )
    after = paging.after((ReplyVersion.number,), (int,))
    return list(await session.scalars(query if after is None else query.where(after)))
