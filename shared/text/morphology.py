"""Morphological analysis of Russian words: one analyser for the whole process."""

from functools import lru_cache

from pymorphy3 import MorphAnalyzer

_CACHE_SIZE = 4_096


class _CachingAnalyzer(MorphAnalyzer):  # type: ignore[misc]  # pymorphy3 ships no types
    """An analyser that caches the parses of words.

    The analyser parses a word with many prefixes («недонедонедо…») by parsing the rest for every way to split it.
    The number of ways doubles with each prefix: 14 seconds for 64 letters. With the cache every rest is parsed
    once.
    """

    def __init__(self) -> None:
        super().__init__(lang="ru")
        self.parse = lru_cache(maxsize=_CACHE_SIZE)(super().parse)


@lru_cache(maxsize=1)
def analyzer() -> MorphAnalyzer:
    """Return the analyser, which is loaded at the first use: 15 MB, half a second."""
    return _CachingAnalyzer()
