"""Mean word vectors of texts; the vectors were trained on Russian news.

The vectors (navec, MIT licence) are a file of the package natasha, which itself is never imported.
"""

from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
from navec.pq import PQ
from navec.tar import Tar
from navec.vocab import Vocab

from services.appeals.classification.model.sparse_rows import SparseRows
from services.appeals.classification.text.lemmatizer import lemmatize, words_kept_as_written
from services.appeals.classification.text.tokenizer import CleanText

EMBEDDING_SIZE = 300
EMBEDDINGS_NAME = "navec_news_v1_1B_250K_300d_100q"

_REMEMBERED = 30_000
_SHORTEST = 3
# Stop words, which are left out like words shorter than three letters.
_EMPTY = frozenset(
    (
        "что", "как", "она", "так", "его", "все", "это", "вот", "уже", "для", "при", "мне", "меня",
        "нам", "нас", "вам", "вас", "они", "был", "быть", "есть", "еще", "тот", "кто", "где", "или",
        "если", "только", "даже", "очень", "когда", "после", "чтобы", "этот", "свой", "который",
        "мой", "наш", "ваш", "весь", "сам",
    )
)  # fmt: skip

Embedding = npt.NDArray[np.float32]


class _Codes(PQ):  # type: ignore[misc]  # navec ships no types
    """Word vectors without navec's tables for comparing words, which take most of the loading time."""

    def precompute(self) -> None:
        self.qdims = np.arange(self.qdim)


@lru_cache(maxsize=1)
def _vectors() -> tuple[dict[str, int], _Codes]:
    """Return the indexes of the words and their vectors, 60 MB in memory."""
    spec = find_spec("natasha")
    if spec is None or spec.origin is None:
        raise RuntimeError("install the package natasha: it contains the word vectors")
    with Tar(Path(spec.origin).parent / "data" / "emb" / f"{EMBEDDINGS_NAME}.tar") as tar:
        words = Vocab.from_file(tar.load("vocab.bin")).words
        codes = _Codes.from_file(tar.load("pq.bin"))
    return {word: at for at, word in enumerate(words)}, codes


@lru_cache(maxsize=_REMEMBERED)
def _vector(word: str) -> Embedding | None:
    if len(word) < _SHORTEST or not word[0].isalpha() or word in _EMPTY:
        return None
    places, codes = _vectors()
    form = lemmatize(word)
    if form in _EMPTY:
        return None
    at = places.get(word, places.get(form))
    return None if at is None else np.asarray(codes[at], dtype=np.float32)


def mean_vectors(texts: Sequence[str | CleanText]) -> SparseRows:
    """Return one row of length 1 per text, or zeros if no word of the text is known."""
    found = np.zeros((len(texts), EMBEDDING_SIZE), dtype=np.float32)
    for at, text in enumerate(texts):
        words = CleanText.of(text).tokens
        bare = words_kept_as_written(words)
        vectors = [vector for word in words if word not in bare and (vector := _vector(word)) is not None]
        if vectors:
            total = np.sum(vectors, axis=0)
            found[at] = total / max(float(np.linalg.norm(total)), 1e-9)
    return SparseRows.of_dense(found)
