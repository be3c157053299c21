"""Absences are recorded by the person or a manager of the organisation and seen by colleagues."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from shared import clock
from tests.integration.appeals.conftest import AppealsScenario
from tests.integration.appeals.people_helpers import register
from tests.integration.appeals.test_appeals_api import _is_problem

DAYS = {"starts_on": "2099-06-01", "ends_on": "2099-06-14"}


async def test_person_records_and_deletes_their_own_absence(scenario: AppealsScenario) -> None:
    boris, vera = await register(scenario, "Борис"), await register(scenario, "Вера")
    made = await boris.post("/absences", {**DAYS, "substitute_id": vera.ref})
    assert made.status_code == 201, made.text
    found = made.json()
    assert (found["person"]["name"], found["substitute"]["name"]) == ("Борис", "Вера")
    assert (found["starts_on"], found["ends_on"]) == ("2099-06-01", "2099-06-14")
    (shown,) = (await vera.get("/absences?on=2099-06-14")).json()["items"]
    assert shown == found
    assert (await vera.get("/absences?on=2099-06-15")).json()["items"] == []
    assert (await vera.get(f"/absences?person_id={vera.ref}")).json()["items"] == []
    assert (await boris.request("DELETE", f"/absences/{found['id']}")).status_code == 204
    _is_problem(await boris.request("DELETE", f"/absences/{found['id']}"), 404)


async def test_managing_a_colleagues_absence_needs_the_right_in_the_organisation(
    scenario: AppealsScenario,
) -> None:
    boris, vera = await register(scenario, "Борис"), await register(scenario, "Вера")
    manager = await register(scenario, "Анна", "manager")
    foreign = await register(scenario, "Чужая", "manager", scenario.other_organisation)
    body = {**DAYS, "person_id": boris.ref}
    _is_problem(await vera.post("/absences", body), 403)
    _is_problem(await foreign.post("/absences", body), 422, "/person_id")
    made = await manager.post("/absences", body)
    assert (made.status_code, made.json()["created_by"]["name"]) == (201, "Анна")
    path = f"/absences/{made.json()['id']}"
    _is_problem(await vera.request("DELETE", path), 403)
    _is_problem(await foreign.request("DELETE", path), 404)
    assert (await foreign.get("/absences")).json()["items"] == []
    moderator = await register(scenario, "Модератор", "moderator")
    assert [one["id"] for one in (await moderator.get("/absences")).json()["items"]] == [made.json()["id"]]
    assert (await manager.request("DELETE", path)).status_code == 204


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"ends_on": "2099-05-31"}, "/ends_on"),
        ({"starts_on": "2026-01-01", "ends_on": "2026-01-02"}, "/ends_on"),
        ({"starts_on": "1900-01-01"}, "/starts_on"),
        ({"substitute_id": str(uuid4())}, "/substitute_id"),
        ({"colour": "red"}, "/colour"),
    ],
)
async def test_invalid_absence_is_refused(scenario: AppealsScenario, body: dict[str, Any], pointer: str) -> None:
    boris = await register(scenario, "Борис")
    _is_problem(await boris.post("/absences", {**DAYS, **body}), 422, pointer)


async def test_substitute_who_is_the_person_or_of_another_organisation_is_refused(
    scenario: AppealsScenario,
) -> None:
    boris = await register(scenario, "Борис")
    foreign = await register(scenario, "Чужой", organisation=scenario.other_organisation)
    for person in (boris, foreign):
        _is_problem(await boris.post("/absences", {**DAYS, "substitute_id": person.ref}), 422, "/substitute_id")


async def test_absence_that_ends_today_is_accepted(scenario: AppealsScenario) -> None:
    boris = await register(scenario, "Борис")
    today = clock.today()
    body = {"starts_on": str(today - timedelta(days=3)), "ends_on": str(today)}
    assert (await boris.post("/absences", body)).status_code == 201
