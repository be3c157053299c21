"""Masking: a table of examples, and properties of any text."""

import csv
import json
import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.masking import SNIPPET, cut_around, mask, mask_values
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
def test_very_long_text_is_masked_in_time(piece: str) -> None:
    """In quadratic time masking would take hundreds of seconds, and the timeout would end the test."""
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


def test_extract_around_a_position_is_cut_between_words() -> None:
    text = "Нет воды. " * 100 + "[имя] из подъезда 5 сказала: авария на насосе, [телефон]. " + "Ждём. " * 100
    start, end = cut_around(text, text.index("авария"))
    assert "[имя] из подъезда 5 сказала: авария на насосе, [телефон]." in text[start:end]
    assert (text[start - 1], text[end - 1]) == (" ", " ")
    assert end - start <= SNIPPET - 2


def test_short_text_is_not_cut() -> None:
    assert cut_around("Нет воды.", 4) == (0, 9)


@example("(3012) Волк Орешкова Петровна (3012) 12.05.2025 А. " + "(3012) " * 3 + "Терешковой Уважаемая, ", 0.5)
@given(MIXED, st.floats(0, 1))
@settings(max_examples=100, deadline=None)
def test_extract_is_short_and_keeps_brackets(text: str, share: float) -> None:
    masked = mask(text * 4)
    start, end = cut_around(masked, int(share * len(masked)))
    shown = masked[start:end]
    assert len(shown) <= SNIPPET
    assert shown.count("[имя") == shown.count("[имя]")
