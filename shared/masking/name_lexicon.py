"""What a word may be by itself: a first name, a patronymic, a surname, a place, a teller of its neighbour.

The grammar of pymorphy3 and the lists under `data/` decide, once per word.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from shared.text.morphology import analyzer

LETTERS = "А-Яа-яЁёӨөҮүҺһ"
_REMEMBERED = 200_000
_LONGEST = 40

# What a word may be.
FIRST = 1  # a first name and nothing else
LIKELY = 2  # a first name more often than not
ORDINARY = 4  # a first name that is an ordinary word or a place too
PATRONYMIC = 8
SURNAME = 16  # a surname and nothing else but a place
GUESS = 32  # has a surname's ending, or is a surname among other things
ALONE = 64  # a surname in a form that no street is named by
UNKNOWN = 128  # not in the dictionary
PLACE = 256  # a place too
GENITIVE = 512  # can be a genitive, as names of streets are
PUBLIC = 1024  # of history
# What it says of its neighbours.
STREET = 2048
HOUSE = 4096  # an institution or a settlement, which may be named after a person
OFFICE = 8192
GREETING = 16384
SAID_OF_PLACES = 32768  # prepositions that stand before places
THING = 65536  # no name whatever its capital letter
COMMON = 131072  # a first name known in lower case too

ANY_FIRST = FIRST | LIKELY | ORDINARY
ANY_SURNAME = SURNAME | GUESS

_DATA = Path(__file__).parent / "data"


def _listed(name: str) -> list[str]:
    lines = (_DATA / name).read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def _words_of(name: str) -> list[str]:
    return [word.lower() for line in _listed(name) for word in line.split()]


_OF_FATHER = re.compile(r"[а-яёөүһ]{3,}(?:[оеё]вич(?:а|у|ем|е)?|[оеё]вн(?:а|ы|е|у|ой|ою))")
_OF_CLAN = re.compile(
    r"[а-яёөүһ]{2,}(?:[оеё]в|[иы]н)(?:|а|у|ым|е|ой|ою|ы|ых|ыми)|[а-яёөүһ]{3,}(?:[оеё]вск|[иы]нск|ецк)(?:ий|ого|ому|им|ом)"
)
_OF_STEPPE = re.compile(
    r"[а-яёөүһ]{2,}(?:жап|жаб|доржо|доржи|дондок|сурэн|цырен|нима|ханда|дулма|сэсэг|сэмжид|эгма|ыгма)"
)
_OF_GENITIVE = re.compile(r".*(?:[оеёиы]в?[вн](?:а|ой|ых)|ского|ской|цкого|ы|и|а|я)$")


def _forms(name: str) -> Iterator[str]:
    """A Buryat name in its cases."""
    yield name
    last, stem = name[-1], name[:-1]
    if last == "а":
        yield from (stem + ending for ending in ("ы", "и", "е", "у", "ой", "ою"))
    elif last == "я":
        yield from (stem + ending for ending in ("и", "е", "ю", "ей"))
    elif last == "й":
        yield from (stem + ending for ending in ("я", "ю", "ем", "е"))
    elif last not in "оиэеыуюё":
        yield from (name + ending for ending in ("а", "у", "ом", "ем", "е"))


@dataclass(frozen=True)
class Lists:
    steppe: frozenset[str]
    common: frozenset[str]
    ordinary: frozenset[str]
    places: frozenset[str]
    public: frozenset[str]
    before_streets: frozenset[str]
    before_places: frozenset[str]
    prepositions: frozenset[str]
    offices: tuple[str, ...]
    greetings: tuple[str, ...]
    named: frozenset[tuple[str, ...]]


@lru_cache(maxsize=1)
def lists() -> Lists:
    return Lists(
        steppe=frozenset(form for name in _words_of("buryat_first_names.txt") for form in _forms(name)),
        common=frozenset(_words_of("common_first_names.txt")),
        ordinary=frozenset(_words_of("ambiguous_words.txt")),
        places=frozenset(form for name in _words_of("settlements_like_names.txt") for form in _forms(name)),
        public=frozenset(_words_of("historical_figures.txt")),
        before_streets=frozenset(_words_of("street_words.txt")),
        before_places=frozenset(_words_of("institution_words.txt")),
        prepositions=frozenset(_words_of("location_prepositions.txt")),
        offices=tuple(_words_of("job_title_stems.txt")),
        greetings=tuple(_words_of("greeting_stems.txt")),
        named=frozenset(tuple(line.lower().split()) for line in _listed("named_streets.txt")),
    )


@lru_cache(maxsize=_REMEMBERED)
def kind_of(word: str) -> int:
    """What a lower-case word may be, as the flags above; 0 for most words."""
    if len(word) > _LONGEST:
        return 0
    kind = _of_neighbours(word)
    if kind & (STREET | HOUSE | GREETING | SAID_OF_PLACES) or len(word) < 2:
        return kind | THING
    if kind & OFFICE:
        return kind | (PATRONYMIC if _OF_FATHER.fullmatch(word) else THING)
    if "-" in word:
        return kind | _of_parts(word)
    return kind | _of_itself(word)


def _of_neighbours(word: str) -> int:
    kind = 0
    listed = lists()
    if word in listed.before_streets:
        kind |= STREET
    if word in listed.before_places:
        kind |= HOUSE
    if word in listed.prepositions:
        kind |= SAID_OF_PLACES
    if f"{word}$".startswith(listed.offices):
        kind |= OFFICE
    if word.startswith(listed.greetings):
        kind |= GREETING
    return kind


def _of_parts(word: str) -> int:
    """A double name or surname is what both its parts are."""
    if word in lists().places:
        return PLACE
    if word in lists().steppe:
        return FIRST | COMMON
    parts = [_of_itself(part) for part in word.split("-")]
    if len(parts) != 2:
        return UNKNOWN
    if all(part & ANY_FIRST for part in parts) and any(part & (FIRST | LIKELY) for part in parts):
        return FIRST
    if all(part & (ANY_SURNAME | FIRST) for part in parts) and any(part & SURNAME for part in parts):
        return SURNAME | (parts[0] & GENITIVE)
    return UNKNOWN if any(part & UNKNOWN for part in parts) else 0


def _of_itself(word: str) -> int:
    listed = lists()
    parses = analyzer().parse(word)
    known = analyzer().word_is_known(word)
    total = sum(parse.score for parse in parses) or 1.0
    lemmas = {parse.normal_form for parse in parses}
    share = dict.fromkeys(("Name", "Surn", "Patr", "Geox", "else"), 0.0)
    alone = genitive = False
    for parse in parses:
        tag = parse.tag
        genitive = genitive or ("gent" in tag and "Surn" in tag) or ("gent" in tag and "Name" in tag)
        if "Patr" in tag:
            share["Patr"] += parse.score
        elif "Surn" in tag or ("Name" in tag and "plur" in tag and _OF_CLAN.fullmatch(word)):
            share["Surn"] += parse.score
            alone = alone or ("masc" in tag and not {"gent", "accs"} & set(tag.grammemes) and "Fixd" not in tag)
        elif "Name" in tag:
            share["Name"] += parse.score
        elif "Geox" in tag:
            share["Geox"] += parse.score
        elif "Poss" not in tag and "GRND" not in tag:
            share["else"] += parse.score
    share = {name: value / total for name, value in share.items()}
    kind = 0 if known else UNKNOWN
    if lemmas & listed.public or word in listed.public:
        kind |= PUBLIC
    if genitive or (not known and _OF_GENITIVE.match(word)):
        kind |= GENITIVE
    if share["Geox"] > 0:
        kind |= PLACE
    if (known and share["Patr"] > 0.5) or (not known and _OF_FATHER.fullmatch(word)):
        return kind | PATRONYMIC
    place = word in listed.places
    if place:
        kind |= PLACE
    common = word in listed.steppe or bool(lemmas & listed.common)
    ordinary = (place and not common) or bool((lemmas | {word}) & listed.ordinary)
    kind |= _of_first(word, known=known, share=share, ordinary=ordinary, steppe=word in listed.steppe)
    if kind & (FIRST | LIKELY) and common:
        kind |= COMMON
    return kind | _of_surname(word, known=known, share=share, alone=alone and not place)


def _of_first(word: str, *, known: bool, share: dict[str, float], ordinary: bool, steppe: bool) -> int:
    if steppe or (not known and _OF_STEPPE.fullmatch(word)):
        return ORDINARY if ordinary else FIRST if not known or share["else"] == 0 else LIKELY
    if not known or share["Name"] == 0:
        return 0
    if ordinary or share["Name"] < 0.5:
        return ORDINARY
    return FIRST if share["Name"] > 0.9 and share["else"] == 0 else LIKELY


def _of_surname(word: str, *, known: bool, share: dict[str, float], alone: bool) -> int:
    if not known:
        return GUESS if _OF_CLAN.fullmatch(word) else 0
    if share["Surn"] == 0 or len(word) < 3:
        return 0
    if share["else"] > 0.35 or share["Surn"] < 0.15:
        return GUESS
    return SURNAME | (ALONE if alone and share["else"] == 0 and share["Geox"] == 0 else 0)
