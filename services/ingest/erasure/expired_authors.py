"""Erase citizens' data after its retention period: of authors who have written nothing for so long."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.ingest.erasure.requests import request_erasure
from shared import clock
from shared.database.sessions import Database
from shared.jobs import JobQueue
from shared.tables.appeals import OPEN_APPEAL_STATUSES, Appeal
from shared.tables.ingest import Author, Message

# In one night; more wait for the next.
AUTHORS_AT_A_TIME = 2_000
REQUESTED_BY = "ingest"


async def erase_expired_authors(database: Database, jobs: JobQueue, max_age: timedelta) -> int:
    """Queue the erasure of authors whose last message is older, each in a transaction; return how many.

    The data of an author with an open appeal is kept until it is closed.
    """
    async with database.read() as session:
        expired = await _expired_authors(session, max_age)
    for author_key in expired:
        async with database.write() as session:
            await request_erasure(
                session,
                jobs,
                author_key,
                ground="retention_ended",
                reference=f"{max_age.days} days",
                requested_by=REQUESTED_BY,
            )
    return len(expired)


async def _expired_authors(session: AsyncSession, max_age: timedelta) -> Sequence[str]:
    recent = select(Message.id).where(
        Message.author_key == Author.author_key, Message.written_at >= clock.now() - max_age
    )
    awaiting = select(Appeal.id).where(
        Appeal.author_key == Author.author_key, Appeal.status.in_(OPEN_APPEAL_STATUSES)
    )
    found = await session.scalars(
        select(Author.author_key)
        .where(~recent.exists(), ~awaiting.exists())
        .order_by(Author.author_key)
        .limit(AUTHORS_AT_A_TIME)
    )
    return found.all()
