"""Verify access tokens of the region's own OIDC issuer with its published keys.

The keys are found by discovery, fetched every hour, and immediately when a token names an unknown key, so that the
issuer can rotate them at any time; but at most every 30 seconds. During an outage of the issuer the last keys are
used for up to a day.
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
from shared.auth.tokens import InvalidToken
from shared.logs import get_logger

log = get_logger(__name__)

ISSUER_TIMEOUT = aiohttp.ClientTimeout(total=5, connect=2)
MAX_RESPONSE_BYTES = 256 * 1024
KEYS_TTL = timedelta(hours=1)
KEYS_TTL_DURING_OUTAGE = timedelta(days=1)
MIN_REFRESH_INTERVAL = timedelta(seconds=30)
SKEW_SECONDS = 60
# No HS256: a public key must never be used as a shared secret.
ISSUER_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519"]
TYPES = {"jwt", "at+jwt", "application/at+jwt"}
# The library raises these for a header that is not an object or has wrong types.
DECODE_ERRORS = (JoseError, ValueError, KeyError, TypeError, AttributeError, RecursionError)


class IssuerUnavailable(Exception):  # noqa: N818 — a state of the issuer
    """The issuer's keys cannot be fetched, so the token cannot be verified."""


@dataclass(frozen=True)
class VerifiedIdentity:
    """The identity in a valid token: the issuer's subject, the time of the sign-in, and the token's times."""

    issuer: str
    subject: str
    signed_in_at: datetime
    issued_at: float
    expires_at: int | None = None


def unverified_issuer(token: str) -> str | None:
    """Return the issuer that an unverified token names, or None if it cannot be decoded."""
    try:
        claims = json.loads(jws.extract_compact(token.encode()).payload)
    except DECODE_ERRORS:
        return None
    found = claims.get("iss") if isinstance(claims, dict) else None
    return found if isinstance(found, str) else None


