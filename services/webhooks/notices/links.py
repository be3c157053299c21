"""Signed links in letters, and the codes that prove that a returned letter is ours.

A link works without signing in, for one purpose and a limited time, and only while its key is in use.
"""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from pydantic import SecretStr

from services.webhooks.schemas.notices import NoticeKind
from shared import clock

_END_BYTES = 5
_MAC_BYTES = 18
# Short enough to fit, with the letter's id and the mailbox name, into the 64 characters before the @ of an
# address.
_LETTER_CODE_LENGTH = 12
UNSUBSCRIBE_AGE = timedelta(days=90)
CONFIRM_AGE = timedelta(days=7)


@dataclass(frozen=True)
class Unsubscription:
    """A person, and the kinds of notices that an unsubscription link ends for them."""

    person_id: UUID
    kinds: tuple[NoticeKind, ...]


def unsubscribe_token(keys: SecretStr, wanted: Unsubscription) -> str:
    """Return the token of a link that ends these kinds of notices for the person."""
    payload = wanted.person_id.bytes + ",".join(wanted.kinds).encode()
    return _sign(keys, b"unsubscribe", UNSUBSCRIBE_AGE, payload)


def read_unsubscribe_token(keys: SecretStr, token: str) -> Unsubscription | None:
    """Return the content of the token; None if it has expired or was not issued here."""
    payload = _verify(keys, b"unsubscribe", token)
    if payload is None:
        return None
    kinds = tuple(NoticeKind(kind) for kind in payload[16:].decode().split(","))
    return Unsubscription(UUID(bytes=payload[:16]), kinds)


def confirmation_token(keys: SecretStr, person_id: UUID, nonce: UUID) -> str:
    """Return the token of the link that confirms the person's address, which `nonce` identifies."""
    return _sign(keys, b"confirm", CONFIRM_AGE, person_id.bytes + nonce.bytes)


def read_confirmation_token(keys: SecretStr, token: str) -> tuple[UUID, UUID] | None:
    """Return the person's id and the nonce; None if the token has expired or was not issued here."""
    payload = _verify(keys, b"confirm", token)
    return None if payload is None else (UUID(bytes=payload[:16]), UUID(bytes=payload[16:]))


def letter_code(keys: SecretStr, letter_id: UUID) -> str:
    """Return the code of a letter; a bounce report must contain it to be accepted."""
    return _letter_code(_keys(keys)[0], letter_id)


def is_letter_code(keys: SecretStr, letter_id: UUID, code: str) -> bool:
    """Return whether the code was issued for this letter."""
    return any(hmac.compare_digest(code, _letter_code(key, letter_id)) for key in _keys(keys))


def code_digests(keys: SecretStr, digits: str) -> list[bytes]:
    """Return the digests of an account code with each key, newest key first."""
    return [_mac(key, b"account code", digits.encode()) for key in _keys(keys)]


def address_digest(keys: SecretStr, address: str) -> bytes:
    """Return a digest of the address by which letters to it are counted. It changes with the newest key."""
    return _mac(_keys(keys)[0], b"address", address.lower().encode())


def _letter_code(key: bytes, letter_id: UUID) -> str:
    return _mac(key, b"letter", letter_id.bytes).hex()[:_LETTER_CODE_LENGTH]


def _sign(keys: SecretStr, purpose: bytes, age: timedelta, content: bytes) -> str:
    newest = _keys(keys)[0]
    ends = int((clock.now() + age).timestamp())
    payload = ends.to_bytes(_END_BYTES) + content
    return base64.urlsafe_b64encode(payload + _mac(newest, purpose, payload)).decode().rstrip("=")


def _verify(keys: SecretStr, purpose: bytes, token: str) -> bytes | None:
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    payload, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
    known = any(hmac.compare_digest(mac, _mac(key, purpose, payload)) for key in _keys(keys))
    ends = int.from_bytes(payload[:_END_BYTES])
    return payload[_END_BYTES:] if known and clock.now().timestamp() < ends else None


def _mac(key: bytes, purpose: bytes, payload: bytes) -> bytes:
    return hmac.digest(key, b"notice link\0" + purpose + b"\0" + payload, hashlib.sha256)[:_MAC_BYTES]


def _keys(keys: SecretStr) -> list[bytes]:
    return [key.strip().encode() for key in keys.get_secret_value().split(",") if key.strip()]
