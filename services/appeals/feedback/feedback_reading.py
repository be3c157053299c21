"""Reading of feedback: what a message says about the answer that it follows, from its words alone. Pure functions.
A doubtful message is not read as feedback but handled like any other; sarcasm is left to people.
"""

import re
from dataclasses import dataclass
from typing import Literal

from services.appeals.classification.text.tokenizer import CleanText, StemIndex
from services.appeals.feedback import feedback_words as words

# The name of these rules, stored with the feedback that they read. Increase the number when the rules change.
READ_BY_RULE = "rule:feedback-1"
# Marks below this one are dissatisfaction. The targets of the federal platform count marks 4 and 5 as good; a 3 is
# not a request to continue the work.
LOWEST_CONTENT_MARK = 3
HIGHEST_MARK = 5

# Longer texts say more than feedback, and the time of the patterns below grows with the square of the length.
_MAX_LENGTH = 600
_MAX_WORDS_OF_THANKS = 30
_MAX_WORDS = 80
_STARS = re.compile(r"[\s\ufe0f]*+(?P<full>[⭐★🌟](?:[\s\ufe0f]*+[⭐★🌟])*+)[☆\s\ufe0f]*+[!.]*+\s*+")
_STAR = re.compile("[⭐★🌟]")
_BARE_MARK = re.compile(r"\s*([1-5])\ufe0f?\u20e3?(?:\s*[-+]{1,3})?[\s!.)]*")
_OUT_OF_FIVE = re.compile(r"(?<!\d)([1-5])\s*(?:/|из)\s*(?:5|пяти)(?!\d)")
_DIGIT = re.compile(r"[1-5]")
_NUMBER = re.compile(r"\d+")
_QUOTES = frozenset('«»"„“”()')
# Emoji and smileys that accompany sincere thanks; with any other emoji the words may mean the opposite.
_KIND_EMOJI = frozenset("👍🙏❤💐🌹👏🤝🔥🥰😍💯🎉✅☺🙂😊😀😃😄😘💙💚💛🧡💜🤗👌🌷🌸🌺✨🎊💪🫶⭐★🌟")
_IGNORED = frozenset("\ufe0f\u200d🏻🏼🏽🏾🏿\u20e3")
_SMILES = re.compile(r"[:;]?-?\)+(?=\s|$)")

FeedbackWord = Literal["thanks", "not_solved", "mark"]


@dataclass(frozen=True)
class FeedbackReading:
    """The feedback that a message gives on an answer, with the reason in Russian. A `mark` is 1 to 5; with a low
    mark the kind is `not_solved`. `is_alone`: the message says nothing else, so it can be feedback without
    replying to a message of the appeal. `is_bare`: the message is only a digit, which may mean something else.
    """

    kind: FeedbackWord
    reason: str
    mark: int | None = None
    is_alone: bool = True
    is_bare: bool = False


def read_feedback(text: str) -> FeedbackReading | None:
    """Return the feedback of a message on the answer that it follows; None if it is not certain."""
    if len(text) > _MAX_LENGTH:
        return None
    stars = _STARS.fullmatch(text)
    if stars is not None:
        count = len(_STAR.findall(stars["full"]))
        return _mark(count, f"Оценка звёздами: {count}") if count <= HIGHEST_MARK else None
    bare = _BARE_MARK.fullmatch(text)
    if bare is not None:
        return _mark(int(bare[1]), f"Оценка: {bare[1]}", is_bare=True)
    clean = CleanText.of(text)
    if not clean.tokens or len(clean.tokens) > _MAX_WORDS or words.UNSURE.find(clean.tokens):
        return None
    return _read_words(clean)


def _read_words(clean: CleanText) -> FeedbackReading | None:
    dissatisfied = _dissatisfied(clean)
    mark = _named_mark(clean, also_dissatisfied=dissatisfied is not None)
    if dissatisfied is not None:
        if mark is not None and mark >= LOWEST_CONTENT_MARK:
            return None
        return FeedbackReading("not_solved", dissatisfied.reason, mark, dissatisfied.is_alone)
    if mark is not None:
        return _mark(mark, f"Оценка словами: {mark}")
    return _satisfied(clean)


