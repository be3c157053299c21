"""Check digits of ИНН and ОГРН, tested with published numbers."""

from collections.abc import Callable

import pytest

from services.registry.schemas.tax_numbers import inn_error, ogrn_error


@pytest.mark.parametrize(
    ("fault", "number"),
    [
        (inn_error, "7707083893"),
        (inn_error, "500100732259"),
        (ogrn_error, "1027700132195"),
        (ogrn_error, "304500116000157"),
    ],
)
def test_digit_replaced_by_the_next_one_is_detected(fault: Callable[[str], str | None], number: str) -> None:
    assert fault(number) is None
    for place, digit in enumerate(number):
        wrong = number[:place] + str((int(digit) + 1) % 10) + number[place + 1 :]
        assert fault(wrong) is not None, wrong


@pytest.mark.parametrize("number", ["", "1", "12345678901", "x" * 10, "²" * 10, "٧٧٠٧٠٨٣٨٩٣", "0" * 10, "0" * 12])
def test_text_that_is_not_a_number_is_refused(number: str) -> None:
    assert inn_error(number) is not None
    assert ogrn_error(number) is not None
