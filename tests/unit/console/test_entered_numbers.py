"""Numbers that people enter in forms."""

import pytest

from services.console.site.forms import number, whole_number


@pytest.mark.parametrize(
    ("text", "found"), [("2,5", 2.5), (" 16 ", 16), ("", None), ("nan", None), ("-inf", None), ("1e999", None)]
)
def test_entered_number_is_parsed_only_if_finite(text: str, found: float | None) -> None:
    assert number(text) == found


@pytest.mark.parametrize(
    ("text", "found"), [("0", 0), ("007", 7), ("", None), ("-1", None), ("²", None), ("9" * 5_000, None)]
)
def test_whole_number_is_parsed_only_if_it_has_digits_alone_and_fits_a_column(
    text: str, found: int | None
) -> None:
    assert whole_number(text) == found
