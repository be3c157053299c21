"""Ids, anchors and times in the network's formats."""

import base64
import binascii
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from emulators.ok.errors import OkError

MOSCOW = ZoneInfo("Europe/Moscow")
_MAX_PART = 2**62
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def comment_id(ms: int, number: int, discussion: str) -> str:
    """Return the opaque id of a comment: base64 of its time, its number and its discussion."""
    return _encode(f"{ms}:{-number}:{ms}:{discussion}:1")


def encode_anchor(*parts: int) -> str:
    """Return a paging anchor for a position in a sorted list."""
    return _encode(":".join(str(part) for part in parts))


def decode_anchor(anchor: str, length: int, name: str = "anchor") -> tuple[int, ...]:
    """Return the numbers encoded in an anchor; error 100 for a text that is not an anchor of this emulator."""
    try:
        parts = tuple(int(part) for part in base64.b64decode(anchor, validate=True).decode("ascii").split(":"))
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise OkError(100, f"Invalid parameter {name}", name) from None
    if len(parts) != length or any(abs(part) > _MAX_PART for part in parts):
        raise OkError(100, f"Invalid parameter {name}", name)
    return parts


def chat_id(number: int) -> str:
    """Return the id of a chat without its prefix."""
    return f"C{number:012x}"


def message_seq(ms: int, number: int) -> int:
    """Return the sequence number of a message: above 2^53, with the time in its upper bits."""
    return (ms << 16) | (number & 0xFFFF)


def message_id(chat: str, seq: int) -> str:
    """Return the id of a message, with its prefix."""
    return f"mid:{chat}.{seq:x}"


def moscow_time(ms: int) -> str:
    """Return milliseconds since the epoch as Moscow time without a zone, the network's format of dates."""
    return (_EPOCH + timedelta(milliseconds=ms)).astimezone(MOSCOW).strftime("%Y-%m-%d %H:%M:%S")


def rfc3339(ms: int) -> str:
    """Return milliseconds since the epoch as RFC 3339 in UTC."""
    return (_EPOCH + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds")
