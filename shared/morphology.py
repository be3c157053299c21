"""Forms of Russian words: one analyser for the whole process."""

from functools import lru_cache

from pymorphy3 import MorphAnalyzer


@lru_cache(maxsize=1)
def analyzer() -> MorphAnalyzer:
    """The analyser, loaded at the first use: 15 MB, half a second."""
    return MorphAnalyzer(lang="ru")
