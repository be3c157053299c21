"""Guessing passwords is slowed down per user name, in the database: a restart or a second process forgets nothing.

Five wrong passwords in a row block the name for 30 seconds; each further one doubles the time, up to 15 minutes.
A right one, or an hour without a wrong one, starts afresh. Unknown names count like known ones.
"""

import hashlib
from datetime import datetime, timedelta

from sqlalchemy import case, delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from shared.database import WriteSession
from shared.tables.registry import SignInFailure

ALLOWED = 5
FIRST_BLOCK = timedelta(seconds=30)
LONGEST_BLOCK = timedelta(minutes=15)
FORGOTTEN_AFTER = timedelta(hours=1)


def _digest(username: str) -> str:
    # People type passwords into the field for names: what was typed is never stored.
    return hashlib.sha256(username.encode()).hexdigest()


async def blocked_for(session: AsyncSession, username: str, now: datetime) -> timedelta:
    """How long this name must still wait; zero when it may try."""
    until: datetime | None = await session.scalar(
        select(SignInFailure.blocked_until).where(SignInFailure.digest == _digest(username))
    )
    return timedelta() if until is None else max(until - now, timedelta())


def block_after(failures: int) -> timedelta:
    """How long a name is blocked after so many wrong passwords in a row."""
    if failures < ALLOWED:
        return timedelta()
    return min(FIRST_BLOCK * (1 << min(failures - ALLOWED, 20)), LONGEST_BLOCK)


async def note_failure(session: WriteSession, username: str, now: datetime) -> None:
    """Count a wrong password; also of names that do not exist."""
    fresh = SignInFailure.failed_at < now - FORGOTTEN_AFTER
    failures = await session.scalar(
        insert(SignInFailure)
        .values(digest=_digest(username), failures=1, failed_at=now)
        .on_conflict_do_update(
            index_elements=[SignInFailure.digest],
            set_={"failures": case((fresh, 1), else_=SignInFailure.failures + 1), "failed_at": now},
        )
        .returning(SignInFailure.failures)
    )
    await session.execute(
        update(SignInFailure)
        .where(SignInFailure.digest == _digest(username))
        .values(blocked_until=now + block_after(failures or 1))
    )


async def note_success(session: WriteSession, username: str) -> None:
    """A right password: forget the wrong ones before it."""
    await session.execute(delete(SignInFailure).where(SignInFailure.digest == _digest(username)))


async def forget_old(session: WriteSession, now: datetime) -> None:
    """Delete counts that no longer matter."""
    await session.execute(delete(SignInFailure).where(SignInFailure.failed_at < now - FORGOTTEN_AFTER))
