"""Signing secrets and own headers of endpoints, encrypted at rest, and signatures by Standard Webhooks."""

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from cryptography.fernet import InvalidToken
from pydantic import SecretStr
from standardwebhooks import Webhook

from shared import encryption

# How long the old secret signs too, unless the caller says otherwise.
ROTATION_OVERLAP = timedelta(hours=24)


class UndecryptableSecret(Exception):  # noqa: N818
    """The stored secret or headers were encrypted with a key that is no longer in the settings."""


@dataclass(frozen=True)
class SigningSecrets:
    """The current secret of an endpoint, and the previous one, which also signs during the overlap."""

    current: str
    previous: str | None = None
    previous_until: datetime | None = None

    def active(self, now: datetime) -> list[str]:
        """Return the secrets with which deliveries are signed at this moment."""
        if self.previous is not None and self.previous_until is not None and now < self.previous_until:
            return [self.current, self.previous]
        return [self.current]

    def rotated(self, now: datetime, overlap: timedelta = ROTATION_OVERLAP) -> "SigningSecrets":
        """Return the secrets with a new one; the current one keeps signing for the time of the overlap."""
        if not overlap:
            return SigningSecrets(new_secret())
        return SigningSecrets(new_secret(), self.current, now + overlap)


def new_secret() -> str:
    """Return a new secret in the format of Standard Webhooks: `whsec_` and 32 random bytes in base64."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


class SecretCipher:
    """Encrypts with the newest key and decrypts with any of the keys."""

    def __init__(self, keys: SecretStr) -> None:
        self._keys = keys

    def encrypt(self, value: SigningSecrets) -> bytes:
        """Return the encrypted bytes to store."""
        until = value.previous_until.isoformat() if value.previous_until else None
        return encryption.encrypt(self._keys, [value.current, value.previous, until])

    def decrypt(self, sealed: bytes) -> SigningSecrets:
        """Return the decrypted secrets. Raise `UndecryptableSecret` when no key fits."""
        try:
            current, previous, until = encryption.decrypt(self._keys, sealed)
        except InvalidToken as error:
            raise UndecryptableSecret(
                "the secret was encrypted with a key that is no longer configured: rotate it"
            ) from error
        return SigningSecrets(current, previous, datetime.fromisoformat(until) if until else None)

    def encrypt_headers(self, headers: Mapping[str, str]) -> bytes:
        """Return the encrypted bytes of own headers to store."""
        return encryption.encrypt(self._keys, dict(headers))

    def decrypt_headers(self, sealed: bytes) -> dict[str, str]:
        """Return the decrypted headers. Raise `UndecryptableSecret` when no key fits."""
        try:
            headers: dict[str, str] = encryption.decrypt(self._keys, sealed)
        except InvalidToken as error:
            raise UndecryptableSecret(
                "the headers were encrypted with a key that is no longer configured: set them again"
            ) from error
        return headers


def signed_headers(event_id: UUID, body: str, keys: list[str]) -> dict[str, str]:
    """Return the headers of one attempt: the id is the same in all attempts, time and signature are new.

    The time is from the system clock, not from the adjustable `shared.clock`: receivers compare it with their
    clock.
    """
    moment = datetime.now(UTC)
    return {
        "webhook-id": str(event_id),
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": " ".join(Webhook(key).sign(str(event_id), moment, body) for key in keys),
    }
