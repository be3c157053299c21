"""The bytes stored when a report is published, and their digest."""

import hashlib
import json
from datetime import date, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from services.metrics.schemas.weekly_report import ReportDocument


def encode(document: ReportDocument) -> bytes:
    """Return the document as UTF-8 JSON; equal documents give equal bytes.

    Fields are in the order of the model, without spaces; moments have the offset of the document's time zone.
    """
    plain = _plain(document.model_dump(), ZoneInfo(document.time_zone))
    return json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def digest(content: bytes) -> str:
    """Return the SHA-256 digest of the bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _plain(value: Any, zone: ZoneInfo) -> Any:
    match value:
        case dict():
            return {key: _plain(item, zone) for key, item in value.items()}
        case list():
            return [_plain(item, zone) for item in value]
        case datetime():
            return value.astimezone(zone).isoformat()
        case date() | UUID():
            return str(value)
        case float():
            # −0 equals 0 but would be written differently.
            return value + 0.0
        case _:
            return value
