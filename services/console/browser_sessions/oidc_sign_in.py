"""Sign-ins in progress at the region's OIDC issuer: their data is kept in an encrypted cookie of the browser.

The state that the issuer returns is compared with the cookie, so that nobody is signed in with another person's
code. The issuer accepts a code once, and only with the verifier. Nothing is stored here, since anybody may begin a
sign-in.
"""

import base64
import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta

from cryptography.fernet import InvalidToken
from pydantic import SecretStr

from shared import clock
from shared.encryption import decrypt, encrypt

SIGN_IN_COOKIE = "__Host-gospablik-sign-in"
# The time within which the person must return from the issuer.
SIGN_IN_LIFETIME = timedelta(minutes=15)


@dataclass(frozen=True)
class BegunSignIn:
    """A begun sign-in: the cookie's content, and the state and challenge for the issuer."""

    cookie: str
    state: str
    challenge: str


@dataclass(frozen=True)
class ReturnedSignIn:
    """The data kept in the cookie while the person was at the issuer."""

    verifier: str
    return_to: str


def begin(keys: SecretStr, return_to: str) -> BegunSignIn:
    """Begin a sign-in after which the browser is sent to the path `return_to`."""
    state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(64)
    until = (clock.now() + SIGN_IN_LIFETIME).timestamp()
    kept = {"state": state, "verifier": verifier, "return_to": return_to, "until": until}
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    return BegunSignIn(encrypt(keys, kept).decode(), state, challenge)


def finish(keys: SecretStr, cookie: str | None, state: str) -> ReturnedSignIn | None:
    """Return this browser's sign-in data; None for a missing, invalid or expired cookie or another state."""
    try:
        kept = decrypt(keys, (cookie or "").encode())
    except InvalidToken:
        return None
    ours = secrets.compare_digest(kept["state"].encode(), state.encode())
    if not ours or kept["until"] <= clock.now().timestamp():
        return None
    return ReturnedSignIn(kept["verifier"], kept["return_to"])
