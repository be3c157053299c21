"""Lemmas of Russian words, remembered: the same words return in every message."""

from functools import lru_cache

from shared.morphology import analyzer

__all__ = ["analyzer", "lemma"]

_REMEMBERED = 200_000
# No word is longer; to take apart what is would take seconds.
_LONGEST = 50


@lru_cache(maxsize=_REMEMBERED)
def lemma(word: str) -> str:
    """The dictionary form of a folded word, `е` for `ё`; one that is no word of letters, or too long, stays."""
    if not word[0].isalpha() or len(word) > _LONGEST:
        return word
    try:
        form: str = analyzer().parse(word)[0].normal_form
    except ValueError:
        # The analyser asks for the name of each letter, and Unicode has letters without one.
        return word
    return form.replace("ё", "е")
