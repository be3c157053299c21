"""Personal data masked wherever a citizen's words leave their case: phones, documents, links, names.

What is masked, what is not, and where: docs/operations/personal-data.md.
"""

from collections.abc import Collection
from functools import lru_cache
from typing import Any

from shared.masking.identifiers import mask_numbers
from shared.masking.person_names import mask_people

_REMEMBERED = 4_096
_LONGEST_REMEMBERED = 2_000
# What stands at the edge of what was masked can be seen anew; it settles at once or in a second round.
_ROUNDS = 4
SNIPPET = 300
_MARGIN = 100


def mask(text: str) -> str:
    """The text with personal data replaced by words in brackets; the same text when there is none.

    Masking what is masked changes nothing. Takes time in proportion to the length.
    """
    return _remembered(text) if len(text) <= _LONGEST_REMEMBERED else _masked(text)


def _masked(text: str) -> str:
    for _ in range(_ROUNDS):
        masked = mask_people(mask_numbers(text))
        if masked == text:
            break
        text = masked
    return text


_remembered = lru_cache(maxsize=_REMEMBERED)(_masked)


def mask_values(value: Any, keep: Collection[str] = ()) -> Any:
    """A copy of a JSON value with every string masked, at any depth; values under the names in `keep` stay."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {name: inner if name in keep else mask_values(inner, keep) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [mask_values(inner, keep) for inner in value]
    return value


def snippet(text: str, sought: str, length: int = SNIPPET) -> str:
    """At most `length` characters of the masked text around the first place of what was sought; `…` marks a cut.

    What was sought may be masked itself: then the words around its place are shown.
    """
    masked = mask(text)
    if len(masked) <= length:
        return masked
    place = masked.lower().find(sought.lower())
    if place < 0:
        place = max(text.lower().find(sought.lower()), 0)
    # Room for the mark of a cut at either end.
    room = length - 2
    start = min(max(place - _MARGIN, 0), len(masked) - room)
    end = start + room
    start = _whole(masked, start, forward=True) if start else 0
    end = _whole(masked, end, forward=False) if end < len(masked) else end
    body = masked[start:end].strip()
    return f"{'…' if start else ''}{body}{'…' if end < len(masked) else ''}"


def _whole(text: str, place: int, *, forward: bool) -> int:
    """The nearest edge of a word, so that no bracket and no word is cut."""
    for step in range(40):
        at = place + step if forward else place - step
        if text[at - 1 : at].isspace() and text.rfind("[", 0, at) <= text.rfind("]", 0, at):
            return at
    return place
