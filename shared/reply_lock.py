"""The lock of an appeal's replies, for decisions that two services make.

Ingest restarts a failed reply by what appeals has stored; appeals moves messages, merges appeals and accepts
replies by whether ingest has restarted one. Without the lock both decide by what the other has not committed yet,
and a reply is published under an appeal that its message has left. Appeals takes it after the row of the appeal;
ingest, which may not lock that row, after the thread.
"""

from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession


async def lock_replies(session: AsyncSession, *appeal_ids: UUID) -> None:
    """Take the lock of the replies of these appeals until the transaction ends. What the other service committed
    is seen by the statements that follow.
    """
    for appeal_id in sorted(appeal_ids):
        key = func.hashtextextended(f"replies:{appeal_id}", 0)
        await session.execute(select(func.pg_advisory_xact_lock(key)))
