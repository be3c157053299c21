"""Signs of what a message wants, as numbers: the plain rule's reading, its manner and what stands around it."""

import re

from services.appeals.understanding.judgement import Context
from services.appeals.understanding.rule import LABELS, Reading, verdict
from services.appeals.understanding.urgency_signs import signs as urgency_signs

_MENTION = re.compile(r"^\s*(?:\[(?:id|club)\d+\|[^\]]*\]|[А-ЯЁ][а-яё]+(?: [А-ЯЁ][а-яё]+)?)\s*,")
_TYPES = ("complaint", "question", "request", "proposal", "thanks", "spam", "abuse", "chatter")
_KINDS = ("comment", "wall_post", "message")
_LENGTHS = (0, 2, 5, 10, 25, 50)
WEIGHT = 0.15


def wants(text: str, context: Context, reading: Reading) -> list[float]:
    """Signs of whether an answer is wanted and of which kind."""
    ruled = verdict(reading, text, context)
    count = len(reading.words)
    flags = [
        *(reading.has(label) for label in LABELS),
        reading.mark,
        reading.asks,
        reading.idle,
        *(ruled.needs_answer == value for value in ("yes", "no", "unsure")),
        *(ruled.type == value for value in _TYPES),
        *(context.kind == kind for kind in _KINDS),
        bool(context.post_text),
        context.to_citizen,
        _MENTION.match(text) is not None,
        *(count <= length for length in _LENGTHS),
        reading.topic[0] is not None,
        any(word.isdigit() for word in reading.words),
        "!" in text,
        ")" in text,
        text.isupper(),
    ]
    return [WEIGHT * flag for flag in flags]


def urges(text: str, context: Context) -> list[float]:
    """Signs of how urgent a message is; under a post about an outage a short message tells of the same."""
    above = urgency_signs(context.post_text).fault is not None if context.post_text else False
    return [2 * WEIGHT * sign for sign in (*urgency_signs(text).features(), above, above and len(text) < _SHORT)]


_SHORT = 70
