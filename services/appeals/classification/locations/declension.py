"""Case forms of location names, derived from their endings: fast, and also works for names missing from
dictionaries.

Cases: `n`ominative, `g`enitive, `d`ative, `a`ccusative, `i`nstrumental, `l`ocative. Words must be folded.
"""

CASES = "ngdail"
# Adjectives whose ending «ой» could also be a noun's.
_ADJECTIVES_IN_OI = frozenset(
    ("большой", "сухой", "золотой", "степной", "мостовой", "лесозаводской", "заводской", "спиртозаводской")
)
_LOCATIVE_IN_U = frozenset(("бор", "берег", "луг", "яр", "мост", "нос"))
_NEUTER = frozenset(("озеро", "село"))
_SHORTEST_ADJECTIVE = 4
_SOFT_I = "гкхжшчщ"

CaseForms = dict[str, tuple[str, ...]]


def _forms(stem: str, endings: dict[str, str]) -> CaseForms:
    return {case: tuple(stem + ending for ending in endings[case].split("|")) for case in CASES}


_MASCULINE_ADJECTIVE = {"g": "ого|его", "d": "ому|ему", "i": "ым|им", "l": "ом|ем"}


def case_forms(word: str) -> CaseForms:  # noqa: PLR0911 — one return per kind of ending
    """Return the forms of a folded word by case. An indeclinable word has the same form in every case."""
    end, stem = word[-2:], word[:-2]
    if word.endswith("ение"):
        return _forms(word[:-1], {"n": "е", "a": "е", "g": "я", "d": "ю", "i": "ем", "l": "и"})
    if (end in ("ый", "ий", "ое", "ее") and len(word) > _SHORTEST_ADJECTIVE) or word in _ADJECTIVES_IN_OI:
        return _forms(stem, {"n": end, "a": end, **_MASCULINE_ADJECTIVE})
    if end in ("ая", "яя"):
        oblique, accusative = ("ой", "ую") if end == "ая" else ("ей", "юю")
        return _forms(stem, {"n": end, "a": accusative, **dict.fromkeys("gdil", oblique)})
    if end in ("ые", "ие"):
        return _forms(stem, {"n": end, "a": end, "g": "ых|их", "d": "ым|им", "i": "ыми|ими", "l": "ых|их"})
    last, stem = word[-1], word[:-1]
    if word.endswith(("ово", "ево", "ино", "ыно")):
        # Declined and undeclined forms are both used: «в Сотникове» and, more often, «в Сотниково».
        return _forms(stem, {"n": "о", "a": "о", "g": "а|о", "d": "у|о", "i": "ым|ом|о", "l": "е|о"})
    if word in _NEUTER:
        return _forms(stem, {"n": "о", "a": "о", "g": "а", "d": "у", "i": "ом", "l": "е"})
    if last == "а":
        genitive = "и" if stem[-1:] in _SOFT_I else "ы"
        return _forms(stem, {"n": "а", "g": genitive, "d": "е", "a": "у", "i": "ой|ою", "l": "е"})
    if last == "я":
        return _forms(stem, {"n": "я", "g": "и", "d": "е", "a": "ю", "i": "ей", "l": "е"})
    if last == "ь":
        return _forms(stem, {"n": "ь", "g": "и|я", "d": "и|ю", "a": "ь", "i": "ью|ем", "l": "и|е"})
    if last == "й":
        return _forms(stem, {"n": "й", "g": "я", "d": "ю", "a": "й", "i": "ем", "l": "е"})
    if last in "ыи" and len(word) > 3:
        return _plural(word, stem, last)
    if last in "бвгджзклмнпрстфхцчшщ" and len(word) > 2:
        return _masculine(word)
    return dict.fromkeys(CASES, (word,))


def _plural(word: str, stem: str, last: str) -> CaseForms:
    genitive = "ов|ей" if last == "ы" or stem[-1] in _SOFT_I else "ей|ев"
    forms = _forms(stem, {"n": last, "a": last, "g": genitive, "d": "ам", "i": "ами", "l": "ах"})
    if word.endswith("ки"):
        forms["g"] = (*forms["g"], stem[:-1] + "ек", stem[:-1] + "ок")
    return forms


def _masculine(word: str) -> CaseForms:
    if word.endswith("ец"):
        return {"n": (word,), "a": (word,)} | _short(word[:-2] + "ц")
    forms = {"n": (word,), "a": (word,)} | _short(word)
    if word in _LOCATIVE_IN_U:
        forms["l"] = (*forms["l"], word + "у")
    return forms


def _short(stem: str) -> CaseForms:
    return {"g": (stem + "а",), "d": (stem + "у",), "i": (stem + "ом", stem + "ем"), "l": (stem + "е",)}


def adjective_forms(stem: str) -> tuple[str, ...]:
    """Return every form of the adjective whose stem ends in «ск»: «кабанск» → «кабанский», «кабанской» …"""
    return tuple(stem + ending for ending in _ADJECTIVE_ENDINGS)


_ADJECTIVE_ENDINGS = ("ий", "ого", "ому", "им", "ом", "ая", "ой", "ую", "ое", "ие", "их", "ими")


def adjective_stems(name: str) -> tuple[str, ...]:
    """Return the stems of the adjectives made from a settlement's name: «таксимо» → «таксимовск»."""
    if name.endswith(("ск", "цк")):
        return (name,)
    if name.endswith(("ово", "ево", "ино")):
        return (name[:-1] + "ск",)
    if name.endswith("о"):
        return (name + "вск",)
    if name.endswith(("ай", "ей", "ой", "уй")):
        return (name + "ск",)
    stem = name.rstrip("аяыиьэ")
    if name[-1] in "аыи" and stem[-1:] in ("г", "к", "х"):
        return (stem + "инск", stem[:-1] + "ск")
    return (stem + "ск",)
