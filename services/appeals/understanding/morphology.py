"""Lemmas of Russian words, remembered: the same words return in every message."""

from functools import lru_cache

from shared.morphology import analyzer

__all__ = ["analyzer", "lemma"]

_REMEMBERED = 200_000


@lru_cache(maxsize=_REMEMBERED)
def lemma(word: str) -> str:
    """The dictionary form of a folded word, `е` for `ё`; a word without letters stays as it is."""
    if not word[0].isalpha():
        return word
    form: str = analyzer().parse(word)[0].normal_form
    return form.replace("ё", "е")
