"""Signing in after OAuth 2: who shows a password, a refresh token or a client's secret gets an access token.

An access token lives 15 minutes and cannot be taken back; a session lives on by refresh tokens of 14 days, each
good for one use. A used one that comes again means that someone copied it: the whole session ends.
"""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from sqlalchemy import delete, select, update

from services.registry import client_secrets, passwords, throttle
from shared import clock, tokens
from shared.access import RIGHTS, Role
from shared.database import WriteSession
from shared.ids import new_id
from shared.tables.registry import ApiClient, Person, RefreshToken

ACCESS_LIFETIME = timedelta(minutes=15)
REFRESH_LIFETIME = timedelta(days=14)
DEMO_PASSWORD = "demo"  # noqa: S105 — known to everybody on purpose; refused in production


class Refused(Exception):  # noqa: N818 — reads better where it is raised
    """A refusal in OAuth's words (RFC 6749, 5.2): `error` is its code, `description` is for people."""

    def __init__(self, error: str, description: str, *, status: int = 400, retry_after: int | None = None) -> None:
        super().__init__(description)
        self.error = error
        self.description = description
        self.status = status
        self.retry_after = retry_after


@dataclass(frozen=True)
class Issued:
    """What a sign-in gives. Clients get no refresh token: they sign in again."""

    access_token: str
    refresh_token: str | None
    scope: str | None = None


@dataclass(frozen=True)
class Issuer:
    """Signs people's tokens. In production the demo's password opens nothing."""

    signer: tokens.Signer
    production: bool

    @classmethod
    def load(cls, keys_dir: Path, *, production: bool) -> "Issuer":
        """The issuer with the key of `keys_dir`, read at each start and each sign-in: keys may be changed."""
        return cls(tokens.Signer(tokens.PEOPLE_ISSUER, tokens.read_key(keys_dir / "people.jwk")), production)

    def access_token(self, who: Person | ApiClient, *, scope: str | None = None) -> str:
        """A token with the claims that `shared.access` reads."""
        return self.signer.sign(
            str(who.id),
            tokens.PEOPLE_AUDIENCE,
            ACCESS_LIFETIME,
            name=who.full_name if isinstance(who, Person) else who.name,
            role=who.role,
            org=str(who.organisation_id) if who.organisation_id else None,
            beneath=who.beneath or None,
            scope=scope,
        )


def normal_username(username: str) -> str:
    """User names are told apart without case."""
    return username.strip().lower()


async def by_password(session: WriteSession, issuer: Issuer, username: str, password: str) -> Issued:
    """A new session of a person. Raises `Refused`; what it counted must be committed all the same."""
    now = clock.now()
    name = normal_username(username)
    wait = await throttle.blocked_for(session, name, now)
    if wait:
        seconds = int(wait.total_seconds()) + 1
        raise Refused(
            "temporarily_unavailable",
            f"Too many wrong passwords for this name; try again in {seconds} s",
            retry_after=seconds,
        )
    person = await _person_named(session, name)
    stored = person.password_hash if person is not None and person.active else None
    good = await passwords.matches(stored, password)
    if issuer.production and password == DEMO_PASSWORD:
        good = False
    if not good or person is None or stored is None:
        await throttle.note_failure(session, name, now)
        raise Refused("invalid_grant", "The user name or the password is wrong")
    await throttle.note_success(session, name)
    if passwords.outdated(stored):
        person.password_hash = await passwords.hashed(password)
    return Issued(issuer.access_token(person), await _continue(session, person.id, new_id()))


async def _person_named(session: WriteSession, name: str) -> Person | None:
    if "\x00" in name:  # which Postgres cannot even compare
        return None
    found: Person | None = await session.scalar(select(Person).where(Person.username == name))
    return found


async def _continue(session: WriteSession, person_id: UUID, session_id: UUID) -> str:
    token = passwords.random_secret()
    now = clock.now()
    session.add(
        RefreshToken(
            digest=passwords.digest(token),
            session_id=session_id,
            person_id=person_id,
            created_at=now,
            expires_at=now + REFRESH_LIFETIME,
        )
    )
    await session.flush()
    return token


async def by_refresh(session: WriteSession, issuer: Issuer, token: str) -> Issued:
    """Continue a session: the token is used up and its successor given.

    Raises `Refused`; when the token was used before, the session is revoked, which must be committed.
    """
    # The row is locked: of two that come at once the second sees the first's use.
    found = await session.scalar(
        select(RefreshToken).where(RefreshToken.digest == passwords.digest(token)).with_for_update()
    )
    now = clock.now()
    if found is None or found.revoked_at is not None or found.expires_at <= now:
        raise Refused("invalid_grant", "The refresh token is unknown, expired or revoked")
    if found.used_at is not None:
        await revoke_session(session, found.session_id)
        raise Refused("invalid_grant", "The refresh token was used before: its session is revoked, sign in again")
    person = await session.get(Person, found.person_id)
    if person is None or not person.active:
        raise Refused("invalid_grant", "The person may no longer sign in")
    found.used_at = now
    return Issued(issuer.access_token(person), await _continue(session, person.id, found.session_id))


async def by_client(
    session: WriteSession, issuer: Issuer, client_id: str, secret: str, wanted: str | None = None
) -> Issued:
    """A token for a system, narrowed to the scope it wanted. Raises `Refused`, with 401 for a bad client."""
    try:
        found = await session.get(ApiClient, UUID(client_id))
    except ValueError:
        found = None
    good = found is not None and await client_secrets.use(session, found.id, secret)
    expired = found is not None and found.expires_at is not None and found.expires_at <= clock.now()
    if found is None or not good or not found.active or expired:
        raise Refused("invalid_client", "The client is unknown, expired, or its secret is wrong", status=401)
    scope = _scope(found, wanted)
    return Issued(issuer.access_token(found, scope=scope), None, scope)


def _scope(client: ApiClient, wanted: str | None) -> str | None:
    held = None if client.scopes is None else set(client.scopes)
    if wanted is None:
        return None if held is None else " ".join(sorted(held))
    asked = set(wanted.split())
    if strange := sorted(asked - (RIGHTS[Role(client.role)].keys() if held is None else held)):
        raise Refused("invalid_scope", f"The client has no right «{strange[0][:100]}»")
    return " ".join(sorted(asked))


async def revoke_session(session: WriteSession, session_id: UUID) -> None:
    """End one session: none of its refresh tokens works any more."""
    await session.execute(
        update(RefreshToken)
        .where(RefreshToken.session_id == session_id, RefreshToken.revoked_at.is_(None))
        .values(revoked_at=clock.now())
    )


async def revoke(session: WriteSession, token: str) -> None:
    """End the session of a refresh token; an unknown one is no error (RFC 7009)."""
    session_id = await session.scalar(
        select(RefreshToken.session_id).where(RefreshToken.digest == passwords.digest(token))
    )
    if session_id is not None:
        await revoke_session(session, session_id)


async def revoke_person(session: WriteSession, person_id: UUID) -> None:
    """End all sessions of a person."""
    await session.execute(
        update(RefreshToken)
        .where(RefreshToken.person_id == person_id, RefreshToken.revoked_at.is_(None))
        .values(revoked_at=clock.now())
    )


async def forget_expired(session: WriteSession) -> None:
    """Delete refresh tokens that are past their time."""
    await session.execute(delete(RefreshToken).where(RefreshToken.expires_at < clock.now()))
