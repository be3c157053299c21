"""Russian typed in Latin letters is converted; everything else is unchanged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.appeals.classification.model.message_classifier import MessageClassifier
from services.appeals.classification.text.transliteration import to_cyrillic
from services.appeals.classification.types import MessageContext


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("rjulf lflen cdtn???", "когда дадут свет???"),
        ("yt hf,jnftn kban dnjhe. ytltk.", "не работает лифт вторую неделю"),
        ("net sveta na lenina 5", "нет света на ленина 5"),
        ("pochemu ne chistyat dorogu", "почему не чистят дорогу"),
        ("kogda otkroyut bassein dlya lyudei", "когда откроют бассейн для людей"),
        ("Kogda budet voda, my zhdem vtoroi mesyats", "когда будет вода, мы ждем второй месяц"),
        ("smotrite https://vk.com/wall-1_2 kogda sdelayut", "смотрите https://vk.com/wall-1_2 когда сделают"),
    ],
)
def test_wrong_layout_and_transliteration_are_converted(typed: str, meant: str) -> None:
    assert to_cyrillic(typed) == meant


@pytest.mark.parametrize(
    "text",
    ["", "ok", "WhatsApp", "When will the light be back", "Xiaomi Redmi Note 10 Pro", "Baikal forever",
     "https://vk.com/wall-1_2", "Нет света на Ленина 5, звоните в ENERGO", "[club1|Admin]", "Үхибүүд"],
)  # fmt: skip
def test_text_that_is_not_transliterated_russian_is_unchanged(text: str) -> None:
    assert to_cyrillic(text) == text


@given(st.text(max_size=80))
def test_conversion_never_fails_and_is_idempotent(text: str) -> None:
    once = to_cyrillic(text)
    assert to_cyrillic(once) == once


def test_converted_text_is_classified_with_its_location() -> None:
    (found,) = MessageClassifier.load().classify([("gde svet na babushkina 20, ves dom sidit", MessageContext())])
    assert (found.needs_answer, found.topic_candidates[0][0]) == ("yes", "energy")
    assert (found.municipality, found.street, found.house) == ("город Улан-Удэ", "Бабушкина", "20")
