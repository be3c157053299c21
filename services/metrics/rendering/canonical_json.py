"""The report as canonical JSON: the same document always gives the same bytes."""

from hashlib import sha256

from services.metrics.schemas.weekly_report import ReportDocument


def encode(document: ReportDocument) -> bytes:
    """Return the document as JSON in UTF-8: fields in the order of the model, no spaces, times with offset."""
    return document.model_dump_json().encode()


def digest(encoded: bytes) -> str:
    """Return the SHA-256 of an encoded document in hexadecimal."""
    return sha256(encoded).hexdigest()
