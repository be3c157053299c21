"""Which fields of a payload refer to people."""

from typing import Any

import pytest

from services.ingest.pseudonymisation.people_in_payloads import people_in
from shared.text.person_links import without_links


@pytest.mark.parametrize(
    ("payload", "people"),
    [
        ({"reply_to_id": "570012", "reply_to_name": "Мария"}, {"570012"}),
        ({"reply_to_comment_id": "570012", "reply_to_comment": 570012}, set()),
        ({"reply_to": "mid:570012"}, set()),
        ({"reply_to_user": 17}, {"17"}),
        ({"reply_message": {"from_id": 17, "id": 18}}, {"17"}),
        ({"author_ref": "user:17", "author_id": "17"}, {"17"}),
        ({"participants": {"user:17": 1_760_000_000_000}}, {"17", "1760000000000"}),
        ({"profiles": [{"id": 17}]}, {"17"}),
        ({"participants": {"user:\ud800": 1, "user:": 2}}, {"1", "2"}),
        ({"from_id": -101, "post_id": 17, "likes": 17}, set()),
        ({"owner_id": "-101", "author_ref": "group:102", "profiles": ["-103"]}, set()),
        ({"user_ref": "user-17"}, {"17"}),
        ({"members_count": 17, "likes": {"count": 17, "user_likes": 1}, "is_member": 1}, set()),
        ({"likes": [17, 18]}, {"17", "18"}),
        ({"likes": {"count": 19, "items": [17]}}, {"17"}),
        ({"response": {"profiles": [{"id": 17}], "items": [{"id": 18}]}}, {"17"}),
        ({"text": "[id17|Мария], да"}, {"17"}),
        ("Пишите @id17 (Мария) и vk.com/id18, ok.ru/profile/19", {"17", "18", "19"}),
        ({"text": "https://vk.com/id17abc vk.com/id17_0 vk.com/id18и"}, {"18"}),
        ({"text": "17 [club18|Страница] https://vk.com/wall-1_19 kid20"}, set()),
    ],
)
def test_people_are_found_in_fields_that_refer_to_people(payload: Any, people: set[str]) -> None:
    assert people_in(payload) == people


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("[id17|Мария], да", "[-], да"),
        ("[id17:bp-101_7|Мария Иванова], да", "[-], да"),
        ("[https://vk.com/id17|Мария] и [id170|Анна]", "[-] и [id170|Анна]"),
        ("@id17 (Мария), *id17 (Мария), @id170 (Анна)", "[-], [-], @id170 (Анна)"),
        ("https://vk.com/id17?from=feed и vk.com/id171", "[-] и vk.com/id171"),
        ("[ok.ru/profile/17|Мария] https://ok.ru/profile/17", "[-] [-]"),
        ("17 и 170", "17 и 170"),
    ],
)
def test_links_to_a_person_are_replaced_with_the_name(text: str, left: str) -> None:
    assert without_links(text, {"17"}, "[-]") == left
