"""Pseudonyms of authors, and what lies encrypted: tokens and identities."""

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
    """A document as it lies in the database."""
    keys = ingest_settings().encryption_keys.get_secret_value()
    return _fernet(keys).encrypt(json.dumps(value, ensure_ascii=False, sort_keys=True).encode())


def decrypt(value: bytes) -> dict[str, Any]:
    """The inverse of `encrypt`; raises `cryptography.fernet.InvalidToken` when no key fits."""
    keys = ingest_settings().encryption_keys.get_secret_value()
    document: dict[str, Any] = json.loads(_fernet(keys).decrypt(value))
    return document


def reencrypted(value: bytes) -> bytes | None:
    """The same under the newest key; None when it lies under it already.

    Raises `cryptography.fernet.InvalidToken` when no key fits.
    """
    keys = ingest_settings().encryption_keys.get_secret_value()
    newest = next(key.strip() for key in keys.split(",") if key.strip())
    try:
        Fernet(newest).decrypt(value)
    except InvalidToken:
        return _fernet(keys).rotate(value)
    return None


def _digest(purpose: str, value: str) -> str:
    key = ingest_settings().pseudonym_key.get_secret_value().encode()
    return hmac.new(key, f"{purpose}\n{value}".encode(), hashlib.sha256).hexdigest()


def author_key(network: str, native_id: str) -> str:
    """The pseudonym of an author: the same for the same person, and no way back without the key."""
    return _digest(f"author:{network}", native_id)


def token_digest(network: str, token: str) -> str:
    """Recognises a token that is already known, without keeping it readable."""
    return _digest(f"token:{network}", token)
