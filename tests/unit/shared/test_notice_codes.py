"""A code that links an account with notices is recognised only if the message contains nothing else."""

import pytest

from shared.contracts.notice_codes import new_code, read_code


def test_new_code_is_read_as_people_write_it() -> None:
    code = new_code()
    digits = code.removeprefix("ГП ").replace(" ", "")
    for written in (code, code.lower(), code.replace(" ", ""), code.replace(" ", "-"), f"  {code}.\n"):
        assert read_code("message", written) == digits


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("comment", "ГП 12345 67890"),
        ("message", "ГП 12345 67890, почините свет"),
        ("message", "Мой номер ГП 12345 67890"),
        ("message", "ГП 1234 67890"),
        ("message", "12345 67890"),
        ("message", "ГП ١٢٣٤٥ ٦٧٨٩٠"),
        ("message", ""),
    ],
)
def test_message_that_is_not_exactly_a_code_is_not_read_as_one(kind: str, text: str) -> None:
    assert read_code(kind, text) is None
