"""Checks that a reply answers the question («когда» by a date, «почему» by a reason, «куда» by a contact) and is
about the same subject.
"""

from collections.abc import Iterator

from services.appeals.replies.checks.hints import Hint, HintCode, ReplyContext
from services.appeals.replies.checks.phrases import phrase_index
from services.appeals.replies.checks.reply_words import CONTENT, ReplyWords
from services.appeals.replies.checks.substance import has_contact, has_date

# Words that introduce a reason.
_REASONS = frozenset(
    {
        "потому", "поскольку", "причина", "поэтому", "вследствие", "ввиду", "связать", "связь", "из", "вызвать",
        "результат", "благодаря", "чтобы", "нужный", "основание", "согласно", "закон", "правило",
    }
)  # fmt: skip
# Words that occur in any question and any reply.
_COMMON = frozenset(
    {
        "быть", "мочь", "весь", "этот", "свой", "наш", "ваш", "который", "такой", "другой", "самый", "каждый",
        "год", "день", "время", "человек", "вопрос", "ответ", "сказать", "подсказать", "писать", "написать",
        "просить", "здравствовать", "добрый", "уважаемый", "спасибо", "пожалуйста", "хотеть", "стать", "знать",
        "обращение", "сделать", "делать", "какой", "город", "улица", "дом", "район", "нужный", "должный", "мера",
        "работа", "рассмотреть", "принять", "решить", "сообщить", "обратиться", "благодарить", "сведение",
    }
)  # fmt: skip
# Words that share this many first letters count as the same word: «ремонт» and «ремонтировать».
_STEM = 4
_FEWEST = 2
_PARTS: dict[str, tuple[HintCode, str]] = {
    "when": ("when_unanswered", "Гражданин спросил «когда», а даты или срока в ответе нет."),
    "why": ("why_unanswered", "Гражданин спросил «почему», а причины в ответе нет."),
    "where": ("where_unanswered", "Гражданин спросил, куда обратиться, а контакта в ответе нет."),
}


def find_unanswered(reply: ReplyWords, context: ReplyContext) -> Iterator[Hint]:
    """Yield hints for parts of the question that the reply leaves open."""
    question = ReplyWords.of(context.question)
    asked = {label for label, _ in question.find(phrase_index("questions.csv"))}
    answered = {
        "when": lambda: has_date(reply),
        "why": lambda: bool(reply.lemmas & _REASONS),
        "where": lambda: has_contact(reply),
    }
    for part in sorted(asked):
        if not answered[part]():
            code, message = _PARTS[part]
            yield Hint.of(code, message)
    subject = _content(question)
    for name in context.topic_names:
        subject |= _content(ReplyWords.of(name))
    if len(_content(question)) >= _FEWEST and not subject & _content(reply):
        message = "В ответе нет ни одного слова из вопроса: убедитесь, что он о том же."
        yield Hint.of("off_topic", message)


def _content(words: ReplyWords) -> set[str]:
    """Return the first letters of the words that carry the meaning."""
    return {
        word.lemma[:_STEM]
        for word in words.words
        if word.grammemes & CONTENT and word.lemma not in _COMMON and len(word.lemma) > _FEWEST
    }
