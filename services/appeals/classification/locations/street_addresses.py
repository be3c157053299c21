"""Streets and houses in a text: «ул.бабушкина20», «по жердева», «дом 5 на ключевской», «строителей 12 кв 3»."""

import re
from dataclasses import dataclass

from rapidfuzz.distance import OSA

from services.appeals.classification.locations.gazetteer import GazetteerEntry, gazetteer
from services.appeals.classification.locations.location_lexicon import (
    BLOCK_MARKS,
    CORNER,
    FLAT_MARKS,
    HOUSE_MARKS,
    PERSON_BEFORE,
    PREPOSITIONS_ALONG,
    PREPOSITIONS_IN,
    STREET_MARKS,
    TOWN_PART_MARKS,
    UNITS,
)
from services.appeals.classification.locations.tokenized_text import (
    TokenizedText,
    agrees_with_case,
    is_common_noun,
    is_genitive,
    matches_stem,
)
from services.appeals.classification.text.lemmatizer import is_dictionary_word

_HOUSE = re.compile(r"\d{1,3}[а-я]?")
_LETTERS = frozenset("абвгде")
_STREET_ENDS = ("ова", "ева", "ина", "ого", "его", "ская", "ской", "скую", "цкая", "цкой", "овой", "евой", "иной")
_CLOSE = (" ", ", ", "", ". ", ",", ".", " - ", "-", " – ", " — ", ": ", " №", " № ", ", №", "№")


@dataclass(frozen=True, slots=True)
class StreetMention:
    """A street that the text names: its entries in the gazetteer (empty for an unlisted street)."""

    name: str
    options: tuple[GazetteerEntry, ...]
    house: str | None
    start: int
    end: int


def parse_house(text: TokenizedText, at: int) -> tuple[str, int] | None:
    """Return the house number that begins at word `at`, without a flat, and the index after it."""
    words, gaps = text.words, text.gaps
    marked = at < len(words) and words[at] in HOUSE_MARKS and gaps[at] in _CLOSE
    if marked:
        at += 1
    if at >= len(words) or gaps[at] not in _CLOSE or not _HOUSE.fullmatch(words[at]):
        return None
    house, at = words[at], at + 1
    if not marked and at < len(words) and gaps[at].strip() in ("", "-") and matches_stem(words[at], UNITS):
        return None
    if at < len(words) and gaps[at] == "/" and _HOUSE.fullmatch(words[at]):
        house, at = f"{house}/{words[at]}", at + 1
    elif _is_letter(text, at):
        house, at = house + words[at], at + 1
    if (
        at + 1 < len(words)
        and words[at] in BLOCK_MARKS
        and gaps[at] in _CLOSE
        and gaps[at + 1] in _CLOSE
        and _HOUSE.fullmatch(words[at + 1])
    ):
        return f"{house} корпус {words[at + 1]}", at + 2
    return house, at


def _is_letter(text: TokenizedText, at: int) -> bool:
    """Return whether the word is the letter of a house, as in «20 а, кв 5» but not in «20 а вот»."""
    if at >= len(text.words) or text.words[at] not in _LETTERS or text.gaps[at] not in (" ", '"', ' "', "-"):
        return False
    after = at + 1
    return after == len(text.words) or text.gaps[after] != " " or text.words[after] in FLAT_MARKS


def _house_before(text: TokenizedText, at: int) -> str | None:
    """Return the house before the street's preposition or type: «дом 20 по Бабушкина»."""
    while at > 0 and (
        text.words[at - 1] in PREPOSITIONS_IN | PREPOSITIONS_ALONG or text.words[at - 1] in STREET_MARKS
    ):
        at -= 1
    for mark in (at - 2, at - 3):
        if mark >= 0 and text.words[mark] in HOUSE_MARKS and _HOUSE.fullmatch(text.words[mark + 1]):
            return text.words[mark + 1] + (
                text.words[mark + 2] if mark + 3 == at and len(text.words[at - 1]) == 1 else ""
            )
    return None


