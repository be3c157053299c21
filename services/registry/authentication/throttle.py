"""Login throttling by user name and address. Counters are kept in the database, so a restart does not reset them.

Five wrong passwords for a name from one address block the name at that address for 30 seconds; each further one
doubles the time, up to 15 minutes. A correct password, or an hour without a wrong one, resets the counter. An
attacker cannot lock a user out: sign-in from other addresses still works. Unknown names are counted like known
ones.

Guesses from many addresses, or at many names, are also counted by name and by address, with higher limits. These
blocks do not apply to an address from which the user has recently signed in; there the limit is higher too.
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
from shared.supervision import Backoff
from shared.tables.registry import SignInFailure

MAX_FAILURES_PER_NAME_AND_ADDRESS = 5
MAX_FAILURES_FROM_KNOWN_ADDRESS = 20
MAX_FAILURES_PER_NAME = 50
MAX_FAILURES_PER_ADDRESS = 100
BLOCKS = Backoff(initial=30.0, maximum=15 * 60.0)
FAILURES_RESET_AFTER = timedelta(hours=1)


def _digest(text: str) -> str:
    # People may type a password into the user name field: only a digest of the input is stored.
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class SignInAttempt:
    """A sign-in attempt; `from_known_address`: this user has recently signed in from this address."""

    username: str
    address: str
    from_known_address: bool = False

    @classmethod
    def classify(cls, username: str, ip_address: str | None, seen: Sequence[str | None] = ()) -> "SignInAttempt":
        """Return the attempt; `seen` are the addresses from which this user has recently signed in."""
        address = counted_address(ip_address)
        return cls(
            username, address, address in {counted_address(seen_address) for seen_address in seen if seen_address}
        )

    @property
    def counters(self) -> list[tuple[str, int]]:
        """Return the digests of the counters that apply to the attempt, with the failures that each allows."""
        name, address = _digest(self.username), _digest(self.address)
        pair = (
            f"{name}:{address}",
            MAX_FAILURES_FROM_KNOWN_ADDRESS if self.from_known_address else MAX_FAILURES_PER_NAME_AND_ADDRESS,
        )
        # A fixed order: concurrent attempts that lock the counters in different orders would deadlock.
        return (
            [pair]
            if self.from_known_address
            else [pair, (name, MAX_FAILURES_PER_NAME), (f":{address}", MAX_FAILURES_PER_ADDRESS)]
        )


async def remaining_block(session: AsyncSession, attempt: SignInAttempt, now: datetime) -> timedelta:
    """Return how long this attempt is still blocked; zero when it may proceed."""
    digests = [digest for digest, _ in attempt.counters]
    until: datetime | None = await session.scalar(
        select(func.max(SignInFailure.throttled_until)).where(SignInFailure.digest.in_(digests))
    )
    return timedelta() if until is None else max(until - now, timedelta())


def block_duration(failures: int, allowed: int = MAX_FAILURES_PER_NAME_AND_ADDRESS) -> timedelta:
    """Return the length of the block after this many failures; zero below `allowed`."""
    if failures < allowed:
        return timedelta()
    return timedelta(seconds=BLOCKS.delay(failures - allowed + 1))


async def record_failure(session: WriteSession, attempt: SignInAttempt, now: datetime) -> None:
    """Count a wrong password, also for names that do not exist."""
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
            .values(throttled_until=now + block_duration(failures or 1, allowed))
        )


async def record_success(session: WriteSession, attempt: SignInAttempt) -> None:
    """Clear the failures of this name from this address after a correct password."""
    await session.execute(delete(SignInFailure).where(SignInFailure.digest == attempt.counters[0][0]))


async def clear_failures(session: WriteSession, username: str) -> None:
    """Clear the failures of a name at all addresses."""
    of_name = SignInFailure.digest.startswith(_digest(username))
    # Lock the counters of addresses before that of the name, as attempts do: otherwise the two could deadlock.
    await session.execute(
        select(SignInFailure.digest).where(of_name).order_by(SignInFailure.digest.desc()).with_for_update()
    )
    await session.execute(delete(SignInFailure).where(of_name))


async def purge_expired(session: WriteSession, now: datetime) -> None:
    """Delete expired counters, except those that an attempt has locked."""
    # Locked counters are skipped: attempts lock theirs in a fixed order, and waiting in a different one could
    # deadlock.
    expired = select(SignInFailure.digest).where(SignInFailure.failed_at < now - FAILURES_RESET_AFTER)
    await session.execute(
        delete(SignInFailure).where(SignInFailure.digest.in_(expired.with_for_update(skip_locked=True)))
    )
