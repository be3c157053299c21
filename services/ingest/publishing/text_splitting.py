"""Split a reply that exceeds the network's length limit.

A part ends at a paragraph end, else a line end, else a sentence end, else between words, and inside a word only
if the word is longer than a part. Lengths are in UTF-16 code units, as the strictest networks count: characters
outside the Basic Multilingual Plane count twice.
"""

import re
import unicodedata
from collections.abc import Sequence

# Where a part may end, best first; the matched group is dropped between two parts.
BREAK_PATTERNS = (
    re.compile(r"(\n[^\S\n]*\n)"),
    re.compile(r"(\n)"),
    re.compile(r"[.!?…]+[\"»”’)\]]*(\s)"),
    re.compile(r"(\s)"),
)
# Breaks after this share of the limit are preferred, so that parts are not very short.
MIN_FILL = 0.4
JOINER = "\u200d"


def split_text(text: str, limit: int) -> list[str]:
    """Return the text in parts of at most `limit` UTF-16 code units; unchanged as one part if it fits.

    Only whitespace between the parts and around the text is dropped. Raises ValueError if `limit` is less than 2.
    """
    if limit < 2:
        raise ValueError("the limit must be at least 2: some characters take two UTF-16 code units")
    if _length(text) <= limit:
        return [text]
    parts = []
    rest = text.strip()
    while _length(rest) > limit:
        cut = _cut(rest, _fitting(rest, limit))
        parts.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    return [*parts, rest] if rest else parts


def remaining_text(text: str, published_parts: Sequence[str]) -> str | None:
    """Return the text after the published parts; None if the text does not begin with these parts.

    Whitespace is ignored: networks and splitting change it.
    """
    published = "".join("".join(part.split()) for part in published_parts)
    position = 0
    for letter in published:
        while position < len(text) and text[position].isspace():
            position += 1
        if position == len(text) or text[position] != letter:
            return None
        position += 1
    return text[position:].strip()


def _units(letter: str) -> int:
    return 2 if ord(letter) > 0xFFFF else 1


def _length(text: str) -> int:
    return sum(map(_units, text))


def _fitting(text: str, limit: int) -> int:
    """Return how many characters of the text fit into `limit` UTF-16 code units."""
    if len(text) * 2 <= limit:
        return len(text)
    taken = 0
    for position, letter in enumerate(text):
        taken += _units(letter)
        if taken > limit:
            return position
    return len(text)


def _cut(text: str, longest: int) -> int:
    """Return the position where the part ends: at most `longest`, at least 1."""
    for end in BREAK_PATTERNS:
        # Search one character further: whitespace after the part is dropped.
        found = [match.start(1) for match in end.finditer(text, int(longest * MIN_FILL), longest + 1)]
        good = [position for position in found if 0 < position <= longest]
        if good:
            return good[-1]
    spaces = [match.start() for match in re.finditer(r"\s", text[: longest + 1])]
    if spaces:
        return spaces[-1]
    return _between_characters(text, longest)


def _between_characters(text: str, longest: int) -> int:
    """Return the last position up to `longest` that does not split a grapheme."""
    for position in range(longest, 0, -1):
        if not _is_one_grapheme(text, position):
            return position
    return longest


def _is_one_grapheme(text: str, position: int) -> bool:
    """Return whether the characters on both sides of a position belong to one grapheme."""
    before, after = text[position - 1], text[position]
    if JOINER in {before, after}:
        return True
    if _is_flag_letter(before) and _is_flag_letter(after):
        run = 0
        while run < position and _is_flag_letter(text[position - 1 - run]):
            run += 1
        return run % 2 == 1
    code = ord(after)
    modifies = 0x1F3FB <= code <= 0x1F3FF or 0xE0020 <= code <= 0xE007F or 0xFE00 <= code <= 0xFE0F
    return modifies or unicodedata.category(after).startswith("M")


def _is_flag_letter(letter: str) -> bool:
    return 0x1F1E6 <= ord(letter) <= 0x1F1FF
