"""Bounces: reports of mail servers that a letter could not be delivered (RFC 3464)."""

import re
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from uuid import UUID

from pydantic import SecretStr

from services.webhooks.notices.links import is_letter_code

_REFERENCE = re.compile(r"\b([0-9a-f]{32})-([0-9a-f]{12})@")
_STATUS = re.compile(r"5\.\d{1,3}\.\d{1,3}")


@dataclass(frozen=True)
class Bounce:
    """A permanent delivery failure of a letter, with the enhanced status code of the report (RFC 3463)."""

    letter_id: UUID
    smtp_status: str


def parse_bounce(raw: bytes, keys: SecretStr) -> Bounce | None:
    """Return the bounce that a message reports; None unless it reports a permanent failure of one of our letters.

    The letter is found by the address that the report was sent to, else by the Message-ID of the returned letter.
    Both contain a code of the letter that only its sender and its recipients know.
    """
    message = message_from_bytes(raw)
    status = next((found for part in message.walk() if (found := _failure(part)) is not None), None)
    if status is None:
        return None
    headers = [str(message.get(name, "")) for name in ("Delivered-To", "X-Original-To", "To")]
    returned = [str(part.get("Message-ID", "")) for part in message.walk() if part is not message]
    returned += [
        str(part.get_payload())
        for part in message.walk()
        if part.get_content_type() == "text/rfc822-headers" and not part.is_multipart()
    ]
    for text in (*headers, *returned):
        for letter, code in _REFERENCE.findall(text):
            if is_letter_code(keys, UUID(hex=letter), code):
                return Bounce(UUID(hex=letter), status)
    return None


def _failure(part: Message) -> str | None:
    """Return the status code if this part reports a permanent failure for a recipient; otherwise None."""
    if str(part.get("Action", "")).strip().lower() != "failed":
        return None
    status = _STATUS.match(str(part.get("Status", "")).strip())
    return status[0] if status is not None else None
