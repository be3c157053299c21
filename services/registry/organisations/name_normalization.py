"""Normalise organisation names for search: many spellings become one.

«МАОУ «СОШ № 71 г. Улан-Удэ», «Средняя общеобразовательная школа №71, улан-удэ» and «школа номер 71 Улан-Удэ» all
become «школа 71 улан удэ»: abbreviations are spelt out, and parts that do not distinguish names (the legal form,
«№», quotes) are removed.
"""

import re

from shared.tabular.reader import package_rows
from shared.text.normalize import sort_key

# Abbreviations with punctuation, replaced before the name is split into words.
_SIGNS = tuple(
    (re.compile(pattern), spelt)
    for pattern, spelt in (
        (r"\bд\s*[/.]\s*с\b\.?", " детский сад "),
        (r"\bр\s*-\s*н(а|е|у|ом)?\b", r" район\1 "),
        (r"(\d)\s*-?\s*(?:ая|ый|ой|ое|го|му|ти|ми|я|й|е)\b", r"\1 "),
        (r"\bж\s*/\s*д\b", " железнодорожный "),
    )
)
_WORD = re.compile(r"\d+|[^\W\d_]+")
_CYRILLIC = re.compile(r"[а-я]")
# Latin letters that look like Cyrillic ones, and the Russian letters on the keys of the Latin layout.
_LOOKALIKES = str.maketrans("aceopxyktmhb", "асеорхуктмнв")
_LAYOUT = str.maketrans("qwertyuiop[]asdfghjkl;'zxcvbnm,.`", "йцукенгшщзхъфывапролджэячсмитьбюё")


# Expansions of abbreviations; an abbreviated legal form has an empty one, because it distinguishes nothing.
_ABBREVIATIONS = {
    row["abbreviation"]: row["spelt_out"]
    for row in package_rows("services.registry.organisations", "abbreviations.csv")
}

# Phrases for legal forms and kinds of organisations, and stop words.
_PHRASES = tuple(
    (re.compile(pattern), spelt)
    for pattern, spelt in (
        (r"\bдошкольн\w* (?:обще)?образовательн\w* учрежден\w*", "детский сад"),
        (r"\bучрежден\w* (?:дополнительного образования|здравоохранения|культуры|социального обслуживания)\b", ""),
        (r"\bмуниципальн\w* образовани\w*", ""),
        (r"\bсредн\w* (?:обще)?образовательн\w*", ""),
    )
)
_STOP_WORDS = re.compile(
    r"(?:муниципальн|государственн|бюджетн|автономн|казенн|учрежден|общеобразовательн|образовательн|профессиональн)\w*"
    r"|г|гор|город[ае]?|с|сел[оа]|п|пос|посел(?:ок|ка)|в|и|на|по|им|имени|номер|n|no"
)


def normalize_name(name: str) -> str:
    """Return the normalised name. A name that consists only of stop words keeps them."""
    text = sort_key(name)
    for pattern, spelt in _SIGNS:
        text = pattern.sub(spelt, text)
    plain = [_of_one_alphabet(word) for word in _WORD.findall(text)]
    text = " ".join(_ABBREVIATIONS.get(word, word) for word in plain)
    for pattern, spelt in _PHRASES:
        text = pattern.sub(spelt, text)
    words = [word for word in text.split() if not _STOP_WORDS.fullmatch(word)]
    return " ".join(dict.fromkeys(words or plain))


def in_russian_layout(query: str) -> str | None:
    """Return the query retyped in the Russian layout; None if it has Cyrillic letters or no Latin ones."""
    text = query.lower()
    if _CYRILLIC.search(text) or not re.search(r"[a-z]", text):
        return None
    return text.translate(_LAYOUT)


def _of_one_alphabet(word: str) -> str:
    return word.translate(_LOOKALIKES) if _CYRILLIC.search(word) else word


# Stems of words that hundreds of names share: they say what an organisation is, not which one.
_GENERIC_STEMS = re.compile(
    r"(?:школ|детск|сад|библиотек|сельск|городск|администрац|больниц|участков|район|центр|дом|культур|клуб|округ"
    r"|поселен|управлен|суд|музе|министерств|комитет|служб|основн)\w{0,4}"
)


def is_generic_word(word: str) -> bool:
    """Return whether a normalised word says what kind of organisation it is rather than which one."""
    return _GENERIC_STEMS.fullmatch(word) is not None


def distinctive_words(normalized: str) -> str:
    """Return the words that distinguish organisations of one kind; all words if at most numbers would remain."""
    words = [word for word in normalized.split() if not is_generic_word(word)]
    return " ".join(words) if any(not word.isdigit() for word in words) else normalized
