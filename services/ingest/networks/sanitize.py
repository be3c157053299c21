"""Texts and payloads as the database can hold them, and back."""

import json
from typing import Any

from shared.tables.base import decode_text, encode_text


def replace_lone_surrogates(text: str) -> str:
    """The same text; half of a surrogate pair, which no UTF-8 can carry, becomes U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def without_nul(text: str) -> str:
    """Text of our own making or an address: NUL has no business in it."""
    return replace_lone_surrogates(text).replace("\x00", "")


def _map_strings(value: Any, change: Any) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {change(str(key)): _map_strings(one, change) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_map_strings(one, change) for one in value]
    return value


def encode_exact_json(value: Any) -> str:
    """JSON for a jsonb column, which refuses NUL: texts inside are escaped as `ExactText` does."""
    return json.dumps(_map_strings(value, lambda text: encode_text(replace_lone_surrogates(text))))


def decode_exact_json(value: Any) -> Any:
    """The inverse of `exact_json`, on what the column gave."""
    return _map_strings(value, decode_text)


def same_text(one: str, other: str) -> bool:
    """Whether two texts are the same answer: networks trim the ends and have their own line breaks."""
    return _normal(one) == _normal(other)


def _normal(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()
