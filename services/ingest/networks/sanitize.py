"""Convert texts and payloads to values that the database can store, and back."""

import json
from typing import Any

from shared.tables.base import decode_text, encode_text


def replace_lone_surrogates(text: str) -> str:
    """Return the text with lone surrogates, which UTF-8 cannot encode, replaced by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def without_nul(text: str) -> str:
    """Return the text without NUL and lone surrogates, for texts and URLs that need not be exact."""
    return replace_lone_surrogates(text).replace("\x00", "")


def _map_strings(value: Any, change: Any) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {change(str(key)): _map_strings(one, change) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_map_strings(one, change) for one in value]
    return value


def json_without_nul(value: Any) -> Any:
    """Return the value with `without_nul` applied to its strings and keys."""
    return _map_strings(value, without_nul)


def encode_exact_json(value: Any) -> str:
    """Return JSON for a jsonb column, which rejects NUL: strings inside are escaped as in `ExactText`."""
    return json.dumps(_map_strings(value, lambda text: encode_text(replace_lone_surrogates(text))))


def decode_exact_json(value: Any) -> Any:
    """Return the value that `encode_exact_json` encoded, from the column's value."""
    return _map_strings(value, decode_text)


def same_text(one: str, other: str) -> bool:
    """Return whether two texts are equal up to outer whitespace and line breaks, which networks change."""
    return _normal(one) == _normal(other)


def _normal(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()
