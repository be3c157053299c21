"""Features from the keyword rules: the request of a message, its tone, and its context."""

import re

from services.appeals.classification.rules.keyword_classifier import (
    KEYWORD_LABELS,
    KeywordMatches,
    classify_matches,
)
from services.appeals.classification.rules.urgency_signals import UrgencySignals, post_urgency_signals
from services.appeals.classification.types import MessageContext

_MENTION = re.compile(r"^\s*(?:\[(?:id|club)\d+\|[^\]]*\]|[А-ЯЁ][а-яё]+(?: [А-ЯЁ][а-яё]+)?)\s*,")
_TYPES = ("complaint", "question", "request", "proposal", "thanks", "spam", "abuse", "chatter")
_KINDS = ("comment", "wall_post", "message")
_LENGTHS = (0, 2, 5, 10, 25, 50)
RULE_FEATURE_WEIGHT = 0.15
# Patterns of a post's question to readers: where a problem is, or what they think or guess.
_ASKS_WHERE = re.compile(
    r"(?:присыла|пришли|пиш|остав|укаж|указы|сообщ|назов|кида|скид|скинь|отме[тч]|жд[её]м|видите)[^.!?\n]{0,60}"
    r"(?:адрес|фото|локац|улиц|координат|где)|(?:адрес|фото)[^.!?\n]{0,30}(?:присыла|пиш|напиш|остав|кида|коммент)",
    re.IGNORECASE,
)
_ASKS_WHAT = re.compile(
    r"угада|голосу|как вы думаете|что думаете|какую|какой ваш|любим[а-яё]+ |делитесь|поделит|расскажите|вспомн"
    r"|напишите в комм|пишите в комм|ваши идеи|предлагайте|ваше мнение|выбира",
    re.IGNORECASE,
)
_ADDRESS = re.compile(
    r"^[+\s]*(?:и |а |ещ[её] |тоже |двор |адрес:? )?(?:на |по |у )?(?:ул\.? |улиц[аеу] )?[\w-]+(?: [\w-]+)?,? "
    r"(?:д\.? ?|дом )?\d+ ?[а-я]?(?:(?:[ ,/-]|и)+\d+ ?[а-я]?){0,4}[\W_]*(?:\[?фото\]?)?[\W_]*$",
    re.IGNORECASE,
)
_ALSO = re.compile(
    r"^\W*(?:и|а|у нас|у меня|тоже|также|мы|нам|нас|на|по|где|когда|сколько|включ|дайте|дадут)(?!\w)",
    re.IGNORECASE,
)


def need_features(text: str, context: MessageContext, reading: KeywordMatches) -> list[float]:
    """Return the features for the need of an answer and for the message type."""
    ruled = classify_matches(reading, text, context)
    count = len(reading.words)
    flags = [
        *(reading.has(label) for label in KEYWORD_LABELS),
        reading.has_question_mark,
        reading.starts_with_question_word,
        reading.is_small_talk,
        *(ruled.needs_answer == value for value in ("yes", "no", "unsure")),
        *(ruled.type == value for value in _TYPES),
        *(context.kind == kind for kind in _KINDS),
        bool(context.post_text),
        context.replies_to_citizen,
        _MENTION.match(text) is not None,
        *(count <= length for length in _LENGTHS),
        reading.topic_group[0] is not None,
        any(word.isdigit() for word in reading.words),
        "!" in text,
        ")" in text,
        text.isupper(),
        *_under_post(text, context.post_text or ""),
    ]
    return [RULE_FEATURE_WEIGHT * flag for flag in flags]


def _under_post(text: str, post: str) -> list[bool]:
    """Return the features of the post's question, of a message that answers it, and of short replies to a post
    about an outage.
    """
    where, address = _ASKS_WHERE.search(post) is not None, len(text) <= _SHORT and _ADDRESS.match(text) is not None
    what = _ASKS_WHAT.search(post) is not None
    above = bool(post) and post_urgency_signals(post).utility_failure is not None
    short = len(text) < _SHORT
    return [
        where,
        address,
        where and address,
        what,
        what and short,
        above,
        above and short,
        above and short and _ALSO.match(text) is not None,
    ]


def urgency_features(found: UrgencySignals, text: str, context: MessageContext) -> list[float]:
    """Return the urgency features; a short message under a post about an outage counts as reporting it too."""
    post = post_urgency_signals(context.post_text) if context.post_text else None
    above = post is not None and post.utility_failure is not None
    lasting = above and post is not None and not post.in_the_past
    short = len(text) < _SHORT
    also = short and _ALSO.match(text) is not None
    around = (above, above and short, lasting and short, lasting and also, above and also)
    return [2 * RULE_FEATURE_WEIGHT * sign for sign in (*found.features(), *around)]


_SHORT = 70
