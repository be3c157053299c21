"""Sign-ins under way at the region's OIDC issuer: what the browser keeps of one in a cookie, encrypted.

The state that the issuer returns is bound to the cookie, so that nobody is signed in by another's code. The issuer
takes a code once, and only with the verifier; nothing is stored here, since anybody may begin a sign-in.
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
# How long somebody may take at the issuer.
SIGN_IN_LIFETIME = timedelta(minutes=15)


@dataclass(frozen=True)
class BegunSignIn:
    """The content of the cookie, and what the issuer is sent."""

    cookie: str
    state: str
    challenge: str


@dataclass(frozen=True)
class ReturnedSignIn:
    """What was kept while the person was away."""

    verifier: str
    return_to: str


def begin(keys: SecretStr, return_to: str) -> BegunSignIn:
    """Begin a sign-in that leads to this path afterwards."""
    state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(64)
    until = (clock.now() + SIGN_IN_LIFETIME).timestamp()
    kept = {"state": state, "verifier": verifier, "return_to": return_to, "until": until}
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    return BegunSignIn(encrypt(keys, kept).decode(), state, challenge)


def finish(keys: SecretStr, cookie: str | None, state: str) -> ReturnedSignIn | None:
    """Return the sign-in of this browser; None if there is none, it is over, or the state is of another."""
    try:
        kept = decrypt(keys, (cookie or "").encode())
    except InvalidToken:
        return None
    ours = secrets.compare_digest(kept["state"].encode(), state.encode())
    if not ours or kept["until"] <= clock.now().timestamp():
        return None
    return ReturnedSignIn(kept["verifier"], kept["return_to"])
