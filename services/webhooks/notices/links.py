"""Signed links in letters: they work without signing in, for one purpose each, and as long as a key is in use."""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from uuid import UUID

from pydantic import SecretStr

from services.webhooks.schemas.notices import NoticeKind

_MAC_BYTES = 18


@dataclass(frozen=True)
class Unsubscription:
    """Who does not want to be told, and of which kinds."""

    person_id: UUID
    kinds: tuple[NoticeKind, ...]


def unsubscribe_token(keys: SecretStr, wanted: Unsubscription) -> str:
    """Return the token of a link that ends these kinds of notices for the person."""
    payload = wanted.person_id.bytes + ",".join(wanted.kinds).encode()
    return _sign(keys, b"unsubscribe", payload)


def read_unsubscribe_token(keys: SecretStr, token: str) -> Unsubscription | None:
    """Return what the token says; None if we did not make it."""
    payload = _verify(keys, b"unsubscribe", token)
    if payload is None:
        return None
    kinds = tuple(NoticeKind(kind) for kind in payload[16:].decode().split(","))
    return Unsubscription(UUID(bytes=payload[:16]), kinds)


def confirmation_token(keys: SecretStr, person_id: UUID, nonce: UUID) -> str:
    """Return the token of the link that confirms the person's address; the nonce is that of the address."""
    return _sign(keys, b"confirm", person_id.bytes + nonce.bytes)


def read_confirmation_token(keys: SecretStr, token: str) -> tuple[UUID, UUID] | None:
    """Return person and nonce; None if we did not make the token."""
    payload = _verify(keys, b"confirm", token)
    return None if payload is None else (UUID(bytes=payload[:16]), UUID(bytes=payload[16:]))


def _sign(keys: SecretStr, purpose: bytes, payload: bytes) -> str:
    newest = _keys(keys)[0]
    return base64.urlsafe_b64encode(payload + _mac(newest, purpose, payload)).decode().rstrip("=")


def _verify(keys: SecretStr, purpose: bytes, token: str) -> bytes | None:
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    payload, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
    known = any(hmac.compare_digest(mac, _mac(key, purpose, payload)) for key in _keys(keys))
    return payload if known else None


def _mac(key: bytes, purpose: bytes, payload: bytes) -> bytes:
    return hmac.digest(key, b"notice link\0" + purpose + b"\0" + payload, hashlib.sha256)[:_MAC_BYTES]


def _keys(keys: SecretStr) -> list[bytes]:
    return [key.strip().encode() for key in keys.get_secret_value().split(",") if key.strip()]
