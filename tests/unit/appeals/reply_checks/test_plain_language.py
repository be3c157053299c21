"""Readability and officialese."""

import pytest

from services.appeals.replies.checks.plain_language import is_verbal_noun, reading_ease
from services.appeals.replies.checks.reply_words import ReplyWords


def test_reading_ease_is_computed_by_the_formula() -> None:
    # 2 sentences, 5 words, 8 syllables.
    words = ReplyWords.of("Мама мыла раму. Кот спит.")
    assert reading_ease(words) == pytest.approx(206.835 - 1.3 * 5 / 2 - 60.1 * 8 / 5)


def test_text_without_words_has_no_reading_ease() -> None:
    assert reading_ease(ReplyWords.of("12.12.2026 …")) is None


def test_verbal_nouns_are_distinguished_from_other_nouns() -> None:
    found = {
        word.folded
        for word in ReplyWords.of("проведение собрания, устранение, здание, отопление").words
        if is_verbal_noun(word)
    }
    assert found == {"проведение", "устранение"}


def test_sentences_end_at_marks_and_lines_but_not_inside_numbers() -> None:
    words = ReplyWords.of("Яму засыпали 30.11.2026 в 18.00. Готово!\nМастер")
    assert [len(sentence) for sentence in words.sentences] == [8, 1, 1]


def test_word_offsets_point_into_the_original_text() -> None:
    text = "Ёлка  «у» дома № 5"
    assert [text[word.start : word.end] for word in ReplyWords.of(text).words] == ["Ёлка", "у", "дома", "5"]
