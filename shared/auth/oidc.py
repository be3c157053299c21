"""Access tokens of the region's own OIDC issuer: verified with the keys that it publishes, fetched with patience.

Keys are found by discovery and fetched anew every hour, and at once when a token names a key that is not known, so
that the issuer may change them at any time; but never more often than every 30 seconds, whoever asks. While the
issuer is away its last keys go on working for a day.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import stamina
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from shared import clock
from shared.auth.tokens import BadToken
from shared.logs import logger

log = logger(__name__)

TIMEOUT = aiohttp.ClientTimeout(total=5, connect=2)
LARGEST_ANSWER = 256 * 1024
KEPT = timedelta(hours=1)
KEPT_WHILE_AWAY = timedelta(days=1)
PAUSE = timedelta(seconds=30)
SKEW_SECONDS = 60
# A public key must never be taken for a shared secret: no HS256 here.
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519"]
TYPES = {"jwt", "at+jwt", "application/at+jwt"}
# A header that is no object, or holds what it should not, makes the library stumble.
UNREADABLE = (JoseError, ValueError, KeyError, TypeError, AttributeError, RecursionError)


class IssuerUnavailable(Exception):  # noqa: N818 — reads better where it is raised
    """The issuer's keys cannot be had: whether the token is good is not known."""


@dataclass(frozen=True)
class Verified:
    """Whom a good token speaks of, by the issuer's own name for them, and when they signed in there."""

    issuer: str
    subject: str
    signed_in_at: datetime


def issuer_of(token: str) -> str | None:
    """Whom a token says it is from, before anything is verified; None for what is no token."""
    try:
        claims = json.loads(jws.extract_compact(token.encode()).payload)
    except UNREADABLE:
        return None
    found = claims.get("iss") if isinstance(claims, dict) else None
    return found if isinstance(found, str) else None


class Keys:
    """The public keys of one issuer."""

    def __init__(self, issuer: str, http: Callable[[], aiohttp.ClientSession], *, only_https: bool) -> None:
        self._issuer = issuer
        self._http = http
        self._only_https = only_https
        self._lock = asyncio.Lock()
        self._keys: KeySet | None = None
        self._fetched_at: datetime | None = None
        self._asked_at: datetime | None = None
        self._trouble: str | None = None

    async def holding(self, kid: str | None) -> KeySet:
        """The keys, among them the one named. Raises `BadToken` when the issuer has no such key, else
        `IssuerUnavailable` when it cannot be asked.
        """
        if (found := self._known(kid, KEPT)) is not None:
            return found
        if self._lock.locked() and (found := self._known(kid, KEPT_WHILE_AWAY)) is not None:
            return found  # somebody asks already, and what is known will do
        async with self._lock:
            if (found := self._known(kid, KEPT)) is not None:
                return found
            if self._asked_at is None or clock.now() - self._asked_at >= PAUSE:
                await self._refresh()
            if (found := self._known(kid, KEPT_WHILE_AWAY)) is not None:
                return found
            if self._trouble is not None:
                raise IssuerUnavailable(self._trouble)
            raise BadToken("the issuer has no such key")

    def _known(self, kid: str | None, age: timedelta) -> KeySet | None:
        if self._keys is None or self._fetched_at is None or clock.now() - self._fetched_at >= age:
            return None
        return self._keys if kid is None or any(key.kid == kid for key in self._keys) else None

    async def _refresh(self) -> None:
        self._asked_at = clock.now()
        try:
            self._keys = await self._fetched()
        except IssuerUnavailable as error:
            self._trouble = str(error)
            log.warning("the issuer's keys cannot be fetched", issuer=self._issuer, error=self._trouble)
            return
        self._fetched_at, self._trouble = self._asked_at, None

    async def _fetched(self) -> KeySet:
        about = await self._document(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
        if about.get("issuer") != self._issuer:
            raise IssuerUnavailable("its discovery document is another issuer's")
        address = about.get("jwks_uri")
        if not isinstance(address, str) or (self._only_https and urlsplit(address).scheme != "https"):
            raise IssuerUnavailable("its discovery document names no good jwks_uri")
        try:
            return KeySet.import_key_set(await self._document(address))  # type: ignore[arg-type]
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise IssuerUnavailable(f"its key set cannot be read: {type(error).__name__}") from error

    async def _document(self, url: str) -> dict[str, Any]:
        async for attempt in stamina.retry_context(
            on=IssuerUnavailable, attempts=3, timeout=10, wait_initial=0.2, wait_max=1
        ):
            with attempt:
                try:
                    return await self._answer(url)
                except (aiohttp.ClientError, TimeoutError, ValueError, RecursionError) as error:
                    raise IssuerUnavailable(f"{urlsplit(url).path}: {type(error).__name__}") from error
        raise AssertionError("unreachable: the retry either returns or raises")

    async def _answer(self, url: str) -> dict[str, Any]:
        async with self._http().get(url, timeout=TIMEOUT, allow_redirects=False) as response:
            if response.status != 200:
                raise IssuerUnavailable(f"{urlsplit(url).path} answered {response.status}")
            body = bytearray()
            async for part in response.content.iter_chunked(16 * 1024):
                body += part
                if len(body) > LARGEST_ANSWER:
                    raise IssuerUnavailable(f"{urlsplit(url).path} answered too much")
        found = json.loads(body)
        if not isinstance(found, dict):
            raise IssuerUnavailable(f"{urlsplit(url).path} answered no object")
        return found


class ExternalIssuer:
    """Verifies the tokens of one issuer for one audience."""

    def __init__(self, name: str, audience: str, subject_claim: str, keys: Keys) -> None:
        self.name = name
        self._audience = audience
        self._subject_claim = subject_claim
        self._keys = keys

    async def verify(self, token: str) -> Verified:
        """Whom a good token speaks of. Raises `BadToken`, never echoing the token, or `IssuerUnavailable`."""
        try:
            header = jws.extract_compact(token.encode()).headers()
            kid = header.get("kid")
        except UNREADABLE as error:
            raise BadToken(type(error).__name__) from error
        if header.get("alg") not in ALGORITHMS or not isinstance(kid, str | None):
            raise BadToken("its signature is of a kind that is not taken")
        if str(header.get("typ", "jwt")).lower() not in TYPES:
            raise BadToken("it is no access token")
        keys = await self._keys.holding(kid)
        now = int(clock.now().timestamp())
        registry = jwt.JWTClaimsRegistry(
            now=lambda: now,
            leeway=SKEW_SECONDS,
            iss={"essential": True, "value": self.name},
            sub={"essential": True},
            aud={"essential": True, "value": self._audience},
            exp={"essential": True},
            iat={"essential": True},
        )
        try:
            claims = jwt.decode(token, keys, algorithms=ALGORITHMS).claims
            registry.validate(claims)
        except UNREADABLE as error:
            raise BadToken(type(error).__name__) from error
        return Verified(self.name, self._subject(claims), _moment(claims.get("auth_time", claims["iat"]), now))

    def _subject(self, claims: dict[str, Any]) -> str:
        found = claims.get(self._subject_claim)
        if not isinstance(found, str) or not 0 < len(found) <= 255 or not found.isprintable():
            raise BadToken(f"its claim «{self._subject_claim}» names nobody")
        return found


def _moment(value: object, now: int) -> datetime:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**40:
        raise BadToken("it does not tell when it was given")
    # Their clock may be ahead of ours: nobody signed in later than now.
    return datetime.fromtimestamp(min(int(value), now), UTC)
