"""Phones and addresses found in page descriptions."""

import pytest

from services.ingest.page_lookup.contact_extraction import _STREET, find_address, find_phone
from tests.support.regex_step_counter import Steps


@pytest.mark.parametrize(
    ("text", "phone", "address"),
    [
        ("Приёмная: 8 (3012) 21-44-11, г. Улан-Удэ, ул. Ленина, 54", "+7 301 221-44-11", "ул. Ленина, 54"),
        (
            "тел. +7 924 555-01-02; пр-т 50-летия Октября, д. 28а",
            "+7 924 555-01-02",
            "пр-т 50-летия Октября, д. 28а",
        ),
        ("с. Кабанск, улица Кирова, дом 10", None, "улица Кирова, дом 10"),
        ("ул. Каландаришвили 23/1", None, "ул. Каландаришвили 23/1"),
        ("ИНН 0323090100, ОГРН 1020300000000", None, None),
        ("Работаем с 12.05.2020, приём с 10-00 до 15-30", None, None),
        ("просто слова про улицу и дом", None, None),
        ("", None, None),
    ],
)
def test_contacts_are_found_in_text(text: str, phone: str | None, address: str | None) -> None:
    assert (find_phone(text), find_address(text)) == (phone, address)


def test_many_spaces_after_street_take_linear_time() -> None:
    matcher = Steps(_STREET)
    steps = []
    for blanks in (40, 80):
        assert matcher.spans("ул." + " " * blanks) == []
        steps.append(matcher.count)
    assert steps[1] <= 3 * steps[0]
