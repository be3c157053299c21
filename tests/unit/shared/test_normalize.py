"""Normalised forms of text. Stored values and trained models depend on every one of these results."""

import pytest

from shared.text.normalize import fold_case, fold_name, fold_text, sort_key


@pytest.mark.parametrize(
    ("text", "case", "full", "key", "name"),
    [
        ("  Ёлка НА\u00a0мель ", "  елка на\u00a0мель ", "  елка на мель ", "елка на мель", "елка на мель"),
        ("Школа № 71, «Ёж»", "школа № 71, «еж»", "школа no 71, «еж»", "школа № 71, «еж»", "школа 71 еж"),
        ("И\u0306ОГА е\u0308ж", "и\u0306ога е\u0308ж", "йога еж", "и\u0306ога е\u0308ж", "и ога е ж"),
        ("ﬁ_Straße", "ﬁ_straße", "fi_straße", "ﬁ_straße", "ﬁ straße"),
        ("", "", "", "", ""),
    ],
)
def test_text_is_folded_as_expected(text: str, case: str, full: str, key: str, name: str) -> None:
    assert (fold_case(text), fold_text(text), sort_key(text), fold_name(text)) == (case, full, key, name)
