"""Checks for plain language: officialese, chains of verbal nouns and participles, long sentences, readability."""

import re
from collections.abc import Iterator, Sequence

from services.appeals.replies.checks.hints import Hint
from services.appeals.replies.checks.phrases import phrase_index
from services.appeals.replies.checks.reply_words import ReplyWords, Word

_VERBAL_ENDINGS = ("ание", "ение", "яние", "ытие", "итие", "ятие", "отие")
_SHORTEST_VERBAL_NOUN = 7
# Common nouns with the ending of verbal nouns that do not make a text hard to read.
_THINGS = frozenset(
    {
        "здание", "отопление", "освещение", "население", "отделение", "внимание", "решение", "поселение",
        "образование", "расписание", "мнение", "питание", "управление", "учреждение", "здравоохранение",
        "помещение", "обращение", "заявление", "состояние", "занятие", "предприятие", "мероприятие",
        "электроснабжение", "водоснабжение", "теплоснабжение", "движение", "направление", "отношение",
        "условие", "наличие", "участие", "понимание", "задание", "заседание", "собрание", "явление",
        "растение", "покрытие", "сообщение", "развитие", "объявление", "положение", "значение",
        "основание", "постановление", "назначение", "название", "извинение", "желание", "отключение",
        "событие",
    }
)  # fmt: skip
_WINDOW = 8
_MANY_VERBAL_NOUNS = 3
_MANY_PARTICIPLES = 3
_LONG_SENTENCE = 30
_VOWELS = re.compile("[аеёиоуыэюяөү]", re.IGNORECASE)
# Below this score a text is as hard to read as a scientific one.
_HARD = 15.0
_FEWEST_WORDS = 25


def find_officialese(words: ReplyWords) -> Iterator[Hint]:
    """Yield hints for phrases and constructions typical of official documents."""
    for advice, span in words.find(phrase_index("officialese.csv")):
        yield Hint.of("officialese", f"Канцелярит. {advice}", span)
    for sentence in words.sentences:
        yield from _chains(sentence)


def _chains(sentence: Sequence[Word]) -> Iterator[Hint]:
    nouns = [at for at, word in enumerate(sentence) if is_verbal_noun(word)]
    for first, last in zip(nouns, nouns[_MANY_VERBAL_NOUNS - 1 :], strict=False):
        if last - first < _WINDOW:
            message = "Много отглагольных существительных подряд: замените их глаголами."
            yield Hint.of("verbal_nouns", message, (sentence[first].start, sentence[last].end))
            break
    participles = [word for word in sentence if word.has("PRTF")]
    if len(participles) >= _MANY_PARTICIPLES:
        message = "Много причастий в одном предложении: разбейте его и замените их глаголами."
        yield Hint.of("participles", message, (participles[0].start, participles[-1].end))
    if len(sentence) > _LONG_SENTENCE:
        message = f"Длинное предложение, слов: {len(sentence)}. Разбейте его."
        yield Hint.of("long_sentence", message, (sentence[0].start, sentence[-1].end))


def is_verbal_noun(word: Word) -> bool:
    """Return whether the word is a noun made from a verb, such as «проведение»."""
    return (
        word.has("NOUN")
        and len(word.lemma) >= _SHORTEST_VERBAL_NOUN
        and word.lemma.endswith(_VERBAL_ENDINGS)
        and word.lemma not in _THINGS
    )


def reading_ease(words: ReplyWords) -> float | None:
    """Return Flesch's reading ease in the adaptation to Russian by I. Oborneva; None without words.

    206.835 − 1.3 × (words per sentence) − 60.1 × (syllables per word): Оборнева И. В. Автоматизированная оценка
    сложности учебных текстов на основе статистических параметров. М., 2006. Greater is easier; a Russian word has
    as many syllables as vowels.
    """
    counted = [word for word in words.words if not word.folded.isdecimal()]
    if not counted:
        return None
    syllables = sum(max(len(_VOWELS.findall(word.folded)), 1) for word in counted)
    return 206.835 - 1.3 * len(counted) / len(words.sentences) - 60.1 * syllables / len(counted)


def find_hard_text(words: ReplyWords) -> Iterator[Hint]:
    """Yield a hint if the text is hard to read."""
    ease = reading_ease(words)
    if ease is not None and ease < _HARD and len(words.words) >= _FEWEST_WORDS:
        message = "Текст трудно читать: нужны более короткие слова и предложения."
        yield Hint.of("hard_to_read", message)
