"""Browser sessions: a secret in a cookie, and the person's API tokens in a row, encrypted.

The browser never holds a token. Only one request at a time refreshes the tokens of a session: it locks the row.
"""

import asyncio
import hashlib
import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID
from weakref import WeakValueDictionary

from cryptography.fernet import InvalidToken
from pydantic import SecretStr
from sqlalchemy import delete, func, select

from services.console.browser_sessions.token_endpoint import (
    EndpointUnavailable,
    SessionEnded,
    TokenIssuer,
    Tokens,
)
from shared.database.sessions import Database, WriteSession
from shared.encryption import decrypt, encrypt
from shared.tables.console import ConsoleSession

# `__Host-`: no other host of the domain can set this cookie; it requires https, or loopback.
SESSION_COOKIE = "__Host-gospablik-console"
# Counted from the sign-in, like the cookie's lifetime: a refresh does not extend it.
LIFETIME = timedelta(days=14)
# The access token is refreshed this long before it expires, so that the API does not refuse it.
_MARGIN = timedelta(seconds=30)
# A refresh holds a database connection until the issuer responds: the limit leaves the other connections to pages.
_REFRESHES_AT_ONCE = 2
_WAIT_SECONDS = 10.0
# Requests that wait here for another refresh of their session, in the same process, hold no connection.
_refreshing: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()


def digest(secret: str) -> bytes:
    """Return the digest of a session's secret: the database stores it instead of the secret."""
    return hashlib.sha256(secret.encode()).digest()


class SessionStore:
    """Starts, continues and ends sessions."""

    def __init__(self, database: Database, keys: SecretStr, issuer_of: Callable[[Tokens], TokenIssuer]) -> None:
        """`issuer_of` returns the issuer of the tokens, which refreshes and revokes them."""
        self._database = database
        self._keys = keys
        self._issuer_of = issuer_of
        self._refreshes = asyncio.Semaphore(_REFRESHES_AT_ONCE)

    async def start(self, person_id: UUID, tokens: Tokens) -> str:
        """Store a new session; return the secret for the cookie."""
        secret = secrets.token_urlsafe(32)
        async with self._database.write() as session:
            now = await session.scalar(select(func.now()))
            assert now is not None
            row = ConsoleSession(digest=digest(secret), person_id=person_id, expires_at=now + LIFETIME)
            self._keep(row, tokens, now)
            session.add(row)
        return secret

    async def exists(self, secret: str) -> bool:
        """Return whether there is a session with this secret that has not expired."""
        query = select(ConsoleSession.id).where(
            ConsoleSession.digest == digest(secret), ConsoleSession.expires_at > func.now()
        )
        async with self._database.read() as session:
            return await session.scalar(query) is not None

    async def access_token(self, secret: str, refused: str | None = None) -> str | None:
        """Return an access token that is still valid, refreshed if necessary; None if the session has ended.

        `refused` is a token that the API did not accept: it is replaced, unless another request has already
        replaced it. Raises `EndpointUnavailable` if the token cannot be refreshed now.
        """
        async with self._database.read() as session:
            found = (
                await session.execute(
                    select(ConsoleSession, func.now()).where(ConsoleSession.digest == digest(secret))
                )
            ).one_or_none()
        if found is None:
            return None
        row, now = found
        if row.expires_at <= now or (tokens := self._tokens_of(row)) is None:
            return None
        if row.access_expires_at - _MARGIN > now and tokens.access != refused:
            return tokens.access
        async with _refreshing.setdefault(digest(secret), asyncio.Lock()):
            try:
                async with asyncio.timeout(_WAIT_SECONDS):
                    await self._refreshes.acquire()
            except TimeoutError as error:
                raise EndpointUnavailable("too many sessions are being refreshed: try again later") from error
            try:
                return await self._refresh(secret, refused)
            finally:
                self._refreshes.release()

    async def _refresh(self, secret: str, refused: str | None) -> str | None:
        async with self._database.write() as session:
            row = await _locked(session, secret)
            now = await session.scalar(select(func.now()))
            if row is None or now is None:
                return None
            tokens = self._tokens_of(row)
            # Another request may have refreshed the tokens while this one waited for the lock.
            if tokens is not None and row.access_expires_at - _MARGIN > now and tokens.access != refused:
                return tokens.access
            renewed = None if tokens is None else await self._renewed(tokens)
            if renewed is None:
                await session.delete(row)
                return None
            self._keep(row, renewed, now)
            return renewed.access

    async def _renewed(self, tokens: Tokens) -> Tokens | None:
        try:
            return await self._issuer_of(tokens).refresh(tokens)
        except SessionEnded:
            return None

    async def end(self, secret: str) -> None:
        """End the session here and at the issuer of its tokens; do nothing if there is no such session.

        Raises `EndpointUnavailable` if the issuer does not respond: the session has then ended only here.
        """
        async with self._database.write() as session:
            row = await _locked(session, secret)
            if row is None:
                return
            await session.delete(row)
            tokens = self._tokens_of(row)
        if tokens is not None:
            await self._issuer_of(tokens).revoke(tokens)

    def _keep(self, row: ConsoleSession, tokens: Tokens, now: Any) -> None:
        row.tokens = encrypt(self._keys, tokens.stored())
        row.access_expires_at = now + timedelta(seconds=tokens.expires_in)

    def _tokens_of(self, row: ConsoleSession) -> Tokens | None:
        try:
            return Tokens.from_stored(decrypt(self._keys, row.tokens))
        except InvalidToken:  # the encryption key was removed: sign in again
            return None


async def _locked(session: WriteSession, secret: str) -> ConsoleSession | None:
    found: ConsoleSession | None = await session.scalar(
        select(ConsoleSession).where(ConsoleSession.digest == digest(secret)).with_for_update()
    )
    return found


async def end_everyones(session: WriteSession) -> int:
    """Delete the sessions of all browsers, without revoking their tokens at the issuers; return their number."""
    ended = await session.scalars(delete(ConsoleSession).returning(ConsoleSession.id))
    return len(ended.all())


async def purge_expired(database: Database) -> None:
    """Delete the sessions that have expired."""
    async with database.write() as session:
        await session.execute(delete(ConsoleSession).where(ConsoleSession.expires_at <= func.now()))
