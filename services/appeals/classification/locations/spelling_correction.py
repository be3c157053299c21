"""Spelling correction of names: for words that are one edit away from a long name and are not in the
dictionary.
"""

from functools import lru_cache

from rapidfuzz.distance import OSA

from services.appeals.classification.locations.gazetteer import MIN_TYPO_LENGTH, gazetteer
from services.appeals.classification.locations.location_lexicon import BURYAT_ENDINGS
from services.appeals.classification.text.lemmatizer import is_dictionary_word

_REMEMBERED = 100_000
_SHORTEST_BURYAT = 4
_AIMAG = "аймаг"


@lru_cache(maxsize=_REMEMBERED)
def correct_spelling(word: str) -> str:
    """Return the correctly spelt word of a name; the word itself if it is known, short, or similar to no name."""
    if (
        len(word) < MIN_TYPO_LENGTH - 1
        or not word.isalpha()
        or word in gazetteer().vocabulary
        or is_dictionary_word(word)
    ):
        return word
    if word.startswith(_AIMAG):
        return _AIMAG
    alike = gazetteer().long_words
    meant = [
        name
        for length in (len(word), len(word) + 1, len(word) - 1)
        for name in alike.get((word[0], length), ())
        if OSA.distance(word, name, score_cutoff=1) == 1
    ]
    return (
        meant[0]
        if meant and all(name[:5] == meant[0][:5] or name[-5:] == meant[0][-5:] for name in meant)
        else word
    )


@lru_cache(maxsize=_REMEMBERED)
def strip_buryat_ending(word: str) -> str:
    """Return the name without its Buryat case ending («хяагтада» → «хяагта»), else the result of
    `correct_spelling`.
    """
    names = gazetteer()
    if word not in names.vocabulary:
        for ending in BURYAT_ENDINGS:
            name = word.removesuffix(ending)
            if name != word and len(name) >= _SHORTEST_BURYAT and name in names.starts:
                return name
    return correct_spelling(word)
