"""Fields of one line: names, titles."""

import pytest

from shared.text.single_line import single_line


def test_no_break_spaces_become_ordinary_spaces() -> None:
    assert single_line("МАОУ «СОШ №\u00a071» г.\u202fУлан-Удэ") == "МАОУ «СОШ № 71» г. Улан-Удэ"


@pytest.mark.parametrize("value", ["a\nb", "a\tb", "a\x00b", "a\u200bb", "a\u2028b"])
def test_character_that_does_not_print_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="only printable characters"):
        single_line(value)
