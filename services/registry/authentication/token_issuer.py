"""Access tokens for people and API clients, and the OAuth errors with which a sign-in is refused.

An access token is valid for 15 minutes and cannot be revoked.
"""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from shared.auth import tokens
from shared.tables.registry import ApiClient, Person

ACCESS_TOKEN_LIFETIME = timedelta(minutes=15)


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

    def access_token(
        self, who: Person | ApiClient, *, scope: str | None = None, session_id: UUID | None = None
    ) -> str:
        """Return an access token with the claims that `shared.auth.callers` reads.

        `session_id` is the session of a person, or the secret of a client: changes are refused once it has ended.
        """
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


def refuse_locked(person: Person) -> None:
    """Raise `OAuthRefusal` if the account is locked."""
    # Called only after the password or token was verified: others must not learn about the lock.
    if person.locked_at is not None:
        raise OAuthRefusal("invalid_grant", "The account is locked: ask an access administrator to unlock it")
