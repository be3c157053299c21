"""A text as words with the gaps between them, abbreviations expanded, and grammatical queries about the words."""

import re
from collections.abc import Callable
from functools import lru_cache

from services.appeals.classification.text.lemmatizer import analyzer, is_dictionary_word
from services.appeals.classification.text.text_limits import MAX_WORD_LENGTH
from services.appeals.classification.text.tokenizer import CleanText

_REMEMBERED = 100_000
_TOKEN = re.compile(r"\d+[а-я]?(?![^\W_])|\d+|[^\W\d_]+")
_SHORT = re.compile(
    r"\bр(?:[-./]| - )?о?н(а|е|у|ом)?\b"
    r"|\b(?:мкр-?н?|м-он|м-н|м/р-?н?|мик-?н|мрн)(?:е|а|у)?\b"
    r"|\bкв-?л(е|а|у|ах)?\b"
    r"|\b(?:пр-к?т|пр-к?те|просп)\b"
    r"|\bб-ре?\b"
    r"|\bж[/.]\s?д\b"
)
_BREAK = re.compile(r"[!?;\n…()]|\.\s*\.")
_ABBREVIATIONS = frozenset(
    (
        *(
            "ул",
            "пр",
            "просп",
            "пер",
            "пл",
            "бул",
            "кв",
            "корп",
            "стр",
            "пос",
            "пгт",
            "рп",
            "дер",
            "ст",
            "гор",
            "мкр",
        ),
        *("им", "обл", "респ", "см", "тел", "св", "др", "пр", "ниж", "верх", "ср", "усть", "сел", "район", "тов"),
    )
)


def _spelled(match: re.Match[str]) -> str:
    found = match[0]
    if found[0] == "р":
        return "район" + (match[1] or "")
    if found[0] == "м":
        return "мкр"
    if found[0] == "к":
        return "квартал" + (match[2] or "")
    return {"п": "проспект", "б": "бульвар", "ж": "жд"}[found[0]]


class TokenizedText:
    """The folded words of a text. `gaps[i]` is the text before word i; words of one sentence share `sentences[i]`.

    Queries about a sentence or the whole text are cached.
    """

    __slots__ = ("_begins", "_has", "_last", "gaps", "sentences", "words")

    def __init__(self, text: str | CleanText) -> None:
        read = _SHORT.sub(_spelled, CleanText.of(text).cleaned)
        self.words: list[str] = []
        self.gaps: list[str] = []
        self.sentences: list[int] = []
        # Index of the first word of each sentence.
        self._begins = [0]
        self._has: dict[tuple[int, tuple[str, ...]], bool] = {}
        self._last: dict[Callable[[list[str], int], bool], int] = {}
        end, sentence = 0, 0
        for match in _TOKEN.finditer(read):
            gap = read[end : match.start()]
            if gap != " " and self.words and self._breaks(gap):
                sentence += 1
                self._begins.append(len(self.words))
            self.words.append(match[0][:MAX_WORD_LENGTH])
            self.gaps.append(gap)
            self.sentences.append(sentence)
            end = match.end()

    def _breaks(self, gap: str) -> bool:
        if _BREAK.search(gap):
            return True
        word = self.words[-1]
        return gap[:1] == "." and len(word) > 1 and word not in _ABBREVIATIONS and not word[0].isdigit()

    def quote(self, start: int, end: int) -> str:
        """Return the words from `start` up to, not including, `end`, as written in the text."""
        words = [self.words[start]]
        for at in range(start + 1, end):
            words += [self.gaps[at], self.words[at]]
        return "".join(words)

    def sentence_has(self, at: int, stems: tuple[str, ...]) -> bool:
        """Return whether the sentence of word `at` has a word that matches a stem, as in `matches_stem`."""
        number = self.sentences[at]
        found = self._has.get((number, stems))
        if found is None:
            after = self._begins[number + 1] if number + 1 < len(self._begins) else len(self.words)
            found = any(matches_stem(word, stems) for word in self.words[self._begins[number] : after])
            self._has[number, stems] = found
        return found

    def last_index_where(self, fits: Callable[[list[str], int], bool]) -> int:
        """Return the last index where `fits(words, at)` is true; -1 if there is none."""
        found = self._last.get(fits)
        if found is None:
            found = next((at for at in range(len(self.words) - 1, -1, -1) if fits(self.words, at)), -1)
            self._last[fits] = found
        return found

    def clause(self, start: int, end: int, *, back: bool = False) -> list[str]:
        """Return the words from `start` up to, not including, `end`, within one clause. The clause ends at a comma
        or the end of the sentence; with `back` it begins after the last comma.
        """
        if back:
            at = end
            while at > start and (at == end or "," not in self.gaps[at]):
                at -= 1
            return self.words[at:end]
        at = start
        while at < min(end, len(self.words)) and self._goes_on(at):
            at += 1
        return self.words[start:at]

    def _goes_on(self, at: int) -> bool:
        return "," not in self.gaps[at] and at > 0 and self.sentences[at] == self.sentences[at - 1]

    def sentence_start(self, at: int) -> int:
        """Return the index of the first word of the sentence that contains word `at`."""
        return self._begins[self.sentences[at]]


def matches_stem(word: str, stems: tuple[str, ...]) -> bool:
    """Return whether the word begins with one of the stems; `$` at a stem's end requires the whole word."""
    return any(word == stem[:-1] if stem[-1] == "$" else word.startswith(stem) for stem in stems)


@lru_cache(maxsize=_REMEMBERED)
def agrees_with_case(word: str, case: str, *, feminine: bool) -> bool:
    """Return whether the word can be a noun in this case, or an adjective of such a noun, so that it may belong to
    the adjective before it.
    """
    if not is_dictionary_word(word):
        return False
    for parse in analyzer().parse(word)[:4]:
        tag = parse.tag
        if tag.POS in ("NOUN", "ADJF", "PRTF") and tag.case in _CASES[case] and tag.number != "plur":
            if "Fixd" in tag or "Abbr" in tag:
                continue
            if (tag.gender == "femn") == feminine:
                return True
    return False


_CASES = {
    "n": ("nomn",),
    "g": ("gent", "gen2"),
    "d": ("datv",),
    "a": ("accs", "nomn"),
    "i": ("ablt",),
    "l": ("loct", "loc2"),
}


def _first_tag(word: str) -> frozenset[str]:
    grammemes: frozenset[str] = analyzer().parse(word)[0].tag.grammemes
    return grammemes


@lru_cache(maxsize=_REMEMBERED)
def is_infinitive(word: str) -> bool:
    """Return whether the word is an infinitive."""
    return "INFN" in _first_tag(word)


@lru_cache(maxsize=_REMEMBERED)
def is_common_noun(word: str) -> bool:
    """Return whether the word is most likely a common noun: not a surname, first name or location name."""
    if not is_dictionary_word(word):
        return False
    tag = _first_tag(word)
    return "NOUN" in tag and not any(mark in tag for mark in ("Surn", "Name", "Geox", "Patr"))


@lru_cache(maxsize=_REMEMBERED)
def is_genitive(word: str) -> bool:
    """Return whether the word can be a noun in the genitive, as in street names: «(улица) Молодости»."""
    return any(parse.tag.grammemes >= {"NOUN", "gent"} for parse in analyzer().parse(word))
