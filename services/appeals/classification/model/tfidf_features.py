"""TF-IDF features of a text: lemmas alone and in pairs, and character n-grams.

Character n-grams are robust against typos and swallowed endings.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer

from services.appeals.classification.text.lemmatizer import lemmatize, words_kept_as_written
from services.appeals.classification.text.tokenizer import CleanText

# A sparse matrix of scipy, which has no type stubs.
Matrix = Any

_PIECES = (2, 3, 4, 5)
_SIGNS = frozenset("?!)")
_REMEMBERED = 200_000
_LONGEST = 50


@lru_cache(maxsize=_REMEMBERED)
def _pieces(word: str) -> tuple[str, ...]:
    edged = f" {word[:_LONGEST]} "
    return tuple(edged[at : at + size] for size in _PIECES for at in range(len(edged) - size + 1))


def lemma_ngrams(text: str | CleanText) -> list[str]:
    """Return the lemmas of a text's words and each pair of neighbours, joined by `_`."""
    words = CleanText.of(text).tokens
    bare = words_kept_as_written(words)
    found = [word if word in bare else lemmatize(word) for word in words]
    return found + [f"{left}_{right}" for left, right in pairwise(found)]


def char_ngrams(text: str | CleanText) -> list[str]:
    """Return n-grams of 2 to 5 characters of each word, with spaces at its edges, and punctuation that expresses
    emotion.
    """
    source = CleanText.of(text)
    found = [piece for word in source.tokens for piece in _pieces(word)]
    return found + [sign for sign in source.cleaned if sign in _SIGNS]


class TfidfFeatures:
    """Converts texts to rows of weights. Trained by `fit`; `state` returns its words and weights to save."""

    def __init__(self, least: int = 2) -> None:
        """`least`: the minimum number of texts with a word."""
        self._parts = [
            TfidfVectorizer(analyzer=lemma_ngrams, sublinear_tf=True, min_df=least, dtype=np.float32),
            TfidfVectorizer(analyzer=char_ngrams, sublinear_tf=True, min_df=least, dtype=np.float32),
        ]

    def fit(self, texts: Sequence[str]) -> "TfidfFeatures":
        """Fit words and weights. Raises `ValueError` when no word occurs in `least` texts."""
        for part in self._parts:
            part.fit(texts)
        return self

    def rows(self, texts: Sequence[str | CleanText]) -> Matrix:
        """Return one row per text."""
        read = [CleanText.of(text) for text in texts]
        return sparse.hstack([part.transform(read) for part in self._parts], format="csr", dtype=np.float32)

    @property
    def names(self) -> list[str]:
        """Return the name of each column; character n-grams begin with `#`."""
        words, parts = self._parts
        return [*words.get_feature_names_out(), *("#" + name for name in parts.get_feature_names_out())]

    def state(self) -> dict[str, Any]:
        """Return vocabulary and weights, as arrays without Python objects."""
        kept: dict[str, Any] = {}
        for name, part in zip(("lemmas", "pieces"), self._parts, strict=True):
            kept[f"{name}_words"] = np.array("\n".join(part.get_feature_names_out()))
            kept[f"{name}_idf"] = part.idf_.astype(np.float32)
        return kept

    @staticmethod
    def of(state: Any) -> "TfidfFeatures":
        """Return the inverse of `state`."""
        made = TfidfFeatures()
        for name, part in zip(("lemmas", "pieces"), made._parts, strict=True):
            words = str(state[f"{name}_words"]).split("\n")
            part.set_params(vocabulary={word: at for at, word in enumerate(words)})
            part.idf_ = state[f"{name}_idf"]
        return made
