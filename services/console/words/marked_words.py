"""Mark the words of a message that decided its classification."""

import re
from dataclasses import dataclass

from services.console.words.formats import shown
from shared.text.normalize import fold_case

# Example: «тема «Дороги»: «проезжий», «улица»» is a decision, followed by the words that led to it.
_LABEL = re.compile(r"((?:«[^»]*»|[^«»:;])+):\s*")
_QUOTED = re.compile(r"«([^«»]+)»")
_WORD = re.compile(r"[^\W_]+")
_SHORT = 4


@dataclass(frozen=True)
class Reason:
    """A decision of the classifier, and the words that led to it."""

    label: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class Part:
    """A part of a text; `why` is the decision that its words led to, empty if there is none."""

    text: str
    why: str = ""


def reasons(why: str) -> list[Reason]:
    """Return the decisions in an explanation: «Жалоба: «не почистили»; место: «на кабанск»»."""
    found, at = [], 0
    while (label := _LABEL.search(why, at)) is not None:
        following = _LABEL.search(why, label.end())
        # The words end where the next label begins.
        end = following.start() if following else len(why)
        found.append(Reason(label[1].strip(" ;,"), tuple(_QUOTED.findall(why[label.end() : end]))))
        at = end
    return found


def marked(text: str, why: str) -> list[Part]:
    """Return the text in parts, with the deciding words marked; a single word is also found in its other forms."""
    text = shown(text)
    marks: dict[tuple[int, int], str] = {}
    for reason in reasons(why):
        for words in reason.words:
            for position in _positions(text, words):
                marks.setdefault(position, reason.label)
    parts, at = [], 0
    for (start, end), label in sorted(marks.items()):
        if start < at:
            continue
        parts += [Part(text[at:start]), Part(text[start:end], label)]
        at = end
    return [part for part in [*parts, Part(text[at:])] if part.text]


def _positions(text: str, words: str) -> list[tuple[int, int]]:
    pattern = r"\W+".join(re.escape(word) for word in _WORD.findall(_folded(words)))
    if not pattern:
        return [found.span() for found in re.finditer(re.escape(words), text)]
    exact = [found.span() for found in re.finditer(rf"\b{pattern}\b", _folded(text))]
    if exact or len(_WORD.findall(words)) > 1:
        return exact
    return [found.span() for found in _WORD.finditer(text) if _same_stem(_folded(found[0]), _folded(words))]


def _same_stem(one: str, other: str) -> bool:
    shorter = min(len(one), len(other))
    stem = max(_SHORT, shorter - 2)
    return shorter >= _SHORT and one[:stem] == other[:stem]


def _folded(text: str) -> str:
    # Per character, to keep the positions: the lower case of some characters has two characters.
    return "".join(low if len(low := fold_case(one)) == 1 else one for one in text)
