"""Score a name against a query word by word: misspelt words match, different numbers never do."""

from collections.abc import Sequence
from itertools import pairwise

from rapidfuzz.distance import OSA

from services.registry.organisations.name_normalization import is_generic_word

# The weight of words that hundreds of names share («школа», «район»), and their weight if there are no others.
GENERIC_WORD_WEIGHT, GENERIC_ONLY_WEIGHT = 0.35, 1.0
# Below this similarity, two words count as different, not as misspelt.
MIN_WORD_SIMILARITY = 0.5
# Coverage of the query weighs most; coverage of the name makes the shorter of two matches rank first.
QUERY_COVERAGE_WEIGHT, NAME_COVERAGE_WEIGHT = 0.8, 0.2


class QueryMatcher:
    """The words of one query, with a cache of the comparisons made so far."""

    def __init__(self, normalized_query: str) -> None:
        self._words = normalized_query.split()
        self._joined = [left + right for left, right in pairwise(self._words)]
        self._weights = _weights(self._words)
        self._known: dict[str, tuple[list[float], list[float]]] = {}

    def score(self, normalized_name: str) -> float:
        """Return a score from 0 to 1; 1 means the same words, in any order."""
        words = normalized_name.split()
        if not words or not self._words:
            return 0.0
        query_scores = [0.0] * len(self._words)
        name_scores = [0.0] * len(words)
        for index, word in enumerate(words):
            for at, similarity in enumerate(self._compared(word)[0]):
                query_scores[at] = max(query_scores[at], similarity)
                name_scores[index] = max(name_scores[index], similarity)
        self._in_two_words(words, query_scores, name_scores)
        asked = _mean(query_scores, self._weights)
        named = _mean(name_scores, _weights(words))
        return QUERY_COVERAGE_WEIGHT * asked + NAME_COVERAGE_WEIGHT * named

    def _in_two_words(self, words: Sequence[str], query_scores: list[float], name_scores: list[float]) -> None:
        """Match a word with two adjacent words, in either direction: «верх енхор» equals «верхенхор»."""
        for index, word in enumerate(words):
            for at, similarity in enumerate(self._compared(word)[1]):
                if similarity > max(query_scores[at], query_scores[at + 1]):
                    query_scores[at] = query_scores[at + 1] = similarity
                    name_scores[index] = max(name_scores[index], similarity)
        for index, (left, right) in enumerate(pairwise(words)):
            for at, similarity in enumerate(self._compared(left + right)[0]):
                if similarity > query_scores[at]:
                    query_scores[at] = similarity
                    name_scores[index] = max(name_scores[index], similarity)
                    name_scores[index + 1] = max(name_scores[index + 1], similarity)

    def _compared(self, word: str) -> tuple[list[float], list[float]]:
        if (known := self._known.get(word)) is None:
            known = self._known[word] = (
                [_word_similarity(query_word, word) for query_word in self._words],
                [_word_similarity(query_word, word) for query_word in self._joined],
            )
        return known


def _word_similarity(query_word: str, word: str) -> float:
    if query_word == word:
        return 1.0
    if query_word[0].isdigit() or word[0].isdigit():
        return 0.0
    return OSA.normalized_similarity(query_word, word, score_cutoff=MIN_WORD_SIMILARITY)


def _weights(words: Sequence[str]) -> list[float]:
    common = [is_generic_word(word) for word in words]
    weight = GENERIC_ONLY_WEIGHT if all(common) else GENERIC_WORD_WEIGHT
    return [weight if usual else 1.0 for usual in common]


def _mean(values: Sequence[float], weights: Sequence[float]) -> float:
    return sum(value * weight for value, weight in zip(values, weights, strict=True)) / sum(weights)
