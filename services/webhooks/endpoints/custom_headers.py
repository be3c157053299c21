"""Custom headers of endpoints: which names and values are allowed, and removal of values from stored responses."""

import re
from collections.abc import Collection, Mapping

from shared.http.problems import FieldError, Invalid

MAX_HEADERS = 10
MAX_VALUE_LENGTH = 1_000
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
# Printable ASCII without spaces at the ends, which a receiver would not see.
_VALUE = re.compile(r"[!-~]([ -~]*[!-~])?")
# Set by the delivery itself, meant for one connection (RFC 9110, section 7.6.1), or able to change how a request
# is read (request smuggling).
_RESERVED = frozenset(
    {
        "accept-encoding", "connection", "cookie", "cookie2", "date", "expect", "host", "http2-settings",
        "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "user-agent", "via",
    }
)  # fmt: skip
_RESERVED_PREFIXES = ("content-", "proxy-", "webhook-")
# Shorter values, and shorter words of a value, are not treated as secrets: replacing them would make a response
# unreadable.
_SHORTEST_SECRET = 8
_REPLACEMENT = "[header]"


def require_valid_headers(headers: Mapping[str, str]) -> None:
    """Raise `Invalid` naming each header that is not allowed. The messages do not contain values."""
    errors, seen = [], set()
    for name, value in headers.items():
        detail = _fault(name, value)
        if detail is None and name.lower() in seen:
            detail = "The name is given twice: upper and lower case do not distinguish names"
        seen.add(name.lower())
        if detail is not None:
            pointer = name.replace("~", "~0").replace("/", "~1")
            errors.append(FieldError(pointer=f"/headers/{pointer}", detail=detail))
    if errors:
        raise Invalid("A header is not allowed", errors=errors)


def _fault(name: str, value: str) -> str | None:
    if _TOKEN.fullmatch(name) is None:
        return "The name must have 1 to 100 letters, digits or any of !#$%&'*+-.^_`|~"
    if name.lower() in _RESERVED or name.lower().startswith(_RESERVED_PREFIXES):
        return "The name is reserved for the delivery itself: choose another"
    if len(value) > MAX_VALUE_LENGTH or _VALUE.fullmatch(value) is None:
        return (
            f"The value must have 1 to {MAX_VALUE_LENGTH} printable ASCII characters, and no space at the "
            "beginning or end"
        )
    return None


def without_values(text: str, headers: Mapping[str, str]) -> str:
    """Return the text of a response with the values of these headers replaced: a receiver may repeat them."""
    for secret in sorted(_secrets(headers.values()), key=len, reverse=True):
        text = text.replace(secret, _REPLACEMENT)
        # The text may end within a value, because only its start was read.
        for length in range(len(secret) - 1, _SHORTEST_SECRET - 1, -1):
            if text.endswith(secret[:length]):
                text = text[:-length] + _REPLACEMENT
                break
    return text


def _secrets(values: Collection[str]) -> set[str]:
    """Return the values and their words, such as the token of `Bearer …`."""
    parts = {part for value in values for part in (value, *value.split())}
    return {part for part in parts if len(part) >= _SHORTEST_SECRET}
