"""Masking: a table of examples, and properties of any text."""

import csv
import json
import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.masking import SNIPPET, mask, mask_values, snippet
from shared.masking.identifiers import is_valid_card, is_valid_personal_inn, is_valid_snils

CASES = list(csv.DictReader((Path(__file__).parent / "examples.csv").read_text(encoding="utf-8").splitlines()))
WORDS = sorted({word for case in CASES for word in case["text"].split()})
PHONES = [case["text"] for case in CASES if case["kind"] == "phone"]
SEPARATORS = [" ", ", ", ". ", "\n", "-", "; ", " и ", "("]


@pytest.mark.parametrize("case", CASES, ids=[f"{case['kind']}: {case['text']}" for case in CASES])
def test_example_is_masked_as_expected(case: dict[str, str]) -> None:
    assert mask(case["text"]) == case["masked"]


def test_table_has_enough_examples() -> None:
    kept = sum(case["text"] == case["masked"] for case in CASES)
    assert len(CASES) - kept >= 120
    assert kept >= 80


@pytest.mark.parametrize("case", CASES, ids=[case["text"] for case in CASES])
def test_masking_is_idempotent_for_examples(case: dict[str, str]) -> None:
    assert mask(case["masked"]) == case["masked"]


MIXED = st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(SEPARATORS)), max_size=14).map(
    lambda pairs: "".join(word + separator for word, separator in pairs)
)


@given(MIXED)
@settings(max_examples=300, deadline=None)
def test_masking_is_idempotent_for_mixtures(text: str) -> None:
    once = mask(text)
    assert mask(once) == once


@given(st.text(max_size=80))
@settings(max_examples=300, deadline=None)
def test_any_text_can_be_masked(text: str) -> None:
    once = mask(text)
    assert mask(once) == once
    if not re.search(r"\w", text):
        assert once == text


_SEPARATED = st.sampled_from(["", " ", "-", " - ", ".", " (", ") "])


@given(
    st.sampled_from(["+7", "8", "7"]), st.integers(9_000_000_000, 9_999_999_999), st.lists(_SEPARATED, min_size=4)
)
@settings(max_examples=300, deadline=None)
def test_mobile_number_is_masked_in_any_grouping(prefix: str, number: int, between: list[str]) -> None:
    digits = str(number)
    written = prefix + "".join(
        gap + group
        for gap, group in zip(between, (digits[:3], digits[3:6], digits[6:8], digits[8:]), strict=False)
    )
    masked = mask(f"Мой номер {written} звоните")
    assert not re.search(r"\d{7}", re.sub(r"\D", "", masked)), masked


@pytest.mark.parametrize("phone", PHONES)
def test_no_long_run_of_digits_remains_of_a_phone(phone: str) -> None:
    assert not re.search(r"\d{7}", mask(f"Вот: {phone}, спасибо."))


@pytest.mark.parametrize(
    "piece",
    ["8", "89", "8 ", "8-9", "+7", "а", "Иванова ", "А.", "Б. ", "(", "[id1|", "[", "a@", "a.", "@a", "паспорт ",
     "тел. 2", "https://", "1-", "40817 ", "Мария Ивановна ", "-", "№", "ё", " ", "wa.me/7", "собака ", "4111 "],
)  # fmt: skip
@pytest.mark.timeout(60)
def test_masking_time_grows_linearly(piece: str) -> None:
    """Half a second at most; with quadratic time it would take some hundreds of seconds."""
    assert mask((piece * 200_000)[:200_000])


def test_check_digits_are_validated() -> None:
    assert is_valid_card("4111111111111111")
    assert not is_valid_card("4111111111111112")
    assert not is_valid_card("0000000000000000")
    assert is_valid_snils("11223344595")
    assert not is_valid_snils("11223344596")
    assert is_valid_personal_inn("500100732259")
    assert not is_valid_personal_inn("500100732258")


def test_json_values_are_masked_at_any_depth() -> None:
    body = {
        "text": "Мария Ивановна, 89241234567",
        "url": "https://vk.com/wall-1_2",
        "name": "Школа имени Ивана Петрова",
        "parts": [{"said": "Петров Иван"}, 8, None, True, 1.5],
        "organisation": {"name": "ИП Петров Иван Иванович"},
    }
    masked = mask_values(body, skip_keys=("organisation",))
    assert masked == {
        "text": "[имя], [телефон]",
        "url": "https://vk.com/wall-1_2",
        "name": "Школа имени Ивана Петрова",
        "parts": [{"said": "[имя]"}, 8, None, True, 1.5],
        "organisation": {"name": "ИП Петров Иван Иванович"},
    }
    assert json.dumps(body, ensure_ascii=False).count("Мария") == 1


def test_snippet_shows_the_match_without_personal_data() -> None:
    text = (
        "Нет воды. " * 100
        + "Мария Ивановна из подъезда 5 сказала: авария на насосе, 89241234567. "
        + "Ждём. " * 100
    )
    shown = snippet(text, "АВАРИЯ")
    assert "авария на насосе, [телефон]" in shown
    assert "[имя] из подъезда 5" in shown
    assert shown.startswith("…")
    assert shown.endswith("…")
    assert len(shown) <= SNIPPET


def test_snippet_around_a_masked_match_is_returned() -> None:
    text = "Свет. " * 200 + "Звоните 89241234567 вечером. " + "Тьма. " * 200
    shown = snippet(text, "89241234567")
    assert "89241234567" not in shown
    assert len(shown) <= SNIPPET


@example(
    "(3012) Волк Орешкова Петровна (3012) 12.05.2025 А. " + "(3012) " * 3 + "Терешковой Уважаемая, ", "(3012)"
)
@given(MIXED, st.sampled_from(WORDS))
@settings(max_examples=100, deadline=None)
def test_snippet_is_short_and_keeps_brackets(text: str, sought: str) -> None:
    shown = snippet(text * 4, sought)
    assert len(shown) <= SNIPPET
    assert shown.count("[имя") == shown.count("[имя]")
