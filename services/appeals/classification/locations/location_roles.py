"""The role of a named location: location of the problem, residence, end of a trip, or comparison."""

from enum import IntEnum

from services.appeals.classification.locations.declension import CASES
from services.appeals.classification.locations.location_lexicon import (
    ASKED_TO_COME,
    AT_THE_EDGE,
    BETTER_OR_WORSE,
    COMPARED_BEFORE,
    COMPARED_JUST_BEFORE,
    FILLERS,
    GOING_BURYAT,
    LIKE_AFTER,
    NEARBY,
    OURS,
    PEOPLE_FROM,
    PREPOSITIONS,
    PREPOSITIONS_FROM,
    PREPOSITIONS_IN,
    PREPOSITIONS_TO,
    REGISTRATION_VERBS,
    RELATIVES,
    REMOVAL_VERBS,
    REPAIR_VERBS,
    RESIDENCE_VERBS,
    RESIDENT_WORDS,
    ROAD,
    SETTLEMENT_MARKS,
    TOWARDS_FILLERS,
    TRAVEL_WORDS,
)
from services.appeals.classification.locations.tokenized_text import TokenizedText, is_infinitive, matches_stem

_OF_HERE = [[word] for word in ("здесь", "тут", *OURS)]
_LOOKS_BACK = 5
_LOOKS_AHEAD = 3
_THERE_AHEAD = 8
_FILLERS_AT_MOST = 3
_ROAD_OR_MENDED = ROAD + REPAIR_VERBS


class LocationRole(IntEnum):
    """The role of a location; the higher, the more likely it is the location of the problem."""

    COMPARED = 0
    AWAY = 1
    HOME = 2
    TOWARDS = 3
    AT = 4


def preposition_before(text: TokenizedText, first: int) -> int:
    """Return the index of the preposition of the phrase that begins at word `first`; -1 without one."""
    at, begin = first - 1, text.sentence_start(first)
    for _ in range(_FILLERS_AT_MOST):
        if at < begin or "," in text.gaps[at + 1]:
            return -1
        if text.words[at] in PREPOSITIONS:
            return at
        if text.words[at] not in FILLERS and text.words[at] not in SETTLEMENT_MARKS:
            return -1
        at -= 1
    return -1


def location_role(  # noqa: PLR0911 — one return per preposition
    text: TokenizedText, preposition_at: int, first: int, end: int, cases: str
) -> LocationRole:
    """Return the role of the location named by words `first` to `end` (exclusive) in the given cases."""
    words, begin = text.words, text.sentence_start(first)
    anchor = preposition_at if preposition_at >= 0 else first
    preposition = words[preposition_at] if preposition_at >= 0 else ""
    before = words[max(begin, anchor - _LOOKS_BACK) : anchor]
    if OURS.isdisjoint(words[anchor:first]) and _compared(text, anchor, begin, end):
        return LocationRole.COMPARED
    if any(word.startswith(AT_THE_EDGE) for word in before[-2:]):
        return LocationRole.AT
    if preposition in PREPOSITIONS_FROM and not (before and before[-1] in NEARBY):
        return _coming_from(before)
    if preposition in PREPOSITIONS_TO:
        return _going_up_to(text, first)
    if preposition in PREPOSITIONS_IN:
        aside = not TOWARDS_FILLERS.isdisjoint(words[anchor:first])
        after = text.clause(end, end + _THERE_AHEAD)
        there = "там" in words[end : end + _THERE_AHEAD]
        if _any(before[-3:], REGISTRATION_VERBS) and not there:
            return LocationRole.AWAY
        if _any(before[-3:], RESIDENCE_VERBS):
            return LocationRole.AT if there else LocationRole.HOME
        if _any(before[-1:], RELATIVES) and not there:
            return LocationRole.AWAY
        return _being_in(text.clause(anchor - len(before), anchor, back=True), after, set(cases), aside=aside)
    if not preposition and (set(cases) == {"a"} or _left_in_buryat(words, end)):
        return LocationRole.AWAY
    return LocationRole.AT


