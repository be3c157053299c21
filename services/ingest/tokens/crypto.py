"""Encryption of tokens and identities, and keyed digests."""

import hashlib
import hmac
from typing import Any

from services.ingest.settings import ingest_settings
from shared import encryption


def encrypt(value: dict[str, Any]) -> bytes:
    """Return the JSON object encrypted with the newest key."""
    return encryption.encrypt(ingest_settings().encryption_keys, value)


def decrypt(value: bytes) -> dict[str, Any]:
    """Return the object that `encrypt` encrypted.

    Raises `cryptography.fernet.InvalidToken` if its key is missing.
    """
    document: dict[str, Any] = encryption.decrypt(ingest_settings().encryption_keys, value)
    return document


def keyed_digest(purpose: str, value: str) -> str:
    """Return a digest that cannot be computed without the key; it depends on the value and the purpose."""
    key = ingest_settings().pseudonym_key.get_secret_value().encode()
    return hmac.new(key, f"{purpose}\n{value}".encode(), hashlib.sha256).hexdigest()


def token_digest(network: str, token: str) -> str:
    """Return the keyed digest by which a token or secret is found; the database does not have its plain text."""
    return keyed_digest(f"token:{network}", token)
