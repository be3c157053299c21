"""Two versions of a text, line by line, within bounded time."""

import time

from services.console.pages.reply.line_diff import DiffLine, line_diff


def test_line_diff_marks_lines_of_only_one_text() -> None:
    assert line_diff("a\nb\nc", "a\nd\nc\ne") == [
        DiffLine("same", "a"),
        DiffLine("del", "b"),
        DiffLine("ins", "d"),
        DiffLine("same", "c"),
        DiffLine("ins", "e"),
    ]


def test_repeated_lines_at_both_ends_are_matched_once() -> None:
    assert line_diff("x\nx", "x\nx\nx") == [DiffLine("same", "x"), DiffLine("same", "x"), DiffLine("ins", "x")]
    assert line_diff("x", "x") == [DiffLine("same", "x")]


def test_long_texts_with_one_change_are_compared() -> None:
    lines = [f"строка {number}" for number in range(3_000)]
    found = line_diff("\n".join(lines), "\n".join([*lines[:1_500], "новая", *lines[1_500:]]))
    assert found is not None
    assert [line for line in found if line.change != "same"] == [DiffLine("ins", "новая")]


def test_texts_that_would_take_too_long_are_not_compared() -> None:
    """Without the limit the comparison takes 17 s."""
    began = time.process_time()
    assert line_diff("а\n" + "б\n" * 1_000 + "в", "г\n" + "б\n" * 1_000 + "д") is None
    assert time.process_time() - began < 1