def parse_marked_street(text: TokenizedText, at: int) -> StreetMention | None:
    """Return the street that follows the type («ул», «проспект») at word `at`, also an unlisted one."""
    words, start = text.words, at + 1
    if start >= len(words) or text.sentences[start] != text.sentences[at] or words[start] in STREET_MARKS:
        return None
    found = _listed(words, start) or _misspelt(words, start)
    if found:
        options, end = found
        house = parse_house(text, end)
        return StreetMention(
            _name(options), options, house[0] if house else _house_before(text, at), at, house[1] if house else end
        )
    end = start + 1
    # An initial or a first name before the surname.
    if (
        end < len(words)
        and (len(words[start]) == 1 or words[end].endswith(_STREET_ENDS[:3]))
        and words[end].isalpha()
    ):
        end += 1
    word = words[end - 1]
    house = parse_house(text, end)
    if len(word) < 4 or not word.isalpha() or not (house or word.endswith(_STREET_ENDS)):
        return None
    ordinary = not word.endswith(_STREET_ENDS) or (not house and is_common_noun(word))
    if (
        is_dictionary_word(word)
        and ordinary
        and not (house and (is_genitive(word) or word.endswith(("ая", "яя"))))
    ):
        return None
    name = " ".join(part.capitalize() for part in (*words[start : end - 1], _nominative(word)))
    return StreetMention(name, (), house[0] if house else _house_before(text, at), at, house[1] if house else end)


def _nominative(word: str) -> str:
    return word[:-2] + "ая" if word.endswith(("ской", "цкой", "скую", "ной")) else word


def _name(options: tuple[GazetteerEntry, ...]) -> str:
    return min((entry.name for entry in options), key=len)


def _listed(words: list[str], at: int) -> tuple[tuple[GazetteerEntry, ...], int] | None:
    names = gazetteer().names
    for length in gazetteer().starts.get(words[at], ()):
        if at + length > len(words):
            continue
        found = names.get(tuple(words[at : at + length]), ())
        options = tuple(entry for entry, _ in found if entry.kind == "street")
        if options:
            return options, at + length
    return None


def _misspelt(words: list[str], at: int) -> tuple[tuple[GazetteerEntry, ...], int] | None:
    word = words[at]
    if not word.isalpha():
        return None
    for meant in gazetteer().street_words.get((word[0], len(word)), ()):
        found = _listed([meant], 0) if OSA.distance(word, meant, score_cutoff=1) == 1 else None
        if found:
            return found[0], at + 1
    return None


def parse_bare_street(
    text: TokenizedText, at: int, length: int, entries: tuple[GazetteerEntry, ...], *, follows: bool
) -> StreetMention | None:
    """Return the listed street at word `at`, named without a type, unless the word means something else. It is
    recognised by a house number, by «на» or «по» with an unambiguous form, by a corner or a stop, or by a street
    just before it (`follows`).
    """
    words, end = text.words, at + length
    if end < len(words) and words[end] in TOWN_PART_MARKS:
        return None
    before = words[at - 1] if at and text.sentences[at - 1] == text.sentences[at] else ""
    house = parse_house(text, end)
    marked = end < len(words) and words[end] in STREET_MARKS and words[end] != "пр" and text.gaps[end] == " "
    if marked:
        house = parse_house(text, end + 1)
    person = before.startswith(PERSON_BEFORE) or (at > 1 and words[at - 2].startswith(PERSON_BEFORE))
    shown = (
        marked
        or (house is not None and not (person and before not in PREPOSITIONS_IN | PREPOSITIONS_ALONG))
        or follows
        or (at > 0 and before.startswith(CORNER) and not is_common_noun(words[at]))
        or (not person and _by_preposition(text, at, end, entries, before))
    )
    if not shown:
        return None
    stop = house[1] if house else end + (1 if marked else 0)
    return StreetMention(_name(entries), entries, house[0] if house else _house_before(text, at), at, stop)


def _by_preposition(
    text: TokenizedText, at: int, end: int, entries: tuple[GazetteerEntry, ...], before: str
) -> bool:
    """Return whether the words after «на» or «по» name a street: «на Жердева», not «на советской власти», «на
    новой машине».
    """
    words = text.words
    if before not in ("на", "по") or text.gaps[at] != " ":
        return False
    word = words[end - 1]
    if word[0].isdigit() or len(word) < 4:
        return False
    if word.endswith(("ой", "ей")) and any(entry.name.endswith(("ая", "яя")) for entry in entries):
        if not (word.endswith(("ской", "цкой")) or any(entry.is_default for entry in entries)):
            return False
        case = "l" if before == "на" else "d"
        return not (
            end < len(words) and text.gaps[end] == " " and agrees_with_case(words[end], case, feminine=True)
        )
    if word.endswith(("ая", "яя", "ую", "юю")):
        return False
    return not is_common_noun(word) or end - at > 1


def continues_street(text: TokenizedText, at: int, end_of_street: int) -> bool:
    """Return whether the name at `at` continues a street that ended just before: «ленина и кирова»,
    «ленина-кирова».
    """
    if at == end_of_street:
        return text.gaps[at].strip() in ("-", "–", "—", "/")
    return at == end_of_street + 1 and text.words[at - 1] in ("и", "угол", "с")
