"""Classification by keyword rules: need for an answer, topic group and urgency of a message.

A pure function of the text, the kind of message and its context. A doubtful message is left to a moderator: only a
message that clearly needs no answer is classified «no». docs/developer/classification.md explains the rules in the
order of this file.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache

from services.appeals.classification.rules import lexicon
from services.appeals.classification.text import word_lists
from services.appeals.classification.text.text_limits import truncate_input, truncation_note, with_truncation_note
from services.appeals.classification.text.tokenizer import (
    CleanText,
    StemIndex,
    StemMatch,
    clean_post,
    has_link,
    split_sentences,
)
from services.appeals.classification.text.transliteration import to_cyrillic
from services.appeals.classification.types import ClassificationResult, MessageContext, MessageType
from shared.contracts.values import Urgency

KEYWORD_CLASSIFIER = "rule:plain-1"

_BURYAT = re.compile("[өүһ]")
_PHONE = re.compile(r"(?:\+7|\b8)[\s(-]*+\d{3}[\s)-]*+\d{3}[\s-]*+\d{2}[\s-]*+\d{2}")
_LONG = 20
_SHORT = 6
_PRAISE = 14
_STEMS = StemIndex(
    {
        "question": lexicon.QUESTION,
        "request": lexicon.REQUEST,
        "proposal": lexicon.PROPOSAL,
        "problem": lexicon.PROBLEM,
        "weak": lexicon.WEAK_PROBLEM,
        "negation": lexicon.NEGATION,
        "thanks": lexicon.THANKS,
        "contrast": lexicon.CONTRAST,
        "solved": lexicon.SOLVED,
        "spam": lexicon.SPAM,
        "abuse": lexicon.ABUSE,
        "danger": lexicon.DANGER,
        "outage": lexicon.OUTAGE,
        "many": lexicon.MANY_AFFECTED,
        "children": lexicon.CHILDREN_PLACES,
        "cold": lexicon.COLD,
        "past": lexicon.PAST_OR_RECURRING,
    }
)
KEYWORD_LABELS = (
    "question",
    "request",
    "proposal",
    "problem",
    "weak",
    "negation",
    "thanks",
    "contrast",
    "solved",
    "spam",
    "abuse",
    "danger",
    "outage",
    "many",
    "children",
    "cold",
    "past",
)
_ASKING = StemIndex({"asking": lexicon.QUESTION_OPENERS})
_IDLE = StemIndex({"idle": lexicon.SMALL_TALK})


class TopicGroupIndex:
    """Index from stems to topic groups."""

    def __init__(self, stems: Mapping[str, Sequence[str]]) -> None:
        """`stems` maps the code of a group to its stems."""
        self._index = StemIndex(stems)

    @staticmethod
    @cache
    def of_groups() -> "TopicGroupIndex":
        """Return the index of the stems of the 26 groups."""
        rows = word_lists.load_rows("group_stems.csv")
        return TopicGroupIndex({row["group"]: [stem.strip() for stem in row["stems"].split(",")] for row in rows})

    def best(self, found: list[str]) -> tuple[str | None, list[StemMatch]]:
        """Return the group with the most matched words (in a tie, the first in the text), and its matches."""
        hits = self._index.find(found)
        if not hits:
            return None, []
        weight: dict[str, int] = {}
        for hit in hits:
            weight[hit.label] = weight.get(hit.label, 0) + hit.weight
        best = max(weight, key=lambda label: weight[label])
        return best, [hit for hit in hits if hit.label == best]


class KeywordMatches:
    """The keyword matches of a text: its words by label, and the topic group."""

    def __init__(self, text: str | CleanText) -> None:
        """Match a text, cleaned or not."""
        self.source = CleanText.of(text)
        self.text = self.source.cleaned
        self.words = self.source.tokens
        self.hits: dict[str, list[StemMatch]] = {}
        for hit in _STEMS.find(self.words):
            self.hits.setdefault(hit.label, []).append(hit)
        self.has_question_mark = "?" in self.text
        self.starts_with_question_word = any(_ASKING.find(sentence[:2]) for sentence in split_sentences(self.text))
        self.is_small_talk = any(hit.start == 0 for hit in _IDLE.find(self.words))
        self.topic_group = TopicGroupIndex.of_groups().best(self.words)

    def has(self, label: str) -> bool:
        """Return whether any word has the label."""
        return label in self.hits

    def quote(self, *labels: str) -> str:
        """Return the words with one of the labels, at most five, in quotation marks."""
        found = dict.fromkeys(hit.words for label in labels for hit in self.hits.get(label, ()))
        return ", ".join(f"«{words_}»" for words_ in list(found)[:5])


def classify_by_keywords(text: str, context: MessageContext) -> ClassificationResult:
    """Classify one message by keywords. Raises no error for any text."""
    note = truncation_note(text)
    text, context = truncate_input(text, context)
    text = to_cyrillic(text)
    return with_truncation_note(classify_matches(KeywordMatches(text), text, context), note)


def classify_matches(read: KeywordMatches, text: str, context: MessageContext) -> ClassificationResult:
    """Classify a text by its keyword matches."""
    if not read.words:
        return classify_without_words(text, read, context)
    topic, named = read.topic_group
    if letters := sorted(set(_BURYAT.findall(text.lower()))):
        return ClassificationResult(
            "unsure", "chatter", _urgency(read)[0], topic, 0.5, f"Бурятский текст (буквы {', '.join(letters)})"
        )
    if nothing := _needs_no_answer(read, text):
        return nothing
    asked = _asked(read, context, named)
    if asked is None:
        return _quiet(read, context, topic, named)
    kind, confidence, why = asked
    urgency, danger = _urgency(read)
    if topic is None and context.post_text:
        topic, _ = TopicGroupIndex.of_groups().best(clean_post(context.post_text).tokens)
    if named:
        why += "; тема: " + ", ".join(f"«{hit.words}»" for hit in named[:3])
    if danger:
        why += f"; срочно: {danger}"
    return ClassificationResult("yes", kind, urgency, topic, confidence, why)


def classify_without_words(text: str, read: KeywordMatches, context: MessageContext) -> ClassificationResult:
    """Classify a message whose text has no words: an attachment, a question mark, a link or an emoji."""
    if context.has_attachments and not context.only_stickers:
        return ClassificationResult(
            "unsure", "chatter", "normal", None, 0.5, "Вложение без текста: должен посмотреть человек"
        )
    if read.has_question_mark and not context.replies_to_citizen:
        return ClassificationResult("unsure", "question", "normal", None, 0.5, "Только вопросительный знак")
    if text.strip() and (has_link(text) and not context.replies_to_citizen):
        return ClassificationResult(
            "unsure", "chatter", "normal", None, 0.4, "Только ссылка: должен посмотреть человек"
        )
    return ClassificationResult("no", "chatter", "normal", None, 0.95, "Нет слов: знаки, эмодзи или стикер")


def _needs_no_answer(read: KeywordMatches, text: str) -> ClassificationResult | None:
    """Return the classification of advertising, or of a matter that its author calls closed: no answer is due.
    None for other messages.
    """
    offers = {hit.words for hit in read.hits.get("spam", ())}
    leads_away = has_link(text) or _PHONE.search(text) is not None
    if (len(offers) >= 2 or (offers and leads_away)) and not (read.has_question_mark and read.has("problem")):
        return ClassificationResult("no", "spam", "normal", None, 0.9, f"Реклама: {read.quote('spam')}")
    if read.has("solved") and not (read.has_question_mark or read.has("contrast") or read.has("request")):
        return ClassificationResult(
            "no", "chatter", "normal", None, 0.85, f"Вопрос закрыт: {read.quote('solved')}"
        )
    return None


def _asked(  # noqa: PLR0911 — one return per line of the rule
    read: KeywordMatches, context: MessageContext, named: list[StemMatch]
) -> tuple[MessageType, float, str] | None:
    """Return type, confidence and reason for a message that asks for something or reports a problem; None if its
    words show neither.
    """
    about_something = bool(named) or read.has("problem") or read.has("weak")
    # «Спасибо, ям больше нет»: short praise names a solved problem; a long text with thanks is a request that
    # thanks in advance.
    praised = read.has("thanks") and not read.has("contrast") and len(read.words) <= _PRAISE
    question = read.has_question_mark or read.has("question") or read.starts_with_question_word
    if question and not _idle(read, context, about_something):
        if read.has("problem"):
            return "complaint", 0.9, f"Вопрос о проблеме: {read.quote('problem', 'question') or '«?»'}"
        return "question", 0.85, f"Вопрос: {read.quote('question') or '«?»'}"
    if read.has("danger"):
        return "complaint", 0.9, f"Опасность: {read.quote('danger')}"
    if read.has("proposal") and not context.replies_to_citizen:
        return "proposal", 0.75, f"Предложение: {read.quote('proposal')}"
    if read.has("problem") and not (praised and not read.has("request")):
        kind: MessageType = "request" if read.has("request") and len(read.hits["problem"]) == 1 else "complaint"
        return kind, 0.85, f"Проблема: {read.quote('problem', 'request')}"
    if read.has("request") and not (context.replies_to_citizen and not named):
        return "request", 0.75, f"Просьба: {read.quote('request')}"
    if named and read.has("weak") and not praised:
        return "complaint", 0.65, f"Недовольство предметом: {read.quote('weak')}"
    if named and read.has("negation") and not praised and not context.replies_to_citizen:
        return "complaint", 0.6, f"Предмет и отрицание: {read.quote('negation')}"
    if read.has("thanks") and read.has("contrast") and named:
        return "complaint", 0.6, f"Благодарность с оговоркой: {read.quote('contrast')}"
    return None


def _idle(read: KeywordMatches, context: MessageContext, about_something: bool) -> bool:
    """Return whether a question needs no official answer: small talk, or talk between citizens."""
    if about_something:
        return False
    if read.has("question"):
        return False
    return read.is_small_talk or context.replies_to_citizen or (read.has("thanks") and not read.has_question_mark)


def _quiet(  # noqa: PLR0911
    read: KeywordMatches, context: MessageContext, topic: str | None, named: list[StemMatch]
) -> ClassificationResult:
    """Classify a message without question, request or problem."""
    if read.has("thanks"):
        return ClassificationResult(
            "no", "thanks", "normal", None, 0.9, f"Благодарность или пожелание: {read.quote('thanks')}"
        )
    if read.has("abuse") and len(read.words) <= _SHORT:
        return ClassificationResult(
            "no", "abuse", "normal", None, 0.8, f"Только оскорбление: {read.quote('abuse')}"
        )
    if context.replies_to_citizen:
        return ClassificationResult("no", "chatter", "normal", None, 0.75, "Разговор между жителями")
    addressed = context.kind != "comment"
    greeting = len(read.words) <= 3 and read.words[0].startswith(("здравств", "добр", "привет", "сайн"))
    if greeting and len(read.words) <= 2:
        return ClassificationResult("no", "chatter", "normal", None, 0.8, "Только приветствие")
    if named and (addressed or len(read.words) >= 3):
        names = ", ".join(f"«{hit.words}»" for hit in named[:3])
        return ClassificationResult(
            "unsure", "chatter", "normal", topic, 0.4, f"Назван предмет без просьбы: {names}"
        )
    if addressed or len(read.words) >= _LONG or context.has_attachments or _is_address(read):
        return ClassificationResult(
            "unsure", "chatter", "normal", topic, 0.4, "Обращено к странице без ясной просьбы"
        )
    return ClassificationResult("no", "chatter", "normal", None, 0.7, "Нет вопроса, просьбы или проблемы")


def _is_address(read: KeywordMatches) -> bool:
    """Return whether the text is a street with a house, which may be the answer to a post."""
    streets = ("ул", "улица", "улице", "переулок", "пер", "проспект", "пр", "мкр", "дом", "д")
    return any(word in streets for word in read.words) and any(word.isdigit() for word in read.words)


def _urgency(read: KeywordMatches) -> tuple[Urgency, str]:
    """Return the urgency, and the words that decided it."""
    if read.has("past"):
        return "normal", ""
    if read.has("danger"):
        return "high", read.quote("danger")
    if read.has("outage") and read.has("many"):
        return "high", read.quote("outage", "many")
    if read.has("children") and read.has("cold"):
        return "high", read.quote("children", "cold")
    return "normal", ""
