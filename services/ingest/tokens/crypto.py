"""Encryption of tokens and identities, and keyed digests."""

import hashlib
import hmac
import json
from functools import lru_cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from services.ingest.settings import ingest_settings


@lru_cache(maxsize=4)
def _fernet(keys: str) -> MultiFernet:
    return MultiFernet([Fernet(key.strip()) for key in keys.split(",") if key.strip()])


def encrypt(value: dict[str, Any]) -> bytes:
    """Return the JSON object encrypted with the newest key."""
    keys = ingest_settings().encryption_keys.get_secret_value()
    return _fernet(keys).encrypt(json.dumps(value, ensure_ascii=False, sort_keys=True).encode())


def decrypt(value: bytes) -> dict[str, Any]:
    """Return the object that `encrypt` encrypted. Raises `cryptography.fernet.InvalidToken` if no key fits."""
    keys = ingest_settings().encryption_keys.get_secret_value()
    document: dict[str, Any] = json.loads(_fernet(keys).decrypt(value))
    return document


def reencrypted(value: bytes) -> bytes | None:
    """Return the value re-encrypted with the newest key; None if that key encrypted it already.

    Raises `cryptography.fernet.InvalidToken` if no key fits.
    """
    keys = ingest_settings().encryption_keys.get_secret_value()
    newest = next(key.strip() for key in keys.split(",") if key.strip())
    try:
        Fernet(newest).decrypt(value)
    except InvalidToken:
        return _fernet(keys).rotate(value)
    return None


def keyed_digest(purpose: str, value: str) -> str:
    """Return a digest of a value that cannot be computed without the key; it differs by purpose."""
    key = ingest_settings().pseudonym_key.get_secret_value().encode()
    return hmac.new(key, f"{purpose}\n{value}".encode(), hashlib.sha256).hexdigest()


def token_digest(network: str, token: str) -> str:
    """Return a keyed digest by which a stored token can be found without storing it in plain text."""
    return keyed_digest(f"token:{network}", token)
