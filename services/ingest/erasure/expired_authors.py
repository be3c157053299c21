"""Erase the data of authors who have written nothing for the whole retention period."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, exists, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from services.ingest.erasure.official_pages import belongs_to_page, is_not_page
from services.ingest.erasure.requests import request_erasure
from services.ingest.erasure.subject import lock_intake
from shared import clock
from shared.api.pagination import inline_literal
from shared.contracts.notice_codes import NOTICES_ACTOR
from shared.database.sessions import Database
from shared.jobs import JobQueue
from shared.tables.appeals import OPEN_APPEAL_STATUSES, Appeal
from shared.tables.ingest import Author, Message, Publication

# Maximum per night; the remaining authors are erased on later nights.
AUTHORS_PER_NIGHT = 2_000
REQUESTED_BY = "ingest"


async def erase_expired_authors(database: Database, jobs: JobQueue, max_age: timedelta) -> int:
    """Queue the erasure of authors whose last message is older than `max_age`; return how many.

    One transaction per author. The data of an author with an open appeal is kept until the appeal is closed, and
    that of a colleague who gets notices in a conversation until no notice was sent for the whole period. Messages
    newer than `max_age` are not erased, even if they are collected only later. Official pages are not citizens:
    what they wrote is kept.
    """
    before, erased = clock.now() - max_age, 0
    async with database.read() as session:
        expired = await _expired_authors(session, before, AUTHORS_PER_NIGHT)
    for author_key in expired:
        async with database.write() as session:
            await lock_intake(session)
            if await belongs_to_page(session, author_key):
                continue
            if not await _expired_authors(session, before, 1, author_key):
                continue
            erased += 1
            await request_erasure(
                session,
                jobs,
                author_key,
                ground="retention_ended",
                reference=f"{max_age.days} days",
                requested_by=REQUESTED_BY,
                until=before,
            )
    return erased


async def _expired_authors(
    session: AsyncSession, before: datetime, limit: int, author_key: str | None = None
) -> Sequence[str]:
    recent = select(Message.id).where(Message.author_key == Author.author_key, Message.written_at >= before)
    awaiting = select(Appeal.id).where(
        Appeal.author_key == Author.author_key, Appeal.status.in_(OPEN_APPEAL_STATUSES)
    )
    which = await is_not_page(session) if author_key is None else Author.author_key == author_key
    query = select(Author.author_key).where(~recent.exists(), ~awaiting.exists(), ~_gets_notices(before), which)
    found = await session.scalars(query.order_by(Author.author_key).limit(limit))
    return found.all()


def _gets_notices(before: datetime) -> ColumnElement[bool]:
    """Return the SQL condition that the author is a colleague to whom a notice was sent since `before`, or is
    being sent. Their conversation must stay, because they read notices there and write nothing.
    """
    own, sent = aliased(Message), aliased(Message)
    is_own = (own.author_key == Author.author_key) & (own.kind == "message")
    known = exists().where(
        is_own,
        Publication.thread_key == own.thread_key,
        Publication.on_behalf_of == inline_literal(NOTICES_ACTOR),
        Publication.created_at >= before,
    )
    # Publications of notices may be purged earlier; their messages stay, and only such publications are purged.
    purged = exists().where(
        is_own,
        sent.thread_key == own.thread_key,
        sent.publication_id.is_not(None),
        sent.written_at >= before,
        ~exists().where(Publication.id == sent.publication_id),
    )
    return or_(known, purged)
