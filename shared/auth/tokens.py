"""Signed tokens: people's access tokens from the issuer, and 60-second tokens between services.

A service signs with a key of its own and every other knows its public half, so a stolen public set forges
nothing. Claims: `iss` who signed, `aud` who it is for, `sub` the caller; between services also `act` the person it
acts for and `use` the one route that it opens.
"""

import json
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OKPKey

from shared import clock

PEOPLE_AUDIENCE = "gospablik"
PEOPLE_ISSUER = "gospablik"
SERVICE_TOKEN_LIFETIME = timedelta(seconds=60)
# How much later than its lifetime a token may come.
LEEWAY = 5
# How far the issuer's clock may be ahead. One that is behind by a token's whole lifetime loses it in any case.
AHEAD = timedelta(seconds=60)
ALGORITHMS = ["Ed25519"]


def use_of(method: str, path: str) -> str:
    """The claim `use` of a service's token: the one route that it opens."""
    return f"{method} {path}"


class BadToken(Exception):  # noqa: N818 — reads better where it is raised
    """The token is malformed, forged, expired, or meant for someone else."""


def new_key(kid: str) -> OKPKey:
    """A fresh Ed25519 key pair."""
    return OKPKey.generate_key("Ed25519", {"kid": kid, "use": "sig", "alg": "Ed25519"}, private=True)


def read_key(path: Path) -> OKPKey:
    """The private key in a JWK file."""
    return OKPKey.import_key(json.loads(path.read_text()))


def read_key_set(path: Path) -> KeySet:
    """The public keys in a JWKS file."""
    return KeySet.import_key_set(json.loads(path.read_text()))


@dataclass(frozen=True)
class Signer:
    """Signs as `issuer` with one private key."""

    issuer: str
    key: OKPKey

    def sign(self, subject: str, audience: str, lifetime: timedelta, **claims: Any) -> str:
        """A token for `audience`, valid for `lifetime`."""
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
        return jwt.encode(header, payload, self.key, algorithms=ALGORITHMS)


def verify(token: str, keys: KeySet, *, audience: str, issuer: str | None = None) -> dict[str, Any]:
    """The claims of a good token. Raises `BadToken` saying what is wrong, never echoing the token."""
    try:
        decoded = jwt.decode(token, keys, algorithms=ALGORITHMS)
        now = int(clock.now().timestamp())
        registry = jwt.JWTClaimsRegistry(
            now=lambda: now,
            leeway=LEEWAY,
            iss={"essential": True} if issuer is None else {"essential": True, "value": issuer},
            sub={"essential": True},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
            iat={"essential": True},
        )
        registry.validate({**decoded.claims, "iat": _issued(decoded.claims.get("iat"), now)})
    # A header that is no object, or holds what it should not, makes the library stumble.
    except (JoseError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadToken(type(error).__name__) from error
    # A key may sign only as its owner: the key id names the issuer.
    kid = str(decoded.header.get("kid", ""))
    if kid.split(".", maxsplit=1)[0] != decoded.claims["iss"]:
        raise BadToken("signed by another's key")
    return dict(decoded.claims)


def _issued(moment: object, now: int) -> object:
    """The moment of issue as a clock says that is as far ahead as is allowed."""
    if isinstance(moment, int) and now < moment <= now + AHEAD.total_seconds():
        return now
    return moment


def optional_uuid(value: object) -> UUID | None:
    """A claim as a UUID, or None when it is absent. Raises `BadToken` when it is neither."""
    if value is None:
        return None
    try:
        return UUID(str(value))
    except ValueError as error:
        raise BadToken("malformed claim") from error
