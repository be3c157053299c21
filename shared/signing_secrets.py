"""Secrets of Standard Webhooks, encrypted at rest: of endpoints that receive, and of partners that send.

Custom headers of endpoints are encrypted in the same way.
"""

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography.fernet import InvalidToken
from pydantic import SecretStr

from shared import encryption

# How long the old secret stays valid, unless the caller says otherwise.
ROTATION_OVERLAP = timedelta(hours=24)


class UndecryptableSecret(Exception):  # noqa: N818
    """The stored secret or headers were encrypted with a key that is no longer in the settings."""


@dataclass(frozen=True)
class SigningSecrets:
    """The current secret, and the previous one, which is also valid during the overlap."""

    current: str
    previous: str | None = None
    previous_until: datetime | None = None

    def active(self, now: datetime) -> list[str]:
        """Return the secrets that are valid at this moment."""
        if self.previous is not None and self.previous_until is not None and now < self.previous_until:
            return [self.current, self.previous]
        return [self.current]

    def rotated(self, now: datetime, overlap: timedelta = ROTATION_OVERLAP) -> "SigningSecrets":
        """Return the secrets with a new one; the current one stays valid for the time of the overlap."""
        if not overlap:
            return SigningSecrets(new_secret())
        return SigningSecrets(new_secret(), self.current, now + overlap)


def new_secret() -> str:
    """Return a new secret in the format of Standard Webhooks: `whsec_` and 32 random bytes in base64."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def key_of(secret: str) -> bytes:
    """Return the HMAC key in a signing secret."""
    return base64.b64decode(secret.removeprefix("whsec_"))


class SecretCipher:
    """Encrypts with the newest key and decrypts with any of the keys."""

    def __init__(self, keys: SecretStr) -> None:
        self._keys = keys

    def encrypt(self, value: SigningSecrets) -> bytes:
        """Return the encrypted bytes to store."""
        until = value.previous_until.isoformat() if value.previous_until else None
        return encryption.encrypt(self._keys, [value.current, value.previous, until])

    def decrypt(self, sealed: bytes) -> SigningSecrets:
        """Return the decrypted secrets. Raise `UndecryptableSecret` if their key is missing."""
        try:
            current, previous, until = encryption.decrypt(self._keys, sealed)
        except InvalidToken as error:
            raise UndecryptableSecret(
                "the secret was encrypted with a key that is no longer configured: rotate it"
            ) from error
        return SigningSecrets(current, previous, datetime.fromisoformat(until) if until else None)

    def encrypt_headers(self, headers: Mapping[str, str]) -> bytes:
        """Return the encrypted bytes of custom headers to store."""
        return encryption.encrypt(self._keys, dict(headers))

    def decrypt_headers(self, sealed: bytes) -> dict[str, str]:
        """Return the decrypted headers. Raise `UndecryptableSecret` if their key is missing."""
        try:
            headers: dict[str, str] = encryption.decrypt(self._keys, sealed)
        except InvalidToken as error:
            raise UndecryptableSecret(
                "the headers were encrypted with a key that is no longer configured: set them again"
            ) from error
        return headers
