"""Sign-in of people: a name and password are exchanged for an access token and a refresh token (OAuth 2)."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.registry.authentication import passwords, sessions, throttle
from services.registry.authentication.throttle import SignInAttempt
from services.registry.authentication.token_issuer import IssuedTokens, OAuthRefusal, TokenIssuer, refuse_locked
from shared import clock, security_log
from shared.audit import recorder
from shared.database.sessions import Database, WriteSession
from shared.fair_queue import FairQueue, QueueFull
from shared.http.client_address import counted_address
from shared.http.problems import TooManyRequests
from shared.tables.registry import Person

# A check takes 64 MiB and much CPU time, see `MAX_CONCURRENT_HASHES`.
PASSWORD_CHECK_QUEUE = FairQueue(concurrency=passwords.MAX_CONCURRENT_HASHES, max_waiting=64)
# A lookup is cheap, but without a queue all lookups of a flood would run before those of other callers.
ATTEMPT_LOOKUP_QUEUE = FairQueue(concurrency=2, max_waiting=256)
QUEUE_FULL_RETRY_SECONDS = 2
DEMO_PASSWORD = "demo"  # noqa: S105 — known to everybody on purpose; refused in production


def normalize_username(username: str) -> str:
    """Return the user name without outer spaces and in lower case: user names are case-insensitive."""
    return username.strip().lower()


@dataclass(frozen=True)
class PasswordCheck:
    """Result of checking a password against the hash stored at the start of the check.

    `upgraded_hash` is a hash with today's parameters to store instead, if the stored one has others; else None.
    """

    attempt: SignInAttempt
    person_id: UUID | None
    stored_hash: str | None
    matches: bool
    upgraded_hash: str | None


async def check_password(
    database: Database, issuer: TokenIssuer, username: str, password: str, ip_address: str | None
) -> PasswordCheck:
    """Check a password. Hashing is slow: no database connection is held during it, so guesses exhaust no pool.

    Raises `OAuthRefusal` when the attempt is throttled, and with status 429 when the queue is full.
    """
    name, address = normalize_username(username), counted_address(ip_address)
    try:
        async with ATTEMPT_LOOKUP_QUEUE.slot(address, name, priority=False), database.read() as session:
            person = await _find_person(session, name)
            seen = [] if person is None else await sessions.known_addresses(session, person.id)
            attempt = SignInAttempt.classify(name, ip_address, seen)
            await _refuse_blocked(session, attempt, clock.now())
        stored = person.password_hash if person is not None and person.active else None
        async with PASSWORD_CHECK_QUEUE.slot(address, name, priority=attempt.from_known_address):
            good = await passwords.verify_password(stored, password)
            if issuer.production and password == DEMO_PASSWORD:
                good = False
            renewed = None
            if good and stored and passwords.needs_rehash(stored):
                renewed = await passwords.hash_password(password)
    except QueueFull:
        security_log.log_security_event("sign_in_throttled", reason="queue", ip_address=address)
        raise OAuthRefusal(
            "temporarily_unavailable",
            f"Too many people are signing in; try again in {QUEUE_FULL_RETRY_SECONDS} s",
            status=429,
            retry_after=QUEUE_FULL_RETRY_SECONDS,
        ) from None
    return PasswordCheck(attempt, person.id if person is not None else None, stored, good, renewed)


async def hash_new_password(password: str, subject: str, ip_address: str | None) -> str:
    """Return the hash of a password that `subject` sets for somebody, in turn with the checks of passwords.

    Raises `TooManyRequests` when the queue is full.
    """
    try:
        async with PASSWORD_CHECK_QUEUE.slot(counted_address(ip_address), subject, priority=False):
            return await passwords.hash_password(password)
    except QueueFull:
        raise TooManyRequests(
            f"Too many passwords are being checked; try again in {QUEUE_FULL_RETRY_SECONDS} s",
            headers={"Retry-After": str(QUEUE_FULL_RETRY_SECONDS)},
        ) from None


async def sign_in_person(
    session: WriteSession, issuer: TokenIssuer, check: PasswordCheck, origin: sessions.ClientInfo
) -> IssuedTokens:
    """Start a session of a person.

    Raises `OAuthRefusal` for a wrong name or password, a locked account and a throttled login; the caller must
    commit even then, to keep the failure count.
    """
    now = clock.now()
    # Check again: otherwise many concurrent guesses would pass before the first failure is counted.
    await _refuse_blocked(session, check.attempt, now)
    if not check.matches or check.person_id is None:
        await throttle.record_failure(session, check.attempt, now)
        _log_security_event("sign_in_failed", check, reason="password")
        raise OAuthRefusal("invalid_grant", "The user name or the password is wrong")
    # Read the row again: it may have changed while the password was hashed.
    current = await sessions.lock_person(session, check.person_id)
    if current is None or not current.active or current.password_hash != check.stored_hash:
        raise OAuthRefusal("invalid_grant", "The user name or the password is wrong")
    await throttle.record_success(session, check.attempt)
    if current.locked_at is not None:
        _log_security_event("sign_in_failed", check, reason="locked")
    refuse_locked(current)
    if check.upgraded_hash is not None:
        current.password_hash = check.upgraded_hash
    await record_sign_in(session, current.id, now)
    session_id, refresh_token = await sessions.start(session, current.id, origin)
    _log_security_event("signed_in", check)
    return IssuedTokens(issuer.access_token(current, session_id=session_id), refresh_token)


def _log_security_event(event: str, compared: PasswordCheck, **more: str) -> None:
    # People may type a password into the user name field: an unknown name is not logged.
    name = None if compared.person_id is None else compared.attempt.username
    person_id = None if compared.person_id is None else str(compared.person_id)
    security_log.log_security_event(
        event, name=name, person_id=person_id, ip_address=compared.attempt.address, **more
    )


async def _refuse_blocked(session: AsyncSession, attempt: SignInAttempt, now: datetime) -> None:
    wait = await throttle.remaining_block(session, attempt, now)
    if wait:
        security_log.log_security_event("sign_in_throttled", reason="throttled", ip_address=attempt.address)
        seconds = int(wait.total_seconds()) + 1
        raise OAuthRefusal(
            "temporarily_unavailable",
            f"Too many wrong passwords; try again in {seconds} s",
            retry_after=seconds,
        )


async def record_sign_in(session: WriteSession, person_id: UUID, at: datetime) -> None:
    """Record when the person last signed in, without raising the person's version."""
    await session.execute(
        update(Person)
        .where(Person.id == person_id)
        .values(last_sign_in_at=at, updated_at=Person.updated_at)
        .execution_options(synchronize_session=False)
    )
    await recorder.record(session, Person)


async def _find_person(session: AsyncSession, name: str) -> Person | None:
    if "\x00" in name:  # Postgres text cannot hold NUL.
        return None
    person: Person | None = await session.scalar(select(Person).where(Person.username == name))
    return person
