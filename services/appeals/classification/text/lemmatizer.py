"""Lemmatizer of Russian words, with a cache, because the same words recur in every message."""

from collections.abc import Collection, Sequence
from functools import lru_cache
from itertools import accumulate

from shared.text.morphology import analyzer
from shared.text.normalize import fold_case

__all__ = ["analyzer", "is_dictionary_word", "lemmatize", "words_kept_as_written"]

_REMEMBERED = 200_000
# No real word is longer; analysing longer ones would take seconds.
_LONGEST = 50
# Maximum number of letters of unknown words analysed per text: guessing their forms is the slowest step.
_GUESSED_AT_MOST = 2_000


@lru_cache(maxsize=_REMEMBERED)
def is_dictionary_word(word: str) -> bool:
    """Return whether the dictionary has the word."""
    return bool(analyzer().word_is_known(word))


def words_kept_as_written(words: Sequence[str]) -> Collection[str]:
    """Return the words of a text that are not lemmatized: unknown words beyond a total of 2,000 letters of unknown
    words. No real message reaches this limit.
    """
    if sum(map(len, words)) <= _GUESSED_AT_MOST:
        return ()
    unknown = [word for word in dict.fromkeys(words) if not is_dictionary_word(word)]
    letters = accumulate(map(len, unknown))
    return frozenset(word for word, reached in zip(unknown, letters, strict=True) if reached > _GUESSED_AT_MOST)


@lru_cache(maxsize=_REMEMBERED)
def lemmatize(word: str) -> str:
    """Return the dictionary form of a folded word, with `е` for `ё`; a word with other characters, or one that is
    too long, is returned unchanged.
    """
    if not word[0].isalpha() or len(word) > _LONGEST:
        return word
    try:
        form: str = analyzer().parse(word)[0].normal_form
    except ValueError:
        # The analyser looks up the Unicode name of each letter, and some letters have none.
        return word
    return fold_case(form)
