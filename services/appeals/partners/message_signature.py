"""Verification of messages that are signed according to Standard Webhooks."""

import base64
import hashlib
import hmac
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from starlette.datastructures import Headers

from shared.signing_secrets import key_of

# How far the time of a message may be from the server's clock, either way.
TOLERANCE = timedelta(minutes=5)
ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER = "webhook-id", "webhook-timestamp", "webhook-signature"
# A sender that rotates its secret sends two signatures of 47 characters.
MAX_SIGNATURE_HEADER = 2_000
_ID = re.compile(r"[\x21-\x7e]{1,200}")
_TIMESTAMP = re.compile(r"[0-9]{1,12}")

Defect = Literal["headers", "partner", "secret", "signature", "timestamp"]


class NotVerified(Exception):  # noqa: N818
    """The message is not verified as the partner's, or its time is too far from the server's. `defect` is for the
    log, never for the sender.
    """

    def __init__(self, defect: Defect) -> None:
        super().__init__(defect)
        self.defect: Defect = defect


@dataclass(frozen=True)
class SignedMessage:
    """A message as it was received, not verified."""

    webhook_id: str
    timestamp: str
    signatures: tuple[bytes, ...]
    body: bytes

    @classmethod
    def read(cls, headers: Headers, body: bytes) -> "SignedMessage":
        """Return the message of a request. Raise `NotVerified` if a header is missing, repeated or malformed."""
        webhook_id = _single(headers, ID_HEADER)
        timestamp = _single(headers, TIMESTAMP_HEADER)
        signature = _single(headers, SIGNATURE_HEADER)
        if (
            _ID.fullmatch(webhook_id) is None
            or _TIMESTAMP.fullmatch(timestamp) is None
            or len(signature) > MAX_SIGNATURE_HEADER
        ):
            raise NotVerified("headers")
        versioned = [part.partition(",") for part in signature.split(" ")]
        # Signatures of other versions are ignored, as the specification says.
        found = tuple(value.encode("latin-1") for version, _, value in versioned if version == "v1")
        return cls(webhook_id, timestamp, found, body)

    def verify(self, secrets: Collection[str], now: datetime) -> None:
        """Raise `NotVerified` unless one of the secrets signed the message, within `TOLERANCE` of `now`."""
        signed = f"{self.webhook_id}.{self.timestamp}.".encode() + self.body
        matches = False
        for secret in secrets:
            expected = base64.b64encode(hmac.digest(key_of(secret), signed, hashlib.sha256))
            for signature in self.signatures:
                matches |= hmac.compare_digest(expected, signature)
        if not matches:
            raise NotVerified("signature")
        if abs(now.timestamp() - int(self.timestamp)) > TOLERANCE.total_seconds():
            raise NotVerified("timestamp")


def _single(headers: Headers, name: str) -> str:
    """Return the value of a header that must occur once: a proxy may choose another one of several."""
    values = headers.getlist(name)
    if len(values) != 1:
        raise NotVerified("headers")
    return values[0]
