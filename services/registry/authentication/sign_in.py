"""Sign-in by OAuth 2: a password, refresh token or client secret is exchanged for an access token.

An access token is valid for 15 minutes and cannot be revoked. A session continues by refresh tokens, each valid
for 14 days and one use. Within 30 seconds a used refresh token gives the same successor again, because two tabs of
a browser may refresh at once; a later reuse means that the token was copied, and ends the session.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.registry.authentication import client_secrets, passwords, sessions, throttle
from services.registry.authentication.fair_queue import FairQueue, QueueFull
from services.registry.authentication.throttle import SignInAttempt
from shared import clock, security_log
from shared.audit import recorder
from shared.auth import tokens
from shared.auth.rights import RIGHTS, Role
from shared.database.sessions import Database, WriteSession
from shared.http.client_address import counted_address
from shared.tables.registry import ApiClient, Person, RefreshToken

ACCESS_TOKEN_LIFETIME = timedelta(minutes=15)
# A check occupies one core and 64 MiB for about 50 ms.
PASSWORD_CHECK_QUEUE = FairQueue(concurrency=passwords.MAX_CONCURRENT_HASHES, max_waiting=64)
# A lookup is cheap, but without a queue all lookups of a flood would run before those of other callers.
ATTEMPT_LOOKUP_QUEUE = FairQueue(concurrency=2, max_waiting=256)
QUEUE_FULL_RETRY_SECONDS = 2
DEMO_PASSWORD = "demo"  # noqa: S105 — known to everybody on purpose; refused in production


class OAuthRefusal(Exception):  # noqa: N818 — reads better where it is raised
    """An OAuth error (RFC 6749, 5.2): `error` is its code, `description` is for people."""

    def __init__(self, error: str, description: str, *, status: int = 400, retry_after: int | None = None) -> None:
        super().__init__(description)
        self.error = error
        self.description = description
        self.status = status
        self.retry_after = retry_after


@dataclass(frozen=True)
class IssuedTokens:
    """Tokens issued by a sign-in. API clients get no refresh token: they sign in again."""

    access_token: str
    refresh_token: str | None
    scope: str | None = None


@dataclass(frozen=True)
class TokenIssuer:
    """Issues tokens to people and API clients.

    In production the demo password never works; without `password_sign_in` no password does.
    """

    signer: tokens.Signer
    production: bool
    password_sign_in: bool = True

    @classmethod
    def load(cls, keys_dir: Path, *, production: bool, passwords: bool) -> "TokenIssuer":
        """Return an issuer with the key of `keys_dir`.

        Called at each sign-in, because keys may be rotated.
        """
        key = tokens.read_key(keys_dir / "people.jwk")
        return cls(tokens.Signer(tokens.PEOPLE_ISSUER, key), production, passwords)

    def next_refresh_token(self, refresh_token: str) -> str:
        """Return the token that follows a refresh token.

        It is deterministic, but can be computed only with the issuer's key.
        """
        private = str(self.signer.key.as_dict(private=True)["d"])
        return passwords.derive_secret(private, f"refresh token\n{refresh_token}")

    def access_token(
        self, who: Person | ApiClient, *, scope: str | None = None, session_id: UUID | None = None
    ) -> str:
        """Return an access token with the claims that `shared.auth.callers` reads."""
        return self.signer.sign(
            str(who.id),
            tokens.PEOPLE_AUDIENCE,
            ACCESS_TOKEN_LIFETIME,
            name=who.full_name if isinstance(who, Person) else who.name,
            role=who.role,
            org=str(who.organisation_id) if who.organisation_id else None,
            include_subordinates=who.include_subordinates or None,
            scope=scope,
            sid=str(session_id) if session_id else None,
        )


def normalize_username(username: str) -> str:
    """Return the user name in lower case: user names are case-insensitive."""
    return username.strip().lower()


@dataclass(frozen=True)
class PasswordCheck:
    """Result of checking a password against the hash stored at the start of the check.

    `upgraded_hash` is a hash with today's parameters to store instead, if they are stronger.
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
    except QueueFull:
        security_log.log_security_event("sign_in_throttled", reason="queue", ip_address=address)
        raise OAuthRefusal(
            "temporarily_unavailable",
            f"Too many people are signing in; try again in {QUEUE_FULL_RETRY_SECONDS} s",
            status=429,
            retry_after=QUEUE_FULL_RETRY_SECONDS,
        ) from None
    if issuer.production and password == DEMO_PASSWORD:
        good = False
    renewed = (
        await passwords.hash_password(password) if good and stored and passwords.needs_rehash(stored) else None
    )
    return PasswordCheck(attempt, person.id if person is not None else None, stored, good, renewed)


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
    _refuse_locked(current)
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


