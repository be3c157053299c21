"""TF-IDF features of a text: lemmas, pairs of neighbouring lemmas, and character n-grams.

Character n-grams are robust against typos and swallowed endings.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from services.appeals.classification.model.sparse_rows import Places, SparseRows
from services.appeals.classification.text.lemmatizer import lemmatize, words_kept_as_written
from services.appeals.classification.text.tokenizer import CleanText

_PIECES = (2, 3, 4, 5)
_SIGNS = frozenset("?!)")
_REMEMBERED = 200_000
_LONGEST = 50


def _split_word(word: str) -> tuple[str, ...]:
    edged = f" {word[:_LONGEST]} "
    return tuple(edged[at : at + size] for size in _PIECES for at in range(len(edged) - size + 1))


# For training, which counts the n-grams of all texts. A trained model caches their columns, which take much less
# memory.
_pieces = lru_cache(maxsize=_REMEMBERED)(_split_word)


def lemma_ngrams(text: str | CleanText) -> list[str]:
    """Return the lemmas of a text's words, and each pair of neighbouring lemmas joined by `_`."""
    words = CleanText.of(text).tokens
    bare = words_kept_as_written(words)
    found = [word if word in bare else lemmatize(word) for word in words]
    return found + [f"{left}_{right}" for left, right in pairwise(found)]


def char_ngrams(text: str | CleanText) -> list[str]:
    """Return the n-grams of 2 to 5 characters of each word with a space at both ends, and punctuation that
    expresses emotion.
    """
    source = CleanText.of(text)
    return [piece for word in source.tokens for piece in _pieces(word)] + _signs(source)


def _signs(text: CleanText) -> list[str]:
    return [sign for sign in text.cleaned if sign in _SIGNS]


class _WeightedTerms:
    """Converts texts to rows of term weights, (1 + ln count) · idf, each row with length 1.

    Gives the same numbers as scikit-learn's `TfidfVectorizer(sublinear_tf=True)`, but services need not load that
    library.
    """

    def __init__(self, terms_of: Callable[[str | CleanText], list[str]]) -> None:
        self._terms_of = terms_of
        self.terms: list[str] = []
        self.idf: npt.NDArray[np.float32] = np.zeros(0, dtype=np.float32)
        self._columns: dict[str, int] = {}

    def fit(self, texts: Sequence[str], least: int) -> None:
        """Fit the terms that occur in at least `least` texts. Raises `ValueError` if there are none."""
        texts_with = Counter(term for text in texts for term in set(self._terms_of(text)))
        terms = sorted(term for term, count in texts_with.items() if count >= least)
        if not terms:
            raise ValueError(f"no word occurs in {least} texts")
        found = np.array([texts_with[term] for term in terms], dtype=np.float32)
        self.take(terms, np.log(np.float32(len(texts) + 1) / (found + 1)) + np.float32(1))

    def take(self, terms: list[str], idf: npt.NDArray[np.float32]) -> None:
        """Set terms and weights that were fitted before."""
        self.terms, self.idf = terms, idf
        self._columns = {term: at for at, term in enumerate(terms)}

    def rows(self, texts: Sequence[str | CleanText]) -> SparseRows:
        """Return one row per text."""
        if not texts:
            return SparseRows(
                self.idf[:0], np.zeros(0, dtype=np.intp), np.zeros(1, dtype=np.intp), len(self.terms)
            )
        found = [self._columns_in(text) for text in texts]
        # One number for row and column, so that the terms of all texts are counted together.
        starts = np.repeat(np.arange(len(texts)) * len(self.terms), [len(columns) for columns in found])
        cells, counts = np.unique(starts + np.concatenate(found), return_counts=True)
        rows, indices = np.divmod(cells, len(self.terms))
        ends = np.searchsorted(rows, np.arange(len(texts) + 1))
        data = (np.log(counts.astype(np.float32)) + np.float32(1)) * self.idf[indices]
        squares = data.astype(np.float64) ** 2
        lengths = np.sqrt([squares[start:end].sum() for start, end in pairwise(ends)])
        data /= lengths[rows]
        return SparseRows(data, indices, ends, len(self.terms))

    def _columns_in(self, text: str | CleanText) -> Places:
        """Return the columns of the text's terms, once for each occurrence; unknown terms have none."""
        return self._known(self._terms_of(text))

    def _known(self, terms: Iterable[str]) -> Places:
        found = [at for term in terms if (at := self._columns.get(term)) is not None]
        return np.array(found, dtype=np.int32)


class _WeightedPieces(_WeightedTerms):
    """Weighted n-grams; the columns of a word's n-grams are cached, because the same words recur in every text."""

    def __init__(self) -> None:
        super().__init__(char_ngrams)
        self._columns_of = lru_cache(maxsize=_REMEMBERED)(self._look_up)

    def take(self, terms: list[str], idf: npt.NDArray[np.float32]) -> None:
        """Set terms and weights that were fitted before."""
        super().take(terms, idf)
        self._columns_of.cache_clear()

    def _columns_in(self, text: str | CleanText) -> Places:
        source = CleanText.of(text)
        words = [self._columns_of(word) for word in source.tokens]
        return np.concatenate([*words, self._known(_signs(source))])

    def _look_up(self, word: str) -> Places:
        return self._known(_split_word(word))


class TfidfFeatures:
    """Converts texts to rows of weights. `fit` trains it; `state` returns the words and weights to save."""

    def __init__(self, least: int = 2) -> None:
        """`least` is the minimum number of texts that a word must occur in."""
        self._least = least
        self._parts = [_WeightedTerms(lemma_ngrams), _WeightedPieces()]

    def fit(self, texts: Sequence[str]) -> "TfidfFeatures":
        """Fit words and weights. Raises `ValueError` when no word occurs in `least` texts."""
        for part in self._parts:
            part.fit(texts, self._least)
        return self

    def rows(self, texts: Sequence[str | CleanText]) -> SparseRows:
        """Return one row per text."""
        read = [CleanText.of(text) for text in texts]
        return SparseRows.beside([part.rows(read) for part in self._parts])

    @property
    def lemmas(self) -> list[str]:
        """Return the names of the first columns: lemmas, and pairs of them joined by `_`."""
        return self._parts[0].terms

    @property
    def column_count(self) -> int:
        """Return the number of columns."""
        return sum(len(part.terms) for part in self._parts)

    def state(self) -> dict[str, Any]:
        """Return vocabulary and weights as arrays without Python objects."""
        kept: dict[str, Any] = {}
        for name, part in zip(("lemmas", "pieces"), self._parts, strict=True):
            kept[f"{name}_words"] = np.array("\n".join(part.terms))
            kept[f"{name}_idf"] = part.idf
        return kept

    @staticmethod
    def of(state: Any) -> "TfidfFeatures":
        """Return the features that `state` describes."""
        made = TfidfFeatures()
        for name, part in zip(("lemmas", "pieces"), made._parts, strict=True):
            part.take(str(state[f"{name}_words"]).split("\n"), state[f"{name}_idf"])
        return made
