"""Secrets of endpoints, encrypted at rest, and signatures after Standard Webhooks."""

import base64
import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from pydantic import SecretStr
from standardwebhooks import Webhook

ROTATION_OVERLAP = timedelta(hours=24)


class UndecryptableSecret(Exception):  # noqa: N818
    """The stored secret was encrypted with a key that is no longer among the settings."""


@dataclass(frozen=True)
class SigningSecrets:
    """The secret of an endpoint, and the one before it, which signs too until the receiver has changed over."""

    current: str
    previous: str | None = None
    previous_until: datetime | None = None

    def active(self, now: datetime) -> list[str]:
        """Secrets that sign at this moment."""
        if self.previous is not None and self.previous_until is not None and now < self.previous_until:
            return [self.current, self.previous]
        return [self.current]

    def rotated(self, now: datetime) -> "SigningSecrets":
        """A new secret; the current one keeps signing for `ROTATION_OVERLAP`."""
        return SigningSecrets(new_secret(), self.current, now + ROTATION_OVERLAP)


def new_secret() -> str:
    """A fresh secret as receivers' libraries take it: `whsec_` and 32 random bytes in base64."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


class SecretCipher:
    """Encrypts with the newest key and reads what any of the keys encrypted."""

    def __init__(self, keys: SecretStr) -> None:
        self._fernet = MultiFernet([Fernet(key.strip()) for key in keys.get_secret_value().split(",")])

    def encrypt(self, value: SigningSecrets) -> bytes:
        """The bytes to store."""
        until = value.previous_until.isoformat() if value.previous_until else None
        return self._fernet.encrypt(json.dumps([value.current, value.previous, until]).encode())

    def decrypt(self, sealed: bytes) -> SigningSecrets:
        """The inverse of `seal`. Raises `Unreadable` when no key fits."""
        try:
            current, previous, until = json.loads(self._fernet.decrypt(sealed))
        except InvalidToken as error:
            raise UndecryptableSecret("the secret was encrypted with a key that is gone: rotate it") from error
        return SigningSecrets(current, previous, datetime.fromisoformat(until) if until else None)


def signed_headers(event_id: UUID, body: str, keys: list[str]) -> dict[str, str]:
    """Headers of one attempt: the id stays over all attempts, the time and the signature are fresh.

    The time is the machine's own: receivers compare it with theirs, which no setting of ours moves.
    """
    moment = datetime.now(UTC)
    return {
        "webhook-id": str(event_id),
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": " ".join(Webhook(key).sign(str(event_id), moment, body) for key in keys),
    }
