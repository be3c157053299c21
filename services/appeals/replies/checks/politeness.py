"""Checks for politeness: a greeting, «вы», no reproach, no shouting (several words in capitals, or «!!»)."""

import re
from collections.abc import Iterator

from services.appeals.replies.checks.hints import Hint
from services.appeals.replies.checks.phrases import phrase_index
from services.appeals.replies.checks.reply_words import ReplyWords
from services.appeals.replies.checks.substance import GREETING

_GREETED_WITHIN = 200
_INFORMAL = frozenset({"ты", "тебя", "тебе", "тобой", "твой", "твоя", "твое", "твои", "твоих", "твоему"})
_EXCLAIMED = re.compile(r"!{2,}|\?!|!\?")
_CAPITALS = re.compile(r"(?<![\w])[А-ЯЁ]{5,40}(?![\w])")
_MANY_CAPITALS = 3


def find_impoliteness(words: ReplyWords) -> Iterator[Hint]:
    """Yield hints for passages that a citizen may find rude."""
    if not GREETING.search(words.text, 0, _GREETED_WITHIN):
        yield Hint.of("no_greeting", "Нет приветствия: начните со «Здравствуйте», лучше по имени.")
    for advice, span in words.find(phrase_index("impolite.csv")):
        yield Hint.of("impolite", f"Может обидеть. {advice}", span)
    informal = next((word for word in words.words if word.folded in _INFORMAL), None)
    if informal is not None:
        yield Hint.of("informal_address", "Обращайтесь на «вы».", (informal.start, informal.end))
    loud = _EXCLAIMED.search(words.text)
    capitals = [match.span() for match in _CAPITALS.finditer(words.text)]
    if loud is not None or len(capitals) >= _MANY_CAPITALS:
        message = "Похоже на крик: обойдитесь без «!!» и слов прописными буквами."
        yield Hint.of("shouting", message, loud.span() if loud is not None else capitals[0])
