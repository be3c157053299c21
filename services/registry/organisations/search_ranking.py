"""How well a name fits what was asked for: word by word, forgiving letters, never numbers."""

from collections.abc import Sequence
from itertools import pairwise

from rapidfuzz.distance import OSA

from services.registry.organisations.name_normalization import is_common

# A word that hundreds of names have («школа», «район») tells less than the others.
COMMON_WEIGHT, COMMON_LONE_WEIGHT = 0.35, 1.0
# Below this two words are different words, not one misspelt.
SAME_WORD = 0.5
# What is asked for must be in the name; what else is in the name counts too, so that the plainer one comes first.
ASKED, NAMED = 0.8, 0.2


class Asked:
    """The words of one question, with what they have been compared with so far."""

    def __init__(self, folded: str) -> None:
        self._words = folded.split()
        self._joined = [left + right for left, right in pairwise(self._words)]
        self._weights = _weights(self._words)
        self._known: dict[str, tuple[list[float], list[float]]] = {}

    def score(self, folded_name: str) -> float:
        """From 0 to 1: all words in both, whatever their order, give 1."""
        words = folded_name.split()
        if not words or not self._words:
            return 0.0
        found = [0.0] * len(self._words)
        covered = [0.0] * len(words)
        for place, word in enumerate(words):
            for at, likeness in enumerate(self._compared(word)[0]):
                found[at] = max(found[at], likeness)
                covered[place] = max(covered[place], likeness)
        self._in_two_words(words, found, covered)
        asked = _mean(found, self._weights)
        named = _mean(covered, _weights(words))
        return ASKED * asked + NAMED * named

    def _in_two_words(self, words: Sequence[str], found: list[float], covered: list[float]) -> None:
        """«верх енхор» and «верхенхор» are the same, whichever of the two was asked for."""
        for place, word in enumerate(words):
            for at, likeness in enumerate(self._compared(word)[1]):
                if likeness > max(found[at], found[at + 1]):
                    found[at] = found[at + 1] = likeness
                    covered[place] = max(covered[place], likeness)
        for place, (left, right) in enumerate(pairwise(words)):
            for at, likeness in enumerate(self._compared(left + right)[0]):
                if likeness > found[at]:
                    found[at] = likeness
                    covered[place] = max(covered[place], likeness)
                    covered[place + 1] = max(covered[place + 1], likeness)

    def _compared(self, word: str) -> tuple[list[float], list[float]]:
        if (known := self._known.get(word)) is None:
            known = self._known[word] = (
                [_likeness(asked, word) for asked in self._words],
                [_likeness(asked, word) for asked in self._joined],
            )
        return known


def _likeness(asked: str, word: str) -> float:
    if asked == word:
        return 1.0
    if asked[0].isdigit() or word[0].isdigit():
        return 0.0
    return OSA.normalized_similarity(asked, word, score_cutoff=SAME_WORD)


def _weights(words: Sequence[str]) -> list[float]:
    common = [is_common(word) for word in words]
    weight = COMMON_LONE_WEIGHT if all(common) else COMMON_WEIGHT
    return [weight if usual else 1.0 for usual in common]


def _mean(values: Sequence[float], weights: Sequence[float]) -> float:
    return sum(value * weight for value, weight in zip(values, weights, strict=True)) / sum(weights)
