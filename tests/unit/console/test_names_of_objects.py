"""Names of objects that are hidden or gone: the page opens without them, and a failure is not hidden."""

from typing import Any
from uuid import UUID

import pytest

from services.console.api_calls.client import ApiProblem
from services.console.choices.page_names import page_id_at, page_names, pages_with_problems
from services.console.pages.absences.colleagues import find_colleagues
from services.console.pages.audit.audit_rows import actor_names
from services.console.registry_forms.tokens import collection_of
from tests.unit.console.fake_api import calls_of, fake_visit

PERSON, CLIENT, NOBODY = (str(UUID(int=number)) for number in (1, 2, 3))
READER = ("people:read", "clients:read")
FAILED, HIDDEN = ApiProblem(500, {}, {}), ApiProblem(403, {}, {})
OWN = {"id": "o", "name": "Школа № 5"}


async def test_actors_of_the_audit_trail_are_named() -> None:
    answers = {
        f"GET /people/{PERSON}": {"full_name": "Анна Иванова"},
        f"GET /clients/{CLIENT}": {"name": "Витрина"},
    }
    actors = ["appeals", "operator:root", PERSON, f"link:{PERSON}", CLIENT, NOBODY, "cron", None, PERSON]
    assert await actor_names(fake_visit(answers, READER), actors) == {
        "appeals": "система: обработка обращений",
        "operator:root": "администратор сервера",
        PERSON: "Анна Иванова",
        f"link:{PERSON}": "Анна Иванова (по ссылке из письма)",
        CLIENT: "Витрина",
        NOBODY: "сотрудник, которого вы не видите",
        "cron": "система: cron",
    }


async def test_actor_is_not_looked_up_without_the_right_to_see_people() -> None:
    visit = fake_visit({f"GET /people/{PERSON}": {"full_name": "Анна Иванова"}})
    assert await actor_names(visit, [PERSON]) == {PERSON: "сотрудник, которого вы не видите"}
    assert calls_of(visit) == []


async def test_failed_look_up_of_an_actor_is_not_shown_as_a_hidden_person() -> None:
    with pytest.raises(ApiProblem):
        await actor_names(fake_visit({f"GET /people/{PERSON}": FAILED}, READER), [PERSON])
    hidden = fake_visit({f"GET /people/{PERSON}": HIDDEN, f"GET /clients/{PERSON}": HIDDEN}, READER)
    assert await actor_names(hidden, [PERSON]) == {PERSON: "сотрудник, которого вы не видите"}


async def test_hidden_official_page_is_left_out_of_the_names() -> None:
    visit = fake_visit({"GET /pages/a": {"id": "a", "name": "Школа"}})
    assert await page_names(visit, {"a", "b"}) == {"a": "Школа"}
    with pytest.raises(ApiProblem):
        await page_names(fake_visit({"GET /pages/a": FAILED}), {"a"})


async def test_official_page_is_found_by_its_address() -> None:
    assert await page_id_at(fake_visit({"GET /pages": {"items": [{"id": "a"}]}}), "vk.com/a") == "a"
    assert await page_id_at(fake_visit({"GET /pages": {"items": []}}), "vk.com/b") is None
    wrong = ApiProblem(422, {"errors": [{"pointer": "query/address", "detail": ""}]}, {})
    assert await page_id_at(fake_visit({"GET /pages": wrong}), "слова") is None
    with pytest.raises(ApiProblem):
        await page_id_at(fake_visit({"GET /pages": FAILED}), "vk.com/a")


async def test_pages_that_cannot_be_read_are_sought_on_all_pages_of_the_list() -> None:
    first = {"items": [{"id": "a", "state": "healthy"}, {"id": "b", "state": "failing"}], "next_cursor": "c"}
    second = {"items": [{"id": "d", "state": "no_token"}], "next_cursor": None}
    visit = fake_visit({"GET /sources": [first, second]})
    assert [page["id"] async for page in pages_with_problems(visit, "vk")] == ["b", "d"]
    assert [given["cursor"] for _, _, given in calls_of(visit)] == [None, "c"]


def _person(number: str, role: str) -> dict[str, Any]:
    return {"id": number, "full_name": f"Имя {number}", "role": role}


async def test_colleagues_of_a_manager_are_the_people_who_work_on_appeals() -> None:
    people = [_person("2", "executor"), _person("3", "analyst"), _person("1", "approver")]
    visit = fake_visit({"GET /people": [people]}, ("appeals:work", "people:read"), organisation=OWN)
    assert await find_colleagues(visit) == [("1", "Имя 1"), ("2", "Имя 2")]
    assert await find_colleagues(fake_visit({}, ("people:read",), organisation=OWN)) == []


@pytest.mark.parametrize(("status", "expected"), [(404, []), (409, []), (None, [("1", "Анна"), ("2", "Борис")])])
async def test_colleagues_of_an_executor_are_the_possible_assignees_of_an_appeal(
    status: int | None, expected: list[tuple[str, str]]
) -> None:
    assignees = [{"id": "2", "name": "Борис"}, {"id": "1", "name": "Анна"}]
    answer = [assignees] if status is None else ApiProblem(status, {}, {})
    found = {"GET /appeals": {"items": [{"id": "a"}]}, "GET /appeals/a/possible-assignees": answer}
    assert await find_colleagues(fake_visit(found, ("appeals:work",), organisation=OWN)) == expected


async def test_failed_search_for_colleagues_is_not_shown_as_an_empty_list() -> None:
    found = {"GET /appeals": {"items": [{"id": "a"}]}, "GET /appeals/a/possible-assignees": FAILED}
    with pytest.raises(ApiProblem):
        await find_colleagues(fake_visit(found, ("appeals:work",), organisation=OWN))


async def test_collection_of_a_page_is_unknown_without_the_right_or_before_ingest_has_the_page() -> None:
    answers = {"GET /sources/a": {"state": "healthy"}, "GET /sources/b": FAILED}
    hidden = fake_visit(answers)
    assert await collection_of(hidden, "a") is None
    assert calls_of(hidden) == []
    visit = fake_visit(answers, ("sources:read",))
    assert await collection_of(visit, "a") == {"state": "healthy"}
    assert await collection_of(visit, "c") is None
    with pytest.raises(ApiProblem):
        await collection_of(visit, "b")
