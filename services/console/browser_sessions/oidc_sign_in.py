"""Sign-ins under way: a person was sent to the region's OIDC issuer and comes back with a code.

The browser keeps a secret in a cookie. The `state` in addresses is derived from it, so that neither an address
that others saw nor a code that somebody else obtained signs anybody in.
"""

import base64
import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta

from cryptography.fernet import InvalidToken
from pydantic import SecretStr
from sqlalchemy import delete, func, select

from services.console.browser_sessions.session_store import digest
from shared.database.sessions import Database
from shared.encryption import decrypt, encrypt
from shared.tables.console import ConsoleSignIn

SIGN_IN_COOKIE = "__Host-gospablik-sign-in"
# How long somebody may take at the issuer.
SIGN_IN_LIFETIME = timedelta(minutes=15)


@dataclass(frozen=True)
class BegunSignIn:
    """The secret for the cookie, and what the issuer is sent."""

    secret: str
    state: str
    challenge: str


@dataclass(frozen=True)
class ReturnedSignIn:
    """What was kept while the person was away."""

    verifier: str
    return_to: str


def _urlsafe(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _state(secret: str) -> str:
    return _urlsafe(digest(f"state:{secret}"))


class SignInStore:
    """Begins and finishes sign-ins."""

    def __init__(self, database: Database, keys: SecretStr) -> None:
        self._database = database
        self._keys = keys

    async def begin(self, return_to: str) -> BegunSignIn:
        """Store a sign-in that leads to this path afterwards."""
        secret, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(64)
        async with self._database.write() as session:
            now = await session.scalar(select(func.now()))
            assert now is not None
            session.add(
                ConsoleSignIn(
                    digest=digest(secret),
                    verifier=encrypt(self._keys, {"verifier": verifier}),
                    return_to=return_to,
                    expires_at=now + SIGN_IN_LIFETIME,
                )
            )
        challenge = _urlsafe(hashlib.sha256(verifier.encode()).digest())
        return BegunSignIn(secret, _state(secret), challenge)

    async def finish(self, secret: str | None, state: str) -> ReturnedSignIn | None:
        """Return the sign-in of this browser, once; None if there is none, or the state is of another."""
        if not secret or not secrets.compare_digest(_state(secret).encode(), state.encode()):
            return None
        async with self._database.write() as session:
            row = await session.scalar(
                delete(ConsoleSignIn)
                .where(ConsoleSignIn.digest == digest(secret), ConsoleSignIn.expires_at > func.now())
                .returning(ConsoleSignIn)
            )
            if row is None:
                return None
            try:
                verifier = decrypt(self._keys, row.verifier)["verifier"]
            except InvalidToken:  # the key was taken away: the person begins again
                return None
            return ReturnedSignIn(verifier, row.return_to)
