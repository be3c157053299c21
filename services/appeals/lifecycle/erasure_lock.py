"""The lock by which nothing reads a citizen's words before an erasure and stores them after it."""

from sqlalchemy import func, select

from shared.database.sessions import WriteSession
from shared.http.problems import Conflict

_LOCK = int.from_bytes(b"appeals!", signed=True)


async def lock_erasure(session: WriteSession) -> None:
    """Wait for those who read messages, and let none begin; before any appeal is locked."""
    await session.execute(select(func.pg_advisory_xact_lock(_LOCK)))


async def lock_reading(session: WriteSession) -> None:
    """Let no erasure begin before the end of the transaction; before messages are read or appeals are locked."""
    await session.execute(select(func.pg_advisory_xact_lock_shared(_LOCK)))


async def require_reading(session: WriteSession) -> None:
    """As `lock_reading`, also where appeals are locked already: raises `Conflict` instead of waiting."""
    if not await session.scalar(select(func.pg_try_advisory_xact_lock_shared(_LOCK))):
        raise Conflict("The personal data of a citizen is being erased at this moment; try again")