class IssuerKeys:
    """The public keys of one issuer."""

    def __init__(self, issuer: str, http: Callable[[], aiohttp.ClientSession], *, only_https: bool) -> None:
        self._issuer = issuer
        self._http = http
        self._only_https = only_https
        self._lock = asyncio.Lock()
        self._keys: KeySet | None = None
        self._fetched_at: datetime | None = None
        self._refreshed_at: datetime | None = None
        self._last_error: str | None = None

    async def containing(self, kid: str | None) -> KeySet:
        """Return the issuer's keys, which include the key `kid`; None: whichever keys there are.

        Raise `InvalidToken` if the issuer has no such key, `IssuerUnavailable` if the keys cannot be fetched.
        """
        if (found := self._cached(kid, KEYS_TTL)) is not None:
            return found
        if self._lock.locked() and (found := self._cached(kid, KEYS_TTL_DURING_OUTAGE)) is not None:
            return found  # another request is already refreshing, and the cached keys can still be used
        async with self._lock:
            if (found := self._cached(kid, KEYS_TTL)) is not None:
                return found
            if self._refreshed_at is None or clock.now() - self._refreshed_at >= MIN_REFRESH_INTERVAL:
                await self._refresh()
            if (found := self._cached(kid, KEYS_TTL_DURING_OUTAGE)) is not None:
                return found
            if self._last_error is not None:
                raise IssuerUnavailable(self._last_error)
            raise InvalidToken("the issuer has no key with this id")

    def _cached(self, kid: str | None, age: timedelta) -> KeySet | None:
        if self._keys is None or self._fetched_at is None or clock.now() - self._fetched_at >= age:
            return None
        return self._keys if kid is None or any(key.kid == kid for key in self._keys) else None

    async def _refresh(self) -> None:
        self._refreshed_at = clock.now()
        try:
            self._keys = await self._fetch_keys()
        except IssuerUnavailable as error:
            self._last_error = str(error)
            log.warning("issuer keys not fetched", issuer=self._issuer, error=self._last_error)
            return
        self._fetched_at, self._last_error = self._refreshed_at, None

    async def _fetch_keys(self) -> KeySet:
        discovery = await self._fetch_document(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
        if discovery.get("issuer") != self._issuer:
            raise IssuerUnavailable("the discovery document belongs to another issuer")
        jwks_url = discovery.get("jwks_uri")
        if not isinstance(jwks_url, str) or (self._only_https and urlsplit(jwks_url).scheme != "https"):
            raise IssuerUnavailable("the discovery document has no valid jwks_uri")
        try:
            return KeySet.import_key_set(await self._fetch_document(jwks_url))  # type: ignore[arg-type]
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise IssuerUnavailable(f"the key set cannot be parsed: {type(error).__name__}") from error

    async def _fetch_document(self, url: str) -> dict[str, Any]:
        async for attempt in stamina.retry_context(
            on=IssuerUnavailable, attempts=3, timeout=10, wait_initial=0.2, wait_max=1
        ):
            with attempt:
                try:
                    return await self._get_json(url)
                except (aiohttp.ClientError, TimeoutError, ValueError, RecursionError) as error:
                    raise IssuerUnavailable(f"{urlsplit(url).path}: {type(error).__name__}") from error
        raise AssertionError("unreachable: the retry either returns or raises")

    async def _get_json(self, url: str) -> dict[str, Any]:
        async with self._http().get(url, timeout=ISSUER_TIMEOUT, allow_redirects=False) as response:
            if response.status != 200:
                raise IssuerUnavailable(f"{urlsplit(url).path} responded with status {response.status}")
            body = bytearray()
            async for part in response.content.iter_chunked(16 * 1024):
                body += part
                if len(body) > MAX_RESPONSE_BYTES:
                    raise IssuerUnavailable(f"{urlsplit(url).path} sent a response that is too large")
        found = json.loads(body)
        if not isinstance(found, dict):
            raise IssuerUnavailable(f"{urlsplit(url).path} did not return a JSON object")
        return found


class ExternalIssuer:
    """Verifies the tokens of one issuer for one audience."""

    def __init__(self, name: str, audience: str, subject_claim: str, keys: IssuerKeys) -> None:
        self.name = name
        self._audience = audience
        self._subject_claim = subject_claim
        self._keys = keys

    async def verify(self, token: str) -> VerifiedIdentity:
        """Return the identity in a valid token. Raise `InvalidToken`, without the token in it, or
        `IssuerUnavailable`.
        """
        try:
            header = jws.extract_compact(token.encode()).headers()
            kid = header.get("kid")
        except DECODE_ERRORS as error:
            raise InvalidToken(type(error).__name__) from error
        if header.get("alg") not in ISSUER_ALGORITHMS or not isinstance(kid, str | None):
            raise InvalidToken("the signature algorithm is not accepted, or the key id is not a string")
        if str(header.get("typ", "jwt")).lower() not in TYPES:
            raise InvalidToken("the token is not an access token")
        keys = await self._keys.containing(kid)
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
            claims = jwt.decode(token, keys, algorithms=ISSUER_ALGORITHMS).claims
            registry.validate(claims)
        except DECODE_ERRORS as error:
            raise InvalidToken(type(error).__name__) from error
        return VerifiedIdentity(
            self.name,
            self._subject(claims),
            _sign_in_time(claims.get("auth_time", claims["iat"]), now),
            issued_at=float(claims["iat"]),
            expires_at=int(claims["exp"]),
        )

    def _subject(self, claims: dict[str, Any]) -> str:
        found = claims.get(self._subject_claim)
        if not isinstance(found, str) or not 0 < len(found) <= 255 or not found.isprintable():
            raise InvalidToken(f"the claim «{self._subject_claim}» has no valid subject")
        return found


def _sign_in_time(value: object, now: int) -> datetime:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**40:
        raise InvalidToken("auth_time, or iat if it is absent, is not a valid time")
    # The issuer's clock may be ahead, so the time is limited to now.
    return datetime.fromtimestamp(min(int(value), now), UTC)