def _mark(mark: int, reason: str, *, is_bare: bool = False) -> FeedbackReading:
    kind: FeedbackWord = "mark" if mark >= LOWEST_CONTENT_MARK else "not_solved"
    return FeedbackReading(kind, reason, mark, is_bare=is_bare)


def _named_mark(text: CleanText, *, also_dissatisfied: bool) -> int | None:
    """Return the mark if the words name exactly one: «оценка 4», «пятёрка вам», «5 из 5»."""
    out_of_five = _OUT_OF_FIVE.search(text.cleaned)
    rest = _OUT_OF_FIVE.sub(" ", text.cleaned) if out_of_five else text.cleaned
    tokens = CleanText.of(rest).tokens
    marks = [int(word) for word in tokens if _DIGIT.fullmatch(word)]
    marks += [words.MARK_WORDS[word] for word in tokens if word in words.MARK_WORDS]
    if out_of_five:
        marks.append(int(out_of_five[1]))
    if len(set(marks)) != 1:
        return None
    others = [word for word in tokens if not _DIGIT.fullmatch(word) and word not in words.MARK_WORDS]
    named = bool(words.MARK.find(others)) or bool(out_of_five)
    named = named or any(word in words.MARK_WORDS and word not in words.PLAIN_NUMBERS for word in tokens)
    if not named or any(_NUMBER.match(word) for word in others) or "?" in text.original:
        return None
    if also_dissatisfied or not _unexplained(others, words.MARK, words.THANKS, words.SOLVED, words.FILLER):
        return marks[0]
    return None


def _dissatisfied(text: CleanText) -> FeedbackReading | None:
    tokens = text.tokens
    found = words.NOT_SOLVED.find(tokens)
    if not found or _confirms(tokens):
        return None
    if "?" in text.original and not words.GOES_ON.find(tokens):
        return None
    quote = max(found, key=lambda match: match.weight).words
    rest = _unexplained(tokens, words.NOT_SOLVED, words.THANKS, words.FILLER, words.NEGATION, words.MARK)
    other_words = [word for word in rest if word not in words.CONNECTING and word not in words.MARK_WORDS]
    return FeedbackReading("not_solved", f"Вопрос не решён: «{quote}»", is_alone=not other_words)


def _confirms(tokens: list[str]) -> bool:
    """Return whether the words also say that something was done: «двор убрали, а дорогу не сделали»."""
    return any(match.start == 0 or tokens[match.start - 1] != "не" for match in words.SOLVED.find(tokens))


def _satisfied(text: CleanText) -> FeedbackReading | None:
    tokens = text.tokens
    thanks, solved = words.THANKS.find(tokens), words.CONFIRMED.find(tokens)
    if len(tokens) == 1 and tokens[0] in words.CONFIRMED_ALONE:
        solved = words.SOLVED.find(tokens)
    if not (thanks or solved) or len(tokens) > _MAX_WORDS_OF_THANKS or "?" in text.original:
        return None
    if words.NEGATION.find(tokens) or _has_other_signs(text.original):
        return None
    if _unexplained(tokens, words.THANKS, words.SOLVED, words.FILLER):
        return None
    quote = (thanks or solved)[0].words
    return FeedbackReading("thanks", f"Благодарность: «{quote}»" if thanks else f"Вопрос решён: «{quote}»")


def _has_other_signs(text: str) -> bool:
    """Return whether quotes, brackets or emoji may turn the words into their opposite: «спасибо» (нет) 🤦."""
    shown = _SMILES.sub(" ", text)
    return any(
        sign in _QUOTES
        or (
            not sign.isascii() and not sign.isalnum() and sign not in _KIND_EMOJI | _IGNORED and ord(sign) > 0x2100
        )
        for sign in shown
    )


def _unexplained(tokens: list[str], *known: StemIndex) -> list[str]:
    """Return the words that match none of these lists."""
    explained: set[int] = set()
    for index in known:
        for match in index.find(tokens):
            explained.update(range(match.start, match.start + len(match.words.split())))
    return [word for number, word in enumerate(tokens) if number not in explained]
