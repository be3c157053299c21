"""Details of organisations: check digits, location, contacts, spheres, validity, and filters by them."""

from typing import Any

import pytest
import time_machine

from tests.integration.registry.conftest import make, pointers
from tests.support.service_under_test import ServiceUnderTest

PATH = "/api/v1/organisations"
HOSPITAL: dict[str, Any] = {
    "name": "Кабанская центральная районная больница",
    "kind": "institution",
    "sphere": "здравоохранение",
    "other_spheres": ["социальная защита"],
    "municipality": "81624000",
    "oktmo": "81624410106",
    "inn": "7707083893",
    "ogrn": "1027700132195",
    "address": "с. Кабанск, ул. Лесная, 1",
    "phone": "8 (000) 000-00-00",
    "email": "crb@example.org",
    "site": "https://crb.example.org/",
    "pos_opa_id": "216433",
    "valid_from": "2011-01-01",
    "valid_to": None,
    "exempt_reason": "Решение учредителя",
    "exempt_document": "Распоряжение № 12 от 01.03.2024",
}


async def found(registry: ServiceUnderTest, **query: Any) -> list[str]:
    answer = await registry.client.get(PATH, params=query, headers=registry.headers("head"))
    assert answer.status_code == 200, answer.text
    return [item["name"] for item in answer.json()["items"]]


async def test_all_given_fields_are_returned(registry: ServiceUnderTest) -> None:
    made = await make(registry, "/organisations", **HOSPITAL)
    assert {name: made[name] for name in HOSPITAL} == HOSPITAL
    assert made["time_zone"] == "Asia/Irkutsk"
    changes: dict[str, Any] = {
        "phone": None,
        "inn": "500100732259",
        "ogrn": "304500116000157",
        "other_spheres": [],
        "valid_to": None,
    }
    headers = registry.headers("moderator", **{"If-Match": '"1"'})
    changed = (await registry.client.patch(f"{PATH}/{made['id']}", json=changes, headers=headers)).json()
    assert {name: changed[name] for name in changes} == changes
    assert changed["version"] == 2


async def test_time_zone_of_an_organisation_is_that_of_its_calendar(registry: ServiceUnderTest) -> None:
    calendar = await make(
        registry, "/calendars", name="Чита", time_zone="Asia/Chita", weekly={"1": [["09:00", "18:00"]]}
    )
    made = await make(registry, "/organisations", name="Филиал", kind="other", calendar_id=calendar["id"])
    assert made["time_zone"] == "Asia/Chita"
    listed = await registry.client.get(PATH, headers=registry.headers("head"))
    assert [item["time_zone"] for item in listed.json()["items"]] == ["Asia/Chita"]


async def test_organisations_are_filtered_by_details(registry: ServiceUnderTest) -> None:
    top = await make(registry, "/organisations", name="Минздрав", kind="regional", valid_from="2015-05-01")
    await make(registry, "/organisations", **HOSPITAL, parent_id=top["id"])
    name = HOSPITAL["name"]
    middle = await make(registry, "/organisations", name="Отдел", kind="other", parent_id=top["id"])
    await make(registry, "/organisations", name="Сектор", kind="other", parent_id=middle["id"])
    for query in (
        {"inn": "7707083893"},
        {"ogrn": "1027700132195"},
        {"sphere": "социальная защита"},
        {"exempt": True},
    ):
        assert await found(registry, **query) == [name], query
    assert await found(registry, exempt=False) == ["Минздрав", "Отдел", "Сектор"]
    assert await found(registry, subtree_of=top["id"]) == [name, "Минздрав", "Отдел", "Сектор"]
    assert await found(registry, subtree_of=middle["id"]) == ["Отдел", "Сектор"]
    assert await found(registry, parent_id=top["id"]) == [name, "Отдел"]
    assert "Минздрав" not in await found(registry, valid_on="2015-04-30")
    assert await found(registry, valid_on="2015-05-01") == [name, "Минздрав", "Отдел", "Сектор"]
    moved = await registry.client.patch(
        f"{PATH}/{middle['id']}",
        json={"parent_id": None},
        headers=registry.headers("moderator", **{"If-Match": "*"}),
    )
    assert moved.status_code == 200
    assert await found(registry, subtree_of=top["id"]) == [name, "Минздрав"]
    assert await found(registry, subtree_of=middle["id"]) == ["Отдел", "Сектор"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("inn", "7707083894"),
        ("inn", "77070838930"),
        ("inn", "0000000000"),
        ("inn", "٧٧٠٧٠٨٣٨٩٣"),
        ("ogrn", "1027700132196"),
        ("ogrn", "304500116000158"),
        ("oktmo", "8162441"),
        ("oktmo", "81701000001"),
        ("other_spheres", ["а", "б", "в"]),
        ("other_spheres", ["культура", "культура"]),
        ("other_spheres", ["здравоохранение"]),
        ("email", "нет"),
        ("site", "ftp://example.org"),
        ("site", "javascript:alert(1)"),
        ("phone", "1\n2"),
        ("pos_opa_id", "x"),
        ("valid_to", "2010-12-31"),
        ("valid_from", "99999-01-01"),
        ("valid_from", "0001-01-01"),
        ("exempt_reason", None),
    ],
)
async def test_invalid_field_is_refused_and_named(registry: ServiceUnderTest, field: str, value: Any) -> None:
    answer = await registry.client.post(
        PATH, json={**HOSPITAL, field: value}, headers=registry.headers("moderator")
    )
    assert answer.status_code == 422, answer.text
    named = "/exempt_document" if field == "exempt_reason" else f"/{field}"
    assert pointers(answer) == {named}


async def test_change_is_validated_together_with_stored_fields(registry: ServiceUnderTest) -> None:
    made = await make(registry, "/organisations", **HOSPITAL)
    headers = registry.headers("moderator", **{"If-Match": "*"})
    for body, named in (
        ({"municipality": "81701000"}, "/municipality"),
        ({"sphere": None}, "/sphere"),
        ({"exempt_reason": None}, "/exempt_reason"),
        ({"valid_from": "2020-01-01", "valid_to": "2019-12-31"}, "/valid_to"),
        ({"other_spheres": None}, "/other_spheres"),
    ):
        answer = await registry.client.patch(f"{PATH}/{made['id']}", json=body, headers=headers)
        assert answer.status_code == 422, body
        assert pointers(answer) == {named}


@time_machine.travel("2026-11-20T16:30:00+00:00", tick=False)
async def test_organisation_past_its_last_day_cannot_be_activated(registry: ServiceUnderTest) -> None:
    # In Irkutsk it is already the 21st.
    made = await make(registry, "/organisations", name="Школа", kind="institution", valid_to="2026-11-20")
    headers = registry.headers("moderator", **{"If-Match": "*"})
    refused = await registry.client.patch(f"{PATH}/{made['id']}", json={"active": True}, headers=headers)
    assert pointers(refused) == {"/active"}
    both = {"active": True, "valid_to": "2026-11-21"}
    assert (await registry.client.patch(f"{PATH}/{made['id']}", json=both, headers=headers)).status_code == 200
