"""Texts are stored and loaded unchanged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.tables.base import decode_text, encode_text


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_is_loaded_unchanged(text: str) -> None:
    stored = encode_text(text)
    assert "\x00" not in stored
    assert decode_text(stored) == text


@pytest.mark.parametrize("text", ["\x00", "\ue000", "\ue0000", "\ue000e\x00", "а\x00б"])
def test_escape_character_is_loaded_unchanged(text: str) -> None:
    assert decode_text(encode_text(text)) == text


def test_ordinary_text_is_stored_unescaped() -> None:
    assert encode_text("Когда починят свет?") == "Когда починят свет?"