def _any(words: list[str], stems: tuple[str, ...]) -> bool:
    return any(matches_stem(word, stems) for word in words)


def _coming_from(before: list[str]) -> LocationRole:
    if _any(before, REMOVAL_VERBS):
        return LocationRole.AT
    home = before and (
        before[-1] in RESIDENT_WORDS or before[-1].startswith(PEOPLE_FROM) or "родом" in before[-3:]
    )
    return LocationRole.HOME if home else LocationRole.AWAY


def _going_up_to(text: TokenizedText, at: int) -> LocationRole:
    """Return the role after «до»: the end of a road to repair («до Курумкана когда доделаете»), or of a trip by
    bus.
    """
    mended = text.sentence_has(at, _ROAD_OR_MENDED) and not text.sentence_has(at, TRAVEL_WORDS)
    return LocationRole.HOME if mended else LocationRole.AWAY


def _being_in(before: list[str], after: list[str], cases: set[str], *, aside: bool) -> LocationRole:
    """Return the role after «в» or «на», from the words of the clause. `aside`: the phrase is «в сторону X»."""
    towards = aside or ("a" in cases and "l" not in cases)
    if towards and _any(before, ASKED_TO_COME):
        return LocationRole.TOWARDS
    if (towards or len(cases) == len(CASES)) and _any(before, TRAVEL_WORDS):
        return LocationRole.TOWARDS if _any(before, ASKED_TO_COME) else LocationRole.AWAY
    if not towards:
        return LocationRole.AT
    if _any(after[:_LOOKS_AHEAD], TRAVEL_WORDS):
        return LocationRole.HOME
    return LocationRole.HOME if _any(before[-2:], ROAD) else LocationRole.TOWARDS


def _left_in_buryat(words: list[str], end: int) -> bool:
    return words[end - 1] == "үдэ" and _any(words[end : end + 2], GOING_BURYAT)


def _compared(text: TokenizedText, anchor: int, begin: int, end: int) -> bool:
    words = text.words
    before = words[max(begin, anchor - 4) : anchor]
    ends = end >= len(words) or text.sentences[end] != text.sentences[anchor]
    after = "" if ends else words[end]
    pointed = (
        after == "вон"
        or before[-3:] == ["не", "то", "что"]
        or any(word in COMPARED_JUST_BEFORE for word in before[-1:])
        or any(word.startswith(COMPARED_BEFORE) for word in before[-2:])
        or _better_or_worse(text, end, after)
    )
    if pointed or _like(text, before, after, end):
        return True
    if before[-2:] == ["у", "нас"]:
        return False
    return text.last_index_where(_and_here) >= end


def _and_here(words: list[str], at: int) -> bool:
    """Return whether «а у нас» or «а здесь» begins at this word."""
    return words[at] == "а" and (words[at + 1 : at + 3] == ["у", "нас"] or words[at + 1 : at + 2] in _OF_HERE)


def _better_or_worse(text: TokenizedText, end: int, after: str) -> bool:
    """Return whether «лучше» or «хуже» compares: «в X лучше», but not «нам в X лучше бы фельдшера»."""
    at = end + (after in ("еще", "намного", "гораздо"))
    if after and text.words[at : at + 1] not in BETTER_OR_WORSE:
        return False
    rest = text.clause(at + 1, at + 2)
    return bool(after) and (not rest or rest[0] in ("чем", "с", "и", "там"))


def _like(text: TokenizedText, before: list[str], after: str, end: int) -> bool:
    """Return whether «как» compares: «сделайте, как в X», «не так, как в X», but not «как в X получить …»."""
    if before[-1:] != ["как"]:
        return False
    if not after or text.gaps[end][:1] == ",":
        return True
    return len(before) > 1 and before[-2] in LIKE_AFTER and not is_infinitive(after)
