"""Tokenizer, and an index of stems: it compares beginnings of words, without a dictionary.

A stem matches a word that begins with it; `$` at its end requires the whole word; several stems in a row match
neighbouring words. Case, `ё` and decoration (links, mentions, emoji) do not matter.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from services.appeals.classification.text.text_limits import MAX_TEXT_LENGTH, MAX_WORD_LENGTH
from shared.text.normalize import fold_text

_VK_MENTION = re.compile(r"\[(?:id|club|public)\d++(?::[^|\[\]]*+)?\|[^\[\]]*+\]", re.IGNORECASE)
_MENTION = re.compile(r"(?<!\w)[@#]\w+")
_LINK = re.compile(
    r"(?:https?://|www\.)\S+|(?<![\w-])[\w-]++\.(?:ru|рф|com|net|org|me|cc|su|link)(?:/\S*)?\b", re.IGNORECASE
)
# Includes NUL: quotes of a text are stored, and the database refuses NUL.
_UNSEEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_WORD = re.compile(rf"([^\W_]{{1,{MAX_WORD_LENGTH}}}+)[^\W_]*+")
_SENTENCE = re.compile(r"[.!?…\n]+")
_SHORTEST_ALONE = 2
_REMEMBERED = 50_000
_POSTS_REMEMBERED = 64


def has_link(text: str) -> bool:
    """Return whether the text contains a link."""
    return _LINK.search(text) is not None


def clean_text(text: str) -> str:
    """Return the folded text without links, mentions of people and pages, hashtags, and invisible characters.

    A text longer than `text_limits.MAX_TEXT_LENGTH` is truncated.
    """
    # Folding may turn one letter into several.
    return fold_text(
        _UNSEEN.sub(" ", _MENTION.sub(" ", _LINK.sub(" ", _VK_MENTION.sub(" ", text[:MAX_TEXT_LENGTH]))))
    )[:MAX_TEXT_LENGTH]


def tokenize(text: str) -> list[str]:
    """Return the words of a cleaned text, numbers included; overlong words are truncated."""
    return _WORD.findall(text)


@dataclass(frozen=True, slots=True, eq=False)
class CleanText:
    """A text folded and split into words once, for all its uses."""

    original: str
    cleaned: str
    tokens: list[str]

    @staticmethod
    def of(text: "str | CleanText") -> "CleanText":
        """Clean a text, unless it is already clean."""
        if isinstance(text, CleanText):
            return text
        read = clean_text(text)
        return CleanText(text, read, tokenize(read))


@lru_cache(maxsize=_POSTS_REMEMBERED)
def clean_post(post: str) -> CleanText:
    """Return a cleaned post, cached for its comments."""
    return CleanText.of(post)


def split_sentences(text: str) -> list[list[str]]:
    """Return the words of each sentence of a cleaned text, without empty sentences."""
    return [words for part in _SENTENCE.split(text) if (words := tokenize(part))]


@dataclass(frozen=True, slots=True)
class StemMatch:
    """A stem that was found: its label, the matched words, and the index of the first."""

    label: str
    words: str
    start: int
    weight: int


@dataclass(frozen=True, slots=True)
class _Entry:
    label: str
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Beginnings:
    """The stems whose first part matches a word: `all`, in order; `single`, those of one part; and `seconds`, the
    second parts of the others.
    """

    all: tuple[_Entry, ...]
    single: tuple[_Entry, ...]
    seconds: frozenset[str]


_NO_PARTS: frozenset[str] = frozenset()
_NO_BEGINNINGS = _Beginnings((), (), _NO_PARTS)


def _matches(part: str, word: str) -> bool:
    return word == part[:-1] if part.endswith("$") else word.startswith(part)


class StemIndex:
    """Stems by label, all found in one pass over a text's words, however many stems there are."""

    def __init__(self, stems: Mapping[str, Iterable[str]]) -> None:
        """`stems` maps a label to its stems. Raises `ValueError` for an empty or too short stem."""
        self._by_start: dict[str, list[_Entry]] = {}
        for label, written in stems.items():
            for stem in written:
                parts = tuple(fold_text(stem).split())
                if not parts or (len(parts) == 1 and len(parts[0]) < _SHORTEST_ALONE):
                    raise ValueError(
                        f"stem {stem!r} is too short: a single word needs at least {_SHORTEST_ALONE} characters"
                    )
                self._by_start.setdefault(parts[0].rstrip("$"), []).append(_Entry(label, parts))
        self._start_lengths = sorted({len(start) for start in self._by_start})
        entries = [entry for found in self._by_start.values() for entry in found]
        self._seconds = frozenset(entry.parts[1] for entry in entries if len(entry.parts) > 1)
        # The same words recur in every message: the stems that match a word are cached.
        self._beginning = lru_cache(maxsize=_REMEMBERED)(self._look_up)
        self._second = lru_cache(maxsize=_REMEMBERED)(self._look_up_second)

    def _look_up(self, word: str) -> _Beginnings:
        found: list[_Entry] = []
        for length in self._start_lengths:
            if length > len(word):
                break
            if entries := self._by_start.get(word[:length]):
                found += [entry for entry in entries if _matches(entry.parts[0], word)]
        if not found:
            return _NO_BEGINNINGS
        return _Beginnings(
            tuple(found),
            tuple(entry for entry in found if len(entry.parts) == 1),
            frozenset(entry.parts[1] for entry in found if len(entry.parts) > 1),
        )

    def _look_up_second(self, word: str) -> frozenset[str]:
        """Return the second parts of stems that match the word."""
        return self._seconds & {f"{word}$", *(word[:length] for length in range(1, len(word) + 1))}

    def find(self, words: list[str]) -> list[StemMatch]:
        """Return every match of a stem in the words, in order. A match of a phrase has all its words."""
        hits: list[StemMatch] = []
        for start, word in enumerate(words):
            beginnings = self._beginning(word)
            if not beginnings.all:
                continue
            # Dozens of phrases begin with «нет» or «не»: the next word excludes nearly all of them at once.
            seconds = beginnings.seconds
            following = self._second(words[start + 1]) if seconds and start + 1 < len(words) else _NO_PARTS
            for entry in beginnings.single if seconds.isdisjoint(following) else beginnings.all:
                count = len(entry.parts)
                if count == 1:
                    hits.append(StemMatch(entry.label, word, start, 1))
                    continue
                run = words[start : start + count]
                if len(run) == count and all(map(_matches, entry.parts, run)):
                    hits.append(StemMatch(entry.label, " ".join(run), start, count))
        return hits
