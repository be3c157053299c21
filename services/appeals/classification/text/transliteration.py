"""Russian typed in Latin letters: in the wrong keyboard layout, or transliterated.

Only a text with almost no Cyrillic is converted, and only if the result is Russian: an English sentence is kept.
docs/developer/classification.md, step 1.
"""

import re
from collections.abc import Callable

from services.appeals.classification.text.lemmatizer import analyzer

_LATIN = re.compile("[a-z]")
_CYRILLIC = re.compile("[а-яёөүһ]")
# Not words: links and mail addresses (recognised by their punctuation), mentions of people and pages.
_TOKEN = re.compile(r"\[(?:id|club|public)\d{1,20}+[^\[\]]{0,200}+\]|\S++")
_NO_WORD = re.compile(r"^\[(?:id|club|public)\d|://|^www\.|@|\.(?:ru|com|org|net)\b")
_TYPED = re.compile(r"[a-z\[\];',.`]+")
_WORD = re.compile("[а-яё]{3,}")
_LAYOUT = str.maketrans(
    "qwertyuiop[]asdfghjkl;'zxcvbnm,.`", "йцукенгшщзхъфывапролджэячсмитьбюё"
)  # fmt: skip
# Longest first: «shch» is one letter, not four.
_SOUNDS = (
    ("shch", "щ"), ("sch", "щ"), ("yo", "ё"), ("jo", "ё"), ("zh", "ж"), ("kh", "х"), ("ts", "ц"), ("ch", "ч"),
    ("sh", "ш"), ("yu", "ю"), ("ju", "ю"), ("ya", "я"), ("ja", "я"), ("iy", "ий"), ("yy", "ый"), ("ai", "ай"),
    ("ei", "ей"), ("ii", "ий"), ("oi", "ой"), ("a", "а"),
    ("b", "б"), ("v", "в"), ("w", "в"), ("g", "г"), ("d", "д"), ("e", "е"), ("z", "з"), ("i", "и"), ("j", "й"),
    ("k", "к"), ("l", "л"), ("m", "м"), ("n", "н"), ("o", "о"), ("p", "п"), ("r", "р"), ("s", "с"), ("t", "т"),
    ("u", "у"), ("f", "ф"), ("h", "х"), ("x", "х"), ("c", "ц"), ("y", "ы"), ("q", "к"), ("'", "ь"),
)  # fmt: skip
_SOUND = re.compile("|".join(re.escape(latin) for latin, _ in _SOUNDS))
_AS_HEARD = dict(_SOUNDS)
_FEWEST_LETTERS = 4
# Share of the words of three letters or more that must be Russian.
_RUSSIAN = 0.6
# A text with one of these words counts as English; "my" and "to" are Russian words too («мы», «то»).
_ENGLISH = re.compile(r"\b(?:the|and|you|your|is|are|now|with|in|of|we|free|best|how|this|it|for)\b")


def to_cyrillic(text: str) -> str:
    """Return the text in Cyrillic if it is Russian typed in Latin letters; any other text unchanged."""
    latin = len(_LATIN.findall(text.lower()))
    if latin < _FEWEST_LETTERS:
        return text
    read = _changed(text, lambda word: word, keep=False)
    latin = len(_LATIN.findall(read))
    # Counted again without links and mentions, which have Latin letters in any text.
    if latin < _FEWEST_LETTERS or len(_CYRILLIC.findall(read)) * 10 > latin or _ENGLISH.search(read):
        return text
    tried = [(_share_of_words(found), found) for found in (_typed(text), _sounded(text))]
    share, found = max(tried, key=lambda one: one[0])
    return found if share >= _RUSSIAN else text


def _typed(text: str) -> str:
    return _changed(text, lambda token: _TYPED.sub(lambda word: word[0].translate(_LAYOUT), token))


def _sounded(text: str) -> str:
    return _changed(text, lambda token: _SOUND.sub(lambda sound: _AS_HEARD[sound[0]], token))


def _changed(text: str, change: Callable[[str], str], *, keep: bool = True) -> str:
    """Return the text with its words converted and in lower case; links and mentions are kept unchanged or left
    out.
    """

    def one(found: re.Match[str]) -> str:
        if _NO_WORD.search(found[0].lower()):
            return found[0] if keep else " "
        return change(found[0].lower())

    return _TOKEN.sub(one, text)


def _share_of_words(text: str) -> float:
    words = _WORD.findall(text)
    if not words:
        return 0.0
    return sum(bool(analyzer().word_is_known(word)) for word in words) / len(words)
