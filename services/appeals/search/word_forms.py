"""Alternatives of a word in a search: its other forms, and the location name that it misspells.

The stemmer of Postgres cuts endings, and so misses forms whose stem changes («остановка», «остановок»; «рынок»,
«рынка»). The dictionary of pymorphy3 knows all forms; one form per stem is enough.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from rapidfuzz import process
from rapidfuzz.distance import OSA
from snowballstemmer import stemmer

from services.appeals.classification.locations.gazetteer import gazetteer
from services.appeals.classification.text.lemmatizer import analyzer, is_dictionary_word
from shared.text.normalize import fold_case

# Maximum numbers of words that get alternatives, and of alternatives per word; further words are searched as
# written.
MAX_WORDS, MAX_FORMS = 12, 12
_WORD = re.compile(r"(?<!\w)[а-я]{3,30}(?!\w)")
_REMEMBERED = 10_000
# Minimum probability of a reading: a rarer one, such as «стали» from «сталь», would find unrelated words.
_MIN_SCORE = 0.2
# Minimum length of a searched word that is corrected to a location name by one edit, and by two edits.
_MIN_LENGTH, _LONG = 5, 9


def alternatives(q: str) -> dict[str, tuple[str, ...]]:
    """Return the words of a search that have alternatives, with these alternatives, in lower case. An alternative
    is a word, or several words joined by `<->` for `to_tsquery`.
    """
    words = list(dict.fromkeys(_WORD.findall(fold_case(q))))[:MAX_WORDS]
    found: dict[str, tuple[str, ...]] = {}
    # Forms of one word are alternatives of each other: replacing each in turn would double the query every time.
    inserted: set[str] = set()
    for word in words:
        others = _others(word)
        stems = {_stem(one) for one in (word, *others)}
        if others and not inserted & stems:
            found[word] = others
            inserted |= stems
    return found


def load() -> None:
    """Load the dictionary and the names in advance, so that the first search does not wait about a second."""
    _others("остановок")
    _forms_of_names()


@lru_cache(maxsize=_REMEMBERED)
def _others(word: str) -> tuple[str, ...]:
    known = is_dictionary_word(word)
    forms = _dictionary_forms(word) if known else []
    for name in [word] if word in _forms_of_names() else [] if known else _similar_names(word):
        forms += (name, *_forms_of_names()[name])
    if word.endswith("е") and f"{word[:-1]}э" in _forms_of_names():
        forms.append(f"{word[:-1]}э")
    # Keep the first form of each stem.
    by_stem = {_stem(form): form for form in reversed(list(dict.fromkeys(forms)))}
    by_stem.pop(_stem(word), None)
    return tuple(sorted(by_stem.values()))[:MAX_FORMS]


def _dictionary_forms(word: str) -> list[str]:
    return [
        fold_case(form.word)
        for parse in analyzer().parse(word)
        if parse.score >= _MIN_SCORE
        for form in parse.lexeme
    ]


def _similar_names(word: str) -> list[str]:
    """Return the words of location names that are spelt most like the word."""
    if len(word) < _MIN_LENGTH:
        return []
    edits = 1 if len(word) < _LONG else 2
    found = process.extract(
        word, _forms_of_names().keys(), scorer=OSA.distance, score_cutoff=edits, limit=MAX_FORMS
    )
    return [name for name, distance, _ in found if distance == found[0][1]]


@lru_cache(maxsize=1)
def _forms_of_names() -> Mapping[str, Sequence[str]]:
    """Return the words of all location names, each with its other case forms. A name that people write as one word
    or as two has the two words in order as a further form.
    """
    names = gazetteer().names
    cases: dict[tuple[str, int, int], set[str]] = {}
    for words, entries in names.items():
        for entry, _ in entries:
            for index, word in enumerate(words):
                cases.setdefault((entry.name, len(words), index), set()).add(word)
    forms: dict[str, set[str]] = {}
    for same in cases.values():
        for word in same:
            endings = 3 if len(word) >= _MIN_LENGTH else 1
            # A location may have several names: keep only spellings close to this one, its case forms.
            alike = [form for form in same if OSA.distance(word, form, score_cutoff=endings) <= endings]
            forms.setdefault(word, set()).update(alike)
    for words in names:
        if len(words) > 1 and (joined := "".join(words)) in forms:
            forms[joined].add(" <-> ".join(words))
    return {word: sorted(same - {word}) for word, same in forms.items()}


@lru_cache(maxsize=1)
def _stemmer() -> stemmer:
    return stemmer("russian")


def _stem(word: str) -> str:
    return str(_stemmer().stemWord(word))
