"""The lock of an appeal's replies, for decisions that two services make.

Ingest retries a failed reply only if the rows of appeals allow it; appeals moves messages, merges appeals and
accepts replies only if ingest is not retrying one. Without the lock each could decide before it sees what the
other commits, and a reply would be published under an appeal that no longer has its message. Appeals takes the
lock after the row of the appeal; ingest, which may not lock that row, after the thread.
"""

from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession


async def lock_replies(session: AsyncSession, *appeal_ids: UUID) -> None:
    """Take the lock of these appeals' replies until the transaction ends. The statements that follow see what the
    other service has committed.
    """
    for appeal_id in sorted(appeal_ids):
        key = func.hashtextextended(f"replies:{appeal_id}", 0)
        await session.execute(select(func.pg_advisory_xact_lock(key)))
