"""Guessing passwords is slowed down by user name and address, in the database: a restart forgets nothing.

Five wrong passwords for a name from one address block that name there for 30 seconds; each further one doubles the
time, up to 15 minutes. A right one, or an hour without a wrong one, starts afresh. So nobody keeps others out by
guessing: from elsewhere the name signs in as before. Unknown names count like known ones.

Who guesses from many addresses, or many names from one, is counted by name and by address as well, with larger
numbers. Those blocks spare an address from which that name has signed in lately, where also more may be mistyped.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import case, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from shared.database.sessions import WriteSession
from shared.http.client_address import counted_address
from shared.tables.registry import SignInFailure

MAX_FAILURES_PER_NAME_AND_ADDRESS = 5
MAX_FAILURES_FROM_KNOWN_ADDRESS = 20
MAX_FAILURES_PER_NAME = 50
MAX_FAILURES_PER_ADDRESS = 100
INITIAL_BLOCK = timedelta(seconds=30)
MAX_BLOCK = timedelta(minutes=15)
FAILURES_RESET_AFTER = timedelta(hours=1)


def _digest(text: str) -> str:
    # People type passwords into the field for names: what was typed is never stored.
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class SignInAttempt:
    """A name tried from an address; `known`: that name has signed in from there lately."""

    username: str
    address: str
    from_known_address: bool = False

    @classmethod
    def classify(cls, username: str, came_from: str | None, seen: Sequence[str | None] = ()) -> "SignInAttempt":
        """The attempt of a name; `seen` are addresses that it has signed in from lately."""
        address = counted_address(came_from)
        return cls(username, address, address in {counted_address(one) for one in seen if one})

    @property
    def counters(self) -> list[tuple[str, int]]:
        """The counts that it is held to, each with how many wrong passwords it allows."""
        name, address = _digest(self.username), _digest(self.address)
        pair = (
            f"{name}:{address}",
            MAX_FAILURES_FROM_KNOWN_ADDRESS if self.from_known_address else MAX_FAILURES_PER_NAME_AND_ADDRESS,
        )
        # Always in this order: two that count at once must not wait for each other.
        return (
            [pair]
            if self.from_known_address
            else [pair, (name, MAX_FAILURES_PER_NAME), (f":{address}", MAX_FAILURES_PER_ADDRESS)]
        )


async def remaining_block(session: AsyncSession, attempt: SignInAttempt, now: datetime) -> timedelta:
    """How long this attempt must still wait; zero when it may try."""
    digests = [digest for digest, _ in attempt.counters]
    until: datetime | None = await session.scalar(
        select(func.max(SignInFailure.blocked_until)).where(SignInFailure.digest.in_(digests))
    )
    return timedelta() if until is None else max(until - now, timedelta())


def block_duration(failures: int, allowed: int = MAX_FAILURES_PER_NAME_AND_ADDRESS) -> timedelta:
    """How long is blocked after so many wrong passwords in a row."""
    if failures < allowed:
        return timedelta()
    return min(INITIAL_BLOCK * (1 << min(failures - allowed, 20)), MAX_BLOCK)


async def record_failure(session: WriteSession, attempt: SignInAttempt, now: datetime) -> None:
    """Count a wrong password; also of names that do not exist."""
    fresh = SignInFailure.failed_at < now - FAILURES_RESET_AFTER
    for digest, allowed in attempt.counters:
        failures = await session.scalar(
            insert(SignInFailure)
            .values(digest=digest, failures=1, failed_at=now)
            .on_conflict_do_update(
                index_elements=[SignInFailure.digest],
                set_={"failures": case((fresh, 1), else_=SignInFailure.failures + 1), "failed_at": now},
            )
            .returning(SignInFailure.failures)
        )
        await session.execute(
            update(SignInFailure)
            .where(SignInFailure.digest == digest)
            .values(blocked_until=now + block_duration(failures or 1, allowed))
        )


async def record_success(session: WriteSession, attempt: SignInAttempt) -> None:
    """A right password: forget the wrong ones before it, from there."""
    await session.execute(delete(SignInFailure).where(SignInFailure.digest == attempt.counters[0][0]))


async def clear_failures(session: WriteSession, username: str) -> None:
    """Forget the wrong passwords of a name, wherever they came from."""
    await session.execute(delete(SignInFailure).where(SignInFailure.digest.startswith(_digest(username))))


async def purge_expired(session: WriteSession, now: datetime) -> None:
    """Delete counts that no longer matter."""
    await session.execute(delete(SignInFailure).where(SignInFailure.failed_at < now - FAILURES_RESET_AFTER))
