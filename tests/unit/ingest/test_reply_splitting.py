"""Splitting of long replies: complete text, length limits and natural breaks."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest.publishing.text_splitting import remaining_text, split_text

WORDS = st.text(
    alphabet=st.sampled_from("абв .!?»\n\r\t\u0301\u200d\ufe0f👩🏽👨🇷🇺\u00a0\u2028zZ\x00"), max_size=300
)


def units(text: str) -> int:
    """Return the length as networks count it."""
    return len(text.encode("utf-16-le")) // 2


def bare(text: str) -> str:
    """Return the text without white space."""
    return "".join(text.split())


@settings(max_examples=300, database=None, derandomize=True, deadline=None)
@given(WORDS | st.text(max_size=200), st.integers(2, 60))
def test_parts_fit_limit_and_keep_text(text: str, limit: int) -> None:
    parts = split_text(text, limit)
    assert all(units(part) <= limit for part in parts)
    assert bare("".join(parts)) == bare(text)
    if units(text) > limit:
        assert all(part == part.strip() and part for part in parts)


@settings(max_examples=200, database=None, derandomize=True, deadline=None)
@given(
    st.lists(st.text(alphabet="абвгд,.!", min_size=1, max_size=20), min_size=1, max_size=40), st.integers(20, 60)
)
def test_words_shorter_than_limit_are_not_split(words: list[str], limit: int) -> None:
    assert " ".join(split_text(" ".join(words), limit)).split() == words


@settings(max_examples=200, database=None, derandomize=True, deadline=None)
@given(WORDS, st.integers(2, 60), st.integers(0, 5))
def test_remaining_text_follows_published_parts(text: str, limit: int, count: int) -> None:
    parts = split_text(text, limit)
    rest = remaining_text(text, parts[:count])
    assert rest is not None
    assert bare(rest) == bare("".join(parts[count:]))


def test_text_within_limit_is_unchanged() -> None:
    assert split_text(" так и есть \n", 13) == [" так и есть \n"]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Первый абзац.\n\nВторой абзац. И ещё.", ["Первый абзац.", "Второй абзац. И ещё."]),
        ("Первая строка тут.\nВторая. Строка", ["Первая строка тут.", "Вторая. Строка"]),
        ("Говорим «да.» Потом идём и дальше", ["Говорим «да.»", "Потом идём и дальше"]),
        ("Просто длинные слова без единой точки", ["Просто длинные слова", "без единой точки"]),
        ("Одно.\n\nДва слова и ещё много других слов", ["Одно.\n\nДва слова и", "ещё много других", "слов"]),
    ],
)
def test_breaks_prefer_paragraphs_and_sentences(text: str, parts: list[str]) -> None:
    assert split_text(text, 20) == parts


@pytest.mark.parametrize("cluster", ["👩‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "e\u0301\u0302", "🇷🇺"])
def test_graphemes_are_not_split(cluster: str) -> None:
    parts = split_text(cluster * 40, 50)
    assert len(parts) > 1
    assert all(part.replace(cluster, "") == "" for part in parts)


def test_grapheme_longer_than_limit_is_split_without_loss() -> None:
    assert "".join(split_text("а" + "\u0301" * 50, 20)) == "а" + "\u0301" * 50


def test_emoji_count_as_two_units() -> None:
    assert [len(part) for part in split_text("😀" * 10, 10)] == [5, 5]


def test_remaining_text_is_none_if_the_text_does_not_begin_with_the_parts() -> None:
    assert remaining_text("Раз. Два. Три.", ["Раз.", "Два."]) == "Три."
    assert remaining_text("Раз.  Два.", ["Раз.", "Два."]) == ""
    assert remaining_text("Раз! Два. Три.", ["Раз.", "Два."]) is None
    assert remaining_text("Раз.", ["Раз.", "Два."]) is None


def test_limit_below_two_raises_an_error() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        split_text("а", 1)
