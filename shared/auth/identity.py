"""What a token says, whoever issued it: the embedded issuer's claims, or what registry knows of an external one's.

An external issuer knows who somebody is; what they may do here, registry alone knows. It is asked and its answer
remembered for a minute, so a person who is locked or moved is so everywhere a minute later.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from joserfc.jwk import KeySet

from shared import clock
from shared.auth import oidc, tokens
from shared.http.problems import Forbidden, Unavailable
from shared.ids import new_id
from shared.service_client import ServiceClient, ServiceRefused, ServiceUnavailable
from shared.settings import ServiceName, Settings

Claims = dict[str, Any]
# Whom registry knows under the issuer's name for them, as claims; None for nobody who has access.
Find = Callable[[oidc.Verified], Awaitable[Claims | None]]

REMEMBERED = timedelta(seconds=60)
# Who was just given access should not wait long for it.
NOBODY_REMEMBERED = timedelta(seconds=5)
MOST = 10_000


class Known:
    """People of the external issuer as registry knows them, remembered."""

    def __init__(self, find: Find) -> None:
        self._find = find
        self._found: dict[tuple[str, str], tuple[datetime, Claims | None]] = {}

    async def claims(self, verified: oidc.Verified) -> Claims | None:
        """What a token of the embedded issuer would say of them; None for who has no access."""
        key = (verified.issuer, verified.subject)
        until, claims = self._found.get(key, (None, None))
        if until is not None and until > clock.now():
            return claims
        claims = await self._find(verified)
        if len(self._found) >= MOST:
            self._found.clear()
        self._found[key] = (clock.now() + (NOBODY_REMEMBERED if claims is None else REMEMBERED), claims)
        return claims


@dataclass(frozen=True)
class Identities:
    """Reads the tokens that people and systems show."""

    own_keys: KeySet
    external: oidc.ExternalIssuer | None
    known: Known

    async def claims(self, token: str) -> Claims:
        """The claims that `Caller.from_claims` reads.

        Raises `BadToken`; `Forbidden` for who is known to the external issuer and not here; `Unavailable` when
        the issuer or registry cannot be asked.
        """
        if self.external is None or oidc.issuer_of(token) != self.external.name:
            return tokens.verify(
                token, self.own_keys, audience=tokens.PEOPLE_AUDIENCE, issuer=tokens.PEOPLE_ISSUER
            )
        try:
            verified = await self.external.verify(token)
        except oidc.IssuerUnavailable as error:
            raise Unavailable("The issuer of the token cannot be asked for its keys; try again") from error
        try:
            found = await self.known.claims(verified)
        except ServiceUnavailable as error:
            raise Unavailable("What you may do here cannot be found out right now; try again") from error
        if found is None:
            raise Forbidden("You are signed in, but nobody gave you access here, or it was taken or locked")
        return found


class Asking(Protocol):
    """A service that calls others."""

    name: ServiceName

    def client(self) -> ServiceClient:
        """Calls other services as this one."""
        ...


def asking_registry(service: Asking) -> Find:
    """Finds people by asking registry."""

    async def find(verified: oidc.Verified) -> Claims | None:
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
                act=service.name,
                idempotency_key=str(new_id()),
                attempts=2,
            )
        except ServiceRefused as refused:
            if refused.status == 404:
                return None
            raise

    return find


def external_issuer(settings: Settings, keys: oidc.Keys) -> oidc.ExternalIssuer | None:
    """The issuer that the settings name."""
    if settings.oidc_issuer is None or settings.oidc_audience is None:
        return None
    return oidc.ExternalIssuer(settings.oidc_issuer, settings.oidc_audience, settings.oidc_subject_claim, keys)
