"""The lock that prevents a transaction from reading a citizen's text before an erasure and storing it
afterwards.
"""

from sqlalchemy import func, select

from shared.database.sessions import WriteSession
from shared.http.problems import Conflict

_LOCK = int.from_bytes(b"appeals!", signed=True)


async def lock_erasure(session: WriteSession) -> None:
    """Wait for transactions that read messages, and block new ones. Call before any appeal is locked."""
    await session.execute(select(func.pg_advisory_xact_lock(_LOCK)))


async def lock_reading(session: WriteSession) -> None:
    """Block erasures until the transaction ends. Call before messages are read or appeals are locked."""
    await session.execute(select(func.pg_advisory_xact_lock_shared(_LOCK)))


async def require_reading(session: WriteSession) -> None:
    """Lock as `lock_reading`, but raise `Conflict` instead of waiting: may be called when appeals are already
    locked.
    """
    if not await session.scalar(select(func.pg_try_advisory_xact_lock_shared(_LOCK))):
        raise Conflict("The personal data of a citizen is being erased at this moment: try again")
