"""The words of a reply with their positions, dictionary forms and parts of speech."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache

from services.appeals.classification.text.lemmatizer import lemmatize, words_kept_as_written
from services.appeals.classification.text.text_limits import MAX_TEXT_LENGTH, MAX_WORD_LENGTH
from services.appeals.classification.text.tokenizer import StemIndex
from shared.text.morphology import analyzer
from shared.text.normalize import fold_case

_WORD = re.compile(rf"[^\W_]{{1,{MAX_WORD_LENGTH}}}+")
_SENTENCE_END = re.compile(r"[.!?…]+(?=\s|$)|\n+")
_RUSSIAN_WORD = re.compile(r"[а-яё]+")
_LONGEST = 50
_REMEMBERED = 100_000
# Parts of speech that carry the meaning of a text.
CONTENT = frozenset({"NOUN", "VERB", "INFN", "ADJF", "PRTF", "PRTS", "GRND"})


@dataclass(frozen=True, slots=True)
class Word:
    """A word: its span in the text, its form in lower case with `е` for `ё`, and its dictionary form and
    grammemes.
    """

    start: int
    end: int
    folded: str
    lemma: str
    grammemes: frozenset[str]

    def has(self, *grammemes: str) -> bool:
        """Return whether the word has all these grammemes of pymorphy3, such as `VERB`."""
        return self.grammemes.issuperset(grammemes)


@dataclass(frozen=True)
class ReplyWords:
    """The words of a text. Only its beginning is read (`MAX_TEXT_LENGTH`): no reply is longer in practice."""

    text: str
    words: tuple[Word, ...]
    sentences: tuple[tuple[Word, ...], ...]

    @staticmethod
    def of(text: str) -> "ReplyWords":
        """Split a text into words."""
        text = text[:MAX_TEXT_LENGTH]
        found = [(match.start(), match.end(), fold_case(match[0])) for match in _WORD.finditer(text)]
        unread = words_kept_as_written([word for _, _, word in found])
        words = [Word(start, end, word, *_analysed(word, unread)) for start, end, word in found]
        return ReplyWords(text, tuple(words), _sentences(text, words))

    @property
    def lemmas(self) -> frozenset[str]:
        """Return the dictionary forms of all words."""
        return frozenset(word.lemma for word in self.words)

    def find(self, stems: StemIndex) -> list[tuple[str, tuple[int, int]]]:
        """Return label, start and end of each phrase of the index that occurs in the text."""
        return [
            (hit.label, (self.words[hit.start].start, self.words[hit.start + hit.weight - 1].end))
            for hit in stems.find([word.folded for word in self.words])
        ]


def _analysed(word: str, unread: Collection[str]) -> tuple[str, frozenset[str]]:
    return (word, frozenset()) if word in unread else _analysis(word)


@lru_cache(maxsize=_REMEMBERED)
def _analysis(word: str) -> tuple[str, frozenset[str]]:
    if len(word) > _LONGEST or not _RUSSIAN_WORD.fullmatch(word):
        return word, frozenset()
    return lemmatize(word), frozenset(map(str, analyzer().parse(word)[0].tag.grammemes))


def _sentences(text: str, words: Sequence[Word]) -> tuple[tuple[Word, ...], ...]:
    ends = [match.start() for match in _SENTENCE_END.finditer(text)] + [len(text) + 1]
    found: list[list[Word]] = [[]]
    at = 0
    for word in words:
        while word.start >= ends[at]:
            at += 1
            found.append([])
        found[-1].append(word)
    return tuple(tuple(sentence) for sentence in found if sentence)
