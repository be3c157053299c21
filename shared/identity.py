"""Claims of access tokens: from the embedded issuer, or from registry for a person of an external issuer.

An external issuer identifies a person; only registry knows their access. Its response is cached for a minute, so a
locked or moved person loses access everywhere within a minute. A new token is looked up again: after a change of
access, which a change with the old token reports as 401, signing in again helps at once. After a miss, one token
of the same person is looked up per second: an issuer may give a person without access any number of new tokens.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Protocol

from joserfc.jwk import KeyFlexible

from shared import clock
from shared.auth import oidc, tokens
from shared.http.problems import Forbidden, Unavailable
from shared.ids import new_id
from shared.service_client import ServiceClient, ServiceRejected, ServiceUnavailable
from shared.settings import ServiceName, Settings

Claims = dict[str, Any]
# Returns the claims of the person with this identity, or None for a person without access.
FindPerson = Callable[[oidc.VerifiedIdentity], Awaitable[Claims | None]]

PERSON_CACHE_TTL = timedelta(seconds=60)
# How long a missing person is cached: short, so that newly granted access works soon.
MISS_CACHE_TTL = timedelta(seconds=5)
# How long other tokens of a person who was missing are not looked up.
MISS_PAUSE = timedelta(seconds=1)
MAX_CACHED_PERSONS = 10_000


class PersonCache:
    """A cache of the claims of people of the external issuer."""

    def __init__(self, find: FindPerson) -> None:
        self._find = find
        self._found: dict[tuple[str, str, float], tuple[datetime, Claims | None]] = {}
        self._paused_until: dict[tuple[str, str], datetime] = {}

    async def claims(self, verified: oidc.VerifiedIdentity) -> Claims | None:
        """Return the claims, as in a token of the embedded issuer; None for a person without access."""
        key = (verified.issuer, verified.subject, verified.issued_at)
        until, claims = self._found.get(key, (None, None))
        if until is not None and until > clock.now():
            return claims
        if self._is_paused(key[:2]):
            return None
        claims = await self._find(verified)
        self._pause_or_not(key[:2], is_missing=claims is None)
        if len(self._found) >= MAX_CACHED_PERSONS:
            self._found.clear()
        self._found[key] = (clock.now() + (MISS_CACHE_TTL if claims is None else PERSON_CACHE_TTL), claims)
        return claims

    def _is_paused(self, who: tuple[str, str]) -> bool:
        if (until := self._paused_until.get(who)) is None:
            return False
        if until > clock.now():
            return True
        # This request looks the person up; those that arrive meanwhile do not.
        self._paused_until[who] = clock.now() + MISS_PAUSE
        return False

    def _pause_or_not(self, who: tuple[str, str], *, is_missing: bool) -> None:
        if not is_missing:
            self._paused_until.pop(who, None)
            return
        if len(self._paused_until) >= MAX_CACHED_PERSONS:
            self._paused_until.clear()
        self._paused_until[who] = clock.now() + MISS_PAUSE


@dataclass(frozen=True)
class TokenReader:
    """Reads access tokens of people and API clients."""

    own_keys: KeyFlexible
    external: oidc.ExternalIssuer | None
    known: PersonCache

    @cached_property
    def _own(self) -> tokens.Verifier:
        return tokens.Verifier(self.own_keys)

    async def claims(self, token: str) -> Claims:
        """Return the claims that `Caller.from_claims` reads.

        Raise `InvalidToken`; `Forbidden` for a person of the external issuer without access here; `Unavailable`
        if the issuer or registry cannot be reached.
        """
        if self.external is None or oidc.unverified_issuer(token) != self.external.name:
            return self._own.verify(token, audience=tokens.PEOPLE_AUDIENCE, issuer=tokens.PEOPLE_ISSUER)
        try:
            verified = await self.external.verify(token)
        except oidc.IssuerUnavailable as error:
            raise Unavailable("The keys of the token's issuer cannot be fetched now: try again") from error
        try:
            found = await self.known.claims(verified)
        except ServiceUnavailable as error:
            raise Unavailable("Your access cannot be checked now: try again") from error
        if found is None:
            raise Forbidden("You are signed in, but have no access here, or your access was removed or locked")
        return {**found, "exp": verified.expires_at}


class CallingService(Protocol):
    """A service that can call others."""

    name: ServiceName

    def client(self) -> ServiceClient:
        """Return a client that calls other services with this service's tokens."""
        ...


def find_person_via_registry(service: CallingService) -> FindPerson:
    """Return a function that finds people by calling registry."""

    async def find(verified: oidc.VerifiedIdentity) -> Claims | None:
        body = {
            "issuer": verified.issuer,
            "subject": verified.subject,
            "signed_in_at": verified.signed_in_at.isoformat(),
        }
        try:
            return await service.client().post(
                "registry",
                "/internal/identity",
                body,
                on_behalf_of=service.name,
                idempotency_key=str(new_id()),
                attempts=2,
            )
        except ServiceRejected as refused:
            if refused.status == 404:
                return None
            raise

    return find


def external_issuer(settings: Settings, keys: oidc.IssuerKeys) -> oidc.ExternalIssuer | None:
    """Return the external issuer of the settings, or None."""
    if settings.oidc_issuer is None or settings.oidc_audience is None:
        return None
    return oidc.ExternalIssuer(settings.oidc_issuer, settings.oidc_audience, settings.oidc_subject_claim, keys)
