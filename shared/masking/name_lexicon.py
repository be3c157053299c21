"""Classify single words: first name, patronymic, surname, location, or a hint at the neighbouring word.

The flags come from pymorphy3 and the lists under `data/`, and are cached per word.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from shared.text.morphology import analyzer

LETTERS = "А-Яа-яЁёӨөҮүҺһ"
_CACHE_SIZE = 200_000
_MAX_WORD_LENGTH = 40

# Flags of the word itself.
FIRST_NAME = 1  # a first name and nothing else
LIKELY_FIRST_NAME = 2  # usually a first name
ALSO_ORDINARY_WORD = 4  # a first name that is also an ordinary word or a location
PATRONYMIC = 8
SURNAME = 16  # a surname and nothing else except a location
SURNAME_LIKE = 32  # has the ending of a surname, or is a surname among other things
SURNAME_ONLY_FORM = 64  # a surname in a form that street names do not have
UNKNOWN = 128  # not in the dictionary
LOCATION = 256  # also a location
GENITIVE = 512  # can be a genitive, as in street names
HISTORICAL = 1024  # a historical figure
# What a word shows about its neighbours.
BEFORE_STREET = 2048
BEFORE_INSTITUTION = 4096  # an institution or a settlement, which may be named after a person
JOB_TITLE = 8192
GREETING = 16384
BEFORE_LOCATION = 32768  # prepositions before locations
NOT_A_NAME = 65536  # not a name even with a capital letter
COMMON_FIRST_NAME = 131072  # a first name even in lower case

ANY_FIRST_NAME = FIRST_NAME | LIKELY_FIRST_NAME | ALSO_ORDINARY_WORD
ANY_SURNAME = SURNAME | SURNAME_LIKE

_DATA = Path(__file__).parent / "data"


def _read_lines(name: str) -> list[str]:
    lines = (_DATA / name).read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def _read_words(name: str) -> list[str]:
    return [word.lower() for line in _read_lines(name) for word in line.split()]


_PATRONYMIC = re.compile(r"[а-яёөүһ]{3,}(?:[оеё]вич(?:а|у|ем|е)?|[оеё]вн(?:а|ы|е|у|ой|ою))")
_SURNAME = re.compile(
    r"[а-яёөүһ]{2,}(?:[оеё]в|[иы]н)(?:|а|у|ым|е|ой|ою|ы|ых|ыми)|[а-яёөүһ]{3,}(?:[оеё]вск|[иы]нск|ецк)(?:ий|ого|ому|им|ом)"
)
_BURYAT_NAME = re.compile(
    r"[а-яёөүһ]{2,}(?:жап|жаб|доржо|доржи|дондок|сурэн|цырен|нима|ханда|дулма|сэсэг|сэмжид|эгма|ыгма)"
)
_GENITIVE = re.compile(r".*(?:[оеёиы]в?[вн](?:а|ой|ых)|ского|ской|цкого|ы|и|а|я)$")


def _forms(name: str) -> Iterator[str]:
    """Yield the grammatical cases of a Buryat name or a settlement."""
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
    buryat_first_names: frozenset[str]
    common: frozenset[str]
    ordinary: frozenset[str]
    settlements: frozenset[str]
    public: frozenset[str]
    before_streets: frozenset[str]
    before_institutions: frozenset[str]
    prepositions: frozenset[str]
    job_titles: tuple[str, ...]
    greetings: tuple[str, ...]
    named: frozenset[tuple[str, ...]]


@lru_cache(maxsize=1)
def lists() -> Lists:
    return Lists(
        buryat_first_names=frozenset(
            form for name in _read_words("buryat_first_names.txt") for form in _forms(name)
        ),
        common=frozenset(_read_words("common_first_names.txt")),
        ordinary=frozenset(_read_words("ambiguous_words.txt")),
        settlements=frozenset(form for name in _read_words("settlements_like_names.txt") for form in _forms(name)),
        public=frozenset(_read_words("historical_figures.txt")),
        before_streets=frozenset(_read_words("street_words.txt")),
        before_institutions=frozenset(_read_words("institution_words.txt")),
        prepositions=frozenset(_read_words("location_prepositions.txt")),
        job_titles=tuple(_read_words("job_title_stems.txt")),
        greetings=tuple(_read_words("greeting_stems.txt")),
        named=frozenset(tuple(line.lower().split()) for line in _read_lines("named_streets.txt")),
    )


@lru_cache(maxsize=_CACHE_SIZE)
def word_flags(word: str) -> int:
    """Return the flags of a lower-case word; 0 for most words."""
    if len(word) > _MAX_WORD_LENGTH:
        return 0
    kind = _neighbour_flags(word)
    if kind & (BEFORE_STREET | BEFORE_INSTITUTION | GREETING | BEFORE_LOCATION) or len(word) < 2:
        return kind | NOT_A_NAME
    if kind & JOB_TITLE:
        return kind | (PATRONYMIC if _PATRONYMIC.fullmatch(word) else NOT_A_NAME)
    if "-" in word:
        return kind | _hyphenated_flags(word)
    return kind | _own_flags(word)


def _neighbour_flags(word: str) -> int:
    kind = 0
    listed = lists()
    if word in listed.before_streets:
        kind |= BEFORE_STREET
    if word in listed.before_institutions:
        kind |= BEFORE_INSTITUTION
    if word in listed.prepositions:
        kind |= BEFORE_LOCATION
    if f"{word}$".startswith(listed.job_titles):
        kind |= JOB_TITLE
    if word.startswith(listed.greetings):
        kind |= GREETING
    return kind


def _hyphenated_flags(word: str) -> int:
    """Return the flags of a hyphenated word, derived from the flags of its parts."""
    if word in lists().settlements:
        return LOCATION
    if word in lists().buryat_first_names:
        return FIRST_NAME | COMMON_FIRST_NAME
    parts = [_own_flags(part) for part in word.split("-")]
    if len(parts) != 2:
        return UNKNOWN
    if all(part & ANY_FIRST_NAME for part in parts) and any(
        part & (FIRST_NAME | LIKELY_FIRST_NAME) for part in parts
    ):
        return FIRST_NAME
    if all(part & (ANY_SURNAME | FIRST_NAME) for part in parts) and any(part & SURNAME for part in parts):
        return SURNAME | (parts[0] & GENITIVE)
    return UNKNOWN if any(part & UNKNOWN for part in parts) else 0


def _own_flags(word: str) -> int:
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
        elif "Surn" in tag or ("Name" in tag and "plur" in tag and _SURNAME.fullmatch(word)):
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
        kind |= HISTORICAL
    if genitive or (not known and _GENITIVE.match(word)):
        kind |= GENITIVE
    if share["Geox"] > 0:
        kind |= LOCATION
    if (known and share["Patr"] > 0.5) or (not known and _PATRONYMIC.fullmatch(word)):
        return kind | PATRONYMIC
    settlement = word in listed.settlements
    if settlement:
        kind |= LOCATION
    common = word in listed.buryat_first_names or bool(lemmas & listed.common)
    ordinary = (settlement and not common) or bool((lemmas | {word}) & listed.ordinary)
    kind |= _first_name_flags(
        word, known=known, share=share, ordinary=ordinary, buryat=word in listed.buryat_first_names
    )
    if kind & (FIRST_NAME | LIKELY_FIRST_NAME) and common:
        kind |= COMMON_FIRST_NAME
    return kind | _surname_flags(word, known=known, share=share, alone=alone and not settlement)


def _first_name_flags(word: str, *, known: bool, share: dict[str, float], ordinary: bool, buryat: bool) -> int:
    if buryat or (not known and _BURYAT_NAME.fullmatch(word)):
        return (
            ALSO_ORDINARY_WORD
            if ordinary
            else FIRST_NAME
            if not known or share["else"] == 0
            else LIKELY_FIRST_NAME
        )
    if not known or share["Name"] == 0:
        return 0
    if ordinary or share["Name"] < 0.5:
        return ALSO_ORDINARY_WORD
    return FIRST_NAME if share["Name"] > 0.9 and share["else"] == 0 else LIKELY_FIRST_NAME


def _surname_flags(word: str, *, known: bool, share: dict[str, float], alone: bool) -> int:
    if not known:
        return SURNAME_LIKE if _SURNAME.fullmatch(word) else 0
    if share["Surn"] == 0 or len(word) < 3:
        return 0
    if share["else"] > 0.35 or share["Surn"] < 0.15:
        return SURNAME_LIKE
    return SURNAME | (SURNAME_ONLY_FORM if alone and share["else"] == 0 and share["Geox"] == 0 else 0)
