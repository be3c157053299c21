"""The words of a message that decided its classification: quoted in `why`, marked in the text."""

import re
from dataclasses import dataclass

_QUOTED = re.compile(r"«([^«»]{2,60})»")
_WORD = re.compile(r"[\w-]+")
# Endings differ between the quoted word and the one in the text; shorter words are compared whole.
_STEM = 4


@dataclass(frozen=True)
class Part:
    """A part of a text, marked or not."""

    text: str
    marked: bool


def marked_parts(text: str, why: str, topic: str | None) -> list[Part]:
    """Return the text in parts; words that `why` quotes are marked, except the topic's name."""
    stems = {
        _folded(word)[: max(_STEM, len(word) - 2)]
        for quote in _QUOTED.findall(why)
        if quote != topic
        for word in _WORD.findall(quote)
        if len(word) > 2
    }
    parts, at = [], 0
    for found in _WORD.finditer(text):
        if stems and any(_folded(found.group()).startswith(stem) for stem in stems):
            parts += [Part(text[at : found.start()], False), Part(found.group(), True)]
            at = found.end()
    return [part for part in [*parts, Part(text[at:], False)] if part.text]


def _folded(word: str) -> str:
    return word.lower().replace("ё", "е")
