"""Mask personal data in citizens' texts that are shown outside the appeal: phones, documents, links, names.

docs/operations/personal-data.md says what is masked, what is not, and where.
"""

from collections.abc import Collection
from functools import lru_cache
from typing import Any

from shared.masking.identifiers import mask_identifiers
from shared.masking.person_names import mask_person_names

_CACHE_SIZE = 4_096
_MAX_CACHED_LENGTH = 2_000
# Masking can expose a new match next to the mask; one or two passes are enough in practice.
_MAX_PASSES = 4
SNIPPET = 300
_MARGIN = 100


def mask(text: str) -> str:
    """Return the text with personal data replaced by words in brackets.

    Masking is idempotent and takes time in proportion to the length.
    """
    return _cached_mask(text) if len(text) <= _MAX_CACHED_LENGTH else _masked(text)


def _masked(text: str) -> str:
    for _ in range(_MAX_PASSES):
        masked = mask_person_names(mask_identifiers(text))
        if masked == text:
            break
        text = masked
    return text


_cached_mask = lru_cache(maxsize=_CACHE_SIZE)(_masked)


def mask_values(value: Any, skip_keys: Collection[str] = ()) -> Any:
    """Return a copy of a JSON value with all strings masked, except values under the keys in `skip_keys`."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {
            name: inner if name in skip_keys else mask_values(inner, skip_keys) for name, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [mask_values(inner, skip_keys) for inner in value]
    return value


def cut_around(text: str, position: int, length: int = SNIPPET) -> tuple[int, int]:
    """Return start and end of an extract of the masked text around a position, outside words and masks.

    With one character for an ellipsis at each end it has at most `length` characters.
    """
    if len(text) <= length:
        return 0, len(text)
    room = length - 2
    start = min(max(position - _MARGIN, 0), len(text) - room)
    end = start + room
    start = _word_boundary(text, start, forward=True) if start else 0
    end = _word_boundary(text, end, forward=False) if end < len(text) else end
    return start, end


def _word_boundary(text: str, position: int, *, forward: bool) -> int:
    """Return the nearest word boundary outside brackets."""
    for step in range(40):
        at = position + step if forward else position - step
        if text[at - 1 : at].isspace() and text.rfind("[", 0, at) <= text.rfind("]", 0, at):
            return at
    return position
