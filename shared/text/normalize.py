"""Normalised forms of Russian text, for comparison: case and «ё» do not matter. No other module folds «ё».

Stored values are computed with these functions (`organisations.sort_key`, normalised names, digests of training
texts, features of the trained models): a change of a result needs a migration and new models.
"""

import re
import unicodedata
from functools import lru_cache

_NOT_A_WORD = re.compile(r"[\W_]+")
# Unicode normalisation sorts the marks of a letter in quadratic time. No script needs more than 30 marks (UAX #15,
# Stream-Safe Text Format); texts shorter than `_SHORT_TEXT_LENGTH` are not checked.
_MAX_MARKS = 30
_SHORT_TEXT_LENGTH = 200
_CACHED_CHARACTERS = 50_000


def fold_case(text: str) -> str:
    """Return the text in lower case with «е» for «ё»."""
    return text.lower().replace("ё", "е")


def fold_text(text: str) -> str:
    """Return the text with compatible characters composed (NFKC), in lower case, with «е» for «ё»."""
    return fold_case(unicodedata.normalize("NFKC", _with_few_marks(text)))


def sort_key(name: str) -> str:
    """Return the form of a name for sorting and searching: lower case, «е» for «ё», single spaces.

    The database sorts by code point, where «ё» would follow «я».
    """
    return " ".join(fold_case(name).split())


def fold_name(name: str) -> str:
    """Return the words of a name in lower case with «е» for «ё», without punctuation."""
    return _NOT_A_WORD.sub(" ", fold_case(name)).strip()


def _with_few_marks(text: str) -> str:
    if len(text) < _SHORT_TEXT_LENGTH:
        return text
    marks = "".join(sorted(filter(_is_mark, set(text))))
    return re.sub(rf"([{marks}]{{{_MAX_MARKS}}})[{marks}]+", r"\1", text) if marks else text


@lru_cache(maxsize=_CACHED_CHARACTERS)
def _is_mark(letter: str) -> bool:
    """Return whether a character is a combining mark, or decomposes into such marks."""
    return unicodedata.combining(unicodedata.normalize("NFKD", letter)[0]) > 0
