"""Language detection (Russian, Buryat or both) by letters, known words, and the structure of unknown words.

Buryat is written with ү, ө, һ, but people also type without these letters; then doubled vowels, `э` and endings
distinguish it from misspelt Russian. A greeting or thanks in Buryat does not make a Russian message mixed.
"""

import re
from functools import cache, lru_cache

from services.appeals.classification.text import word_lists
from services.appeals.classification.text.lemmatizer import analyzer
from services.appeals.classification.text.tokenizer import CleanText, tokenize
from shared.contracts.values import Language

_LETTERS = re.compile("[өүһ]")
_CYRILLIC = re.compile("[а-яөүһ]")
# Latin h typed for һ inside a Cyrillic word.
_LATIN_H = re.compile(r"(?<=[а-яөү])h|h(?=[а-яөү])")
_DOUBLED = re.compile(r"аа|ээ|оо|уу|юу|яа|еэ|ёо|өө|үү")
# Doubled and tripled letters are no sign of Buryat if they only stretch a Russian word: «спасибоо».
_TWICE = re.compile(r"(.)\1")
_DRAWN = re.compile(r"(.)\1\1")
_BUILT = re.compile(
    r"(?:нууд|нуудые|нуудай|гай|гэй|гой|тай|тэй|той|хадаа|хэдээ|жа|жэ|жо|хаб|хабди|набди|нэбди|нобди|наб|нэб|"
    r"аар|ээр|оор|һаа|hаа|аа|ээ|оо|еэ|агты|эгты|огты|агша|эгшэ|ложо|ажа|эжэ|ожо|ана|энэ|оно|аба|эбэ|обо|"
    r"хань|хэнь|ынь|иинь|айнь|эйнь|анай|энэй|оной|дахи|дэхи|дохи|лга|лгэ|лго|нхай|нхэй|аха|эхэ|охо)$"
)
# In Russian `э` rarely follows a consonant; in Buryat it does in every other word.
_HARD_E = re.compile("[бвгджзлмнпрстхцчшщ]э")
_SHORTEST = 4
# In a text without any of these signs only known words can be Buryat; this check alone decides most messages.
_LIKELY = re.compile(r"[өүһ]|(?:аа|ээ|оо|уу|юу|яа|еэ|ёо)|[бвгджзлмнпрстхцчшщ]э|сайн|мэнд|баяр")
# Russian words that are not loan words in Buryat: function words, and inflected verbs.
_RUSSIAN_FUNCTION = frozenset(
    """
    и в во не на что с со как а но у к по из за от до о об же бы ли это этот эта эти там тут где
    когда почему если или нас нам вас вам мы вы он она они я мне меня его её их уже ещё еще нет есть
    был была было были быть будет для при без под над через после перед только очень просто так все
    всё кто чтобы наш наша наши наше ваш сегодня вчера завтра опять снова
    """.split()  # noqa: SIM905 — read as words
)
_RUSSIAN_PARTS = frozenset({"VERB", "INFN", "GRND", "PREP", "CONJ", "PRCL"})


@cache
def _known() -> tuple[frozenset[str], re.Pattern[str]]:
    """Return the known Buryat words, and the words of greeting and thanks."""
    words: set[str] = set()
    formulas: list[str] = []
    for row in word_lists.load_rows("buryat.csv"):
        found = row["words"].split(";")
        if row["kind"] == "formula":
            formulas += found
        else:
            words.update(found)
    formulas.sort(key=len, reverse=True)
    return frozenset(words), re.compile(r"(?<!\w)(?:" + "|".join(map(re.escape, formulas)) + r")(?!\w)")


@lru_cache(maxsize=100_000)
def _kind(word: str) -> str:
    """Return bxr | ru | strong (a Russian function word or verb) | none."""
    if not _CYRILLIC.search(word):
        return "none"
    if _LETTERS.search(word) or word in _known()[0]:
        return "bxr"
    if word in _RUSSIAN_FUNCTION:
        return "strong"
    if analyzer().word_is_known(word):
        return "strong" if analyzer().parse(word)[0].tag.POS in _RUSSIAN_PARTS else "ru"
    if (
        len(word) >= _SHORTEST
        and not _DRAWN.search(word)
        and not analyzer().word_is_known(_TWICE.sub(r"\1", word))
    ):
        marks = bool(_DOUBLED.search(word)) + bool(_HARD_E.search(word)) + bool(_BUILT.search(word))
        if marks >= 2 or (marks and word.count("э") >= 2):
            return "bxr"
    return "none"


def detect_language(text: str | CleanText) -> Language:
    """Return the language of a message: `ru`, `bxr` (loan words allowed) or `mixed` (both carry the meaning)."""
    source = CleanText.of(text)
    read = _LATIN_H.sub("һ", source.cleaned)
    if not _LIKELY.search(read) and not any(word in _known()[0] for word in source.tokens):
        return "ru"
    kinds = [_kind(word) for word in tokenize(_known()[1].sub(" ", read))]
    buryat, russian, strong = kinds.count("bxr"), kinds.count("ru"), kinds.count("strong")
    if not buryat:
        # A text that is only a greeting in Buryat counts as Buryat.
        return "bxr" if not russian and not strong and _known()[1].search(read) else "ru"
    known = buryat + russian + strong
    if buryat / known < 0.2 or (buryat == 1 and strong >= 2):
        return "ru"
    if strong >= 2 and buryat / known < 0.75:
        return "mixed" if buryat >= 2 else "ru"
    return "bxr" if buryat / known >= 0.3 else "ru"
