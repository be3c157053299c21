"""Signed tokens: people's access tokens from the issuer, and 60-second tokens between services.

Each service signs with its own private key; the others have only its public key. Claims: `iss` the signer, `aud`
the recipient, `sub` the caller; between services also `act`, the person on whose behalf the call is made, and
`use`, the only route that the token is valid for.
"""

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import UUID

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import GuestProtocol, KeyFlexible, KeySet, OKPKey

from shared import clock

PEOPLE_AUDIENCE = "gospablik"
PEOPLE_ISSUER = "gospablik"
SERVICE_TOKEN_LIFETIME = timedelta(seconds=60)
MAX_REMEMBERED_TOKENS = 2048
# How long a token is accepted after its expiry.
EXPIRY_LEEWAY_SECONDS = 5
# How far the issuer's clock may be ahead.
MAX_ISSUER_CLOCK_SKEW = timedelta(seconds=60)
OWN_ALGORITHMS = ["Ed25519"]


def route_claim(method: str, path: str) -> str:
    """Return the claim `use` of a service token: the only route that it is valid for."""
    return f"{method} {path}"


class InvalidToken(Exception):  # noqa: N818 — reads better where it is raised
    """The token is malformed, forged, expired, or meant for someone else."""


def new_key(kid: str) -> OKPKey:
    """Return a new Ed25519 key pair."""
    return OKPKey.generate_key("Ed25519", {"kid": kid, "use": "sig", "alg": "Ed25519"}, private=True)


def read_key(path: Path) -> OKPKey:
    """Return the private key in a JWK file."""
    return OKPKey.import_key(json.loads(path.read_text()))


def read_key_set(path: Path) -> KeySet:
    """Return the public keys in a JWKS file."""
    return KeySet.import_key_set(json.loads(path.read_text()))


class PublicKeys:
    """The public keys in a JWKS file; a key rotation replaces the file while the services run.

    joserfc calls this object to get the keys that may verify a token. The file is read again only if it was
    replaced, because anybody can send tokens with unknown key ids.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # Before reading, so that a file that is replaced meanwhile is read again.
        self._version = self._version_on_disk()
        self._keys = read_key_set(path)

    def __call__(self, token: GuestProtocol) -> KeySet:
        """Return the keys; if the token names an unknown key, those of the file as it is now."""
        kid = token.headers().get("kid")
        return self._keys if any(key.kid == kid for key in self._keys) else self.current()

    def current(self) -> KeySet:
        """Return the keys of the file as it is now; while there is no file, the last ones."""
        version = self._version_on_disk()
        if version not in (None, self._version):
            with suppress(FileNotFoundError):  # removed since: the keys stay until there is a new file
                self._keys, self._version = read_key_set(self._path), version
        return self._keys

    def _version_on_disk(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except FileNotFoundError:  # after a leak the file is removed, and then created again
            return None
        return found.st_ino, found.st_mtime_ns


@dataclass(frozen=True)
class Signer:
    """Signs as `issuer` with one private key."""

    issuer: str
    key: OKPKey

    def sign(self, subject: str, audience: str, lifetime: timedelta, **claims: Any) -> str:
        """Return a token for `audience`, valid for `lifetime`."""
        issued = clock.now()
        payload = {
            "iss": self.issuer,
            "sub": subject,
            "aud": audience,
            "iat": int(issued.timestamp()),
            "exp": int((issued + lifetime).timestamp()),
            **{name: value for name, value in claims.items() if value is not None},
        }
        header = {"alg": "Ed25519", "kid": self.key.kid}
        return jwt.encode(header, payload, self.key, algorithms=OWN_ALGORITHMS)


class Verifier:
    """Verifies tokens signed with one of the keys.

    A client sends its token with each request, so the signature of a token is checked once, and its claims, such
    as the expiry, each time.
    """

    def __init__(self, keys: KeyFlexible) -> None:
        self._decode = lru_cache(maxsize=MAX_REMEMBERED_TOKENS)(
            lambda token: jwt.decode(token, keys, algorithms=OWN_ALGORITHMS)
        )

    def verify(self, token: str, *, audience: str, issuer: str | None = None) -> dict[str, Any]:
        """Return the claims of a valid token. Raise `InvalidToken` with the reason but without the token."""
        try:
            decoded = self._decode(token)
            now = int(clock.now().timestamp())
            registry = jwt.JWTClaimsRegistry(
                now=lambda: now,
                leeway=EXPIRY_LEEWAY_SECONDS,
                iss={"essential": True} if issuer is None else {"essential": True, "value": issuer},
                sub={"essential": True},
                aud={"essential": True, "value": audience},
                exp={"essential": True},
                iat={"essential": True},
            )
            registry.validate({**decoded.claims, "iat": _issued_at(decoded.claims.get("iat"), now)})
        # The library raises these for a header that is not an object or has wrong types.
        except (JoseError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InvalidToken(type(error).__name__) from error
        # A key is valid only for the issuer whose name its key id starts with.
        kid = str(decoded.header.get("kid", ""))
        if kid.split(".", maxsplit=1)[0] != decoded.claims["iss"]:
            raise InvalidToken("signed with the key of another issuer")
        return dict(decoded.claims)


def verify(token: str, keys: KeyFlexible, *, audience: str, issuer: str | None = None) -> dict[str, Any]:
    """Return the claims of a valid token that is used once: it is not cached. Raise like `Verifier.verify`."""
    return Verifier(keys).verify(token, audience=audience, issuer=issuer)


def _issued_at(issued_at: object, now: int) -> object:
    """Return the time of issue, or now if it is in the future within the allowed clock skew."""
    if isinstance(issued_at, int) and now < issued_at <= now + MAX_ISSUER_CLOCK_SKEW.total_seconds():
        return now
    return issued_at


def optional_uuid(value: object) -> UUID | None:
    """Return a claim as a UUID, or None if it is absent. Raise `InvalidToken` if it is malformed."""
    if value is None:
        return None
    try:
        return UUID(str(value))
    except ValueError as error:
        raise InvalidToken("a claim is malformed") from error