def _refuse_locked(person: Person) -> None:
    # Called only after the password or token was verified: others must not learn about the lock.
    if person.locked_at is not None:
        raise OAuthRefusal("invalid_grant", "The account is locked: ask an access administrator to unlock it")


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


async def refresh_session(
    session: WriteSession, issuer: TokenIssuer, token: str, origin: sessions.ClientInfo
) -> IssuedTokens:
    """Continue a session: mark the token as used and return its successor.

    Raises `OAuthRefusal` for a token that is unknown, expired, revoked or used before, and for a person who may
    not sign in. Reuse after the grace period, or after the successor was used, ends the session; the caller must
    commit even then.
    """
    digest = passwords.secret_digest(token)
    person_id = await session.scalar(select(RefreshToken.person_id).where(RefreshToken.digest == digest))
    person = None if person_id is None else await sessions.lock_person(session, person_id)
    # Read after locking the person: of two concurrent refreshes, the second sees that the token is used.
    refresh_token = await session.scalar(select(RefreshToken).where(RefreshToken.digest == digest))
    if (
        refresh_token is None
        or person is None
        or refresh_token.revoked_at is not None
        or refresh_token.expires_at <= clock.now()
    ):
        raise OAuthRefusal("invalid_grant", "The refresh token is unknown, expired or revoked")
    successor = issuer.next_refresh_token(token)
    again = refresh_token.used_at is not None and await sessions.was_rotated_recently(
        session, refresh_token, successor
    )
    if refresh_token.used_at is not None and not again:
        # The token was copied. No other sign-in event is written to the audit trail.
        recorder.set_actor(session, str(person.id))
        security_log.log_security_event(
            "refresh_token_reused", person_id=str(person.id), session_id=str(refresh_token.session_id)
        )
        await sessions.end_by_token(session, token)
        raise OAuthRefusal(
            "invalid_grant", "The refresh token was used before: its session has been revoked, sign in again"
        )
    if not person.active:
        raise OAuthRefusal("invalid_grant", "The person may no longer sign in")
    _refuse_locked(person)
    if not again:
        await sessions.rotate_refresh_token(session, refresh_token, successor, origin)
    return IssuedTokens(issuer.access_token(person, session_id=refresh_token.session_id), successor)


async def sign_in_client(
    session: WriteSession, issuer: TokenIssuer, client_id: str, secret: str, requested_scope: str | None = None
) -> IssuedTokens:
    """Issue a token to an API client, narrowed to the requested scope.

    Raises `OAuthRefusal`: 401 for an invalid client or secret, 400 for a scope that the client lacks.
    """
    try:
        client = await session.get(ApiClient, UUID(client_id))
    except ValueError:
        client = None
    good = client is not None and await client_secrets.verify(session, client.id, secret)
    expired = client is not None and client.expires_at is not None and client.expires_at <= clock.now()
    if client is None or not good or not client.active or expired:
        security_log.log_security_event(
            "sign_in_failed", client_id=None if client is None else str(client.id), reason="client"
        )
        raise OAuthRefusal(
            "invalid_client", "The client is unknown, inactive or expired, or its secret is wrong", status=401
        )
    scope = _scope(client, requested_scope)
    security_log.log_security_event("signed_in", client_id=str(client.id))
    return IssuedTokens(issuer.access_token(client, scope=scope), None, scope)


def _scope(client: ApiClient, requested_scope: str | None) -> str | None:
    allowed_scopes = None if client.scopes is None else set(client.scopes)
    if requested_scope is None:
        return None if allowed_scopes is None else " ".join(sorted(allowed_scopes))
    requested = set(requested_scope.split())
    if strange := sorted(
        requested - (RIGHTS[Role(client.role)].keys() if allowed_scopes is None else allowed_scopes)
    ):
        raise OAuthRefusal("invalid_scope", f"The client has no right «{strange[0][:100]}»")
    return " ".join(sorted(requested))
