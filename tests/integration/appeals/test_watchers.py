"""Watchers of an appeal: the caller or a colleague who may read the appeal."""

import asyncio
from typing import Any
from uuid import uuid4

from tests.integration.appeals.conftest import AppealsScenario
from tests.integration.appeals.people_helpers import change_access, register
from tests.integration.appeals.test_appeal_matching import QUESTION
from tests.integration.appeals.test_appeals_api import _is_problem


async def _appeal(scenario: AppealsScenario) -> dict[str, Any]:
    await scenario.citizen_writes(QUESTION)
    return await scenario.single_appeal()


async def _watching(scenario: AppealsScenario, appeal: dict[str, Any]) -> list[str]:
    return [one["name"] for one in (await scenario.appeal(appeal["id"]))["watchers"]]


async def test_person_starts_and_stops_watching_an_appeal(scenario: AppealsScenario) -> None:
    appeal = await _appeal(scenario)
    boris = await register(scenario, "Борис")
    path = f"/appeals/{appeal['id']}/watchers"
    first, again = await boris.post(path), await boris.post(path)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert (first.json()["person"]["name"], first.json()["added_by"]["id"]) == ("Борис", boris.ref)
    found = await scenario.appeal(appeal["id"])
    assert found["watchers"] == [{"id": boris.ref, "name": "Борис", "kind": "person"}]
    assert found["version"] == appeal["version"]
    assert (await boris.request("DELETE", f"{path}/{boris.ref}")).status_code == 204
    assert await _watching(scenario, appeal) == []
    _is_problem(await boris.request("DELETE", f"{path}/{boris.ref}"), 404)


async def test_only_colleagues_who_may_read_the_appeal_are_added(scenario: AppealsScenario) -> None:
    appeal = await _appeal(scenario)
    boris, vera = await register(scenario, "Борис"), await register(scenario, "Вера")
    moderator = await register(scenario, "Модератор", "moderator")
    foreign = await register(scenario, "Чужой", organisation=scenario.other_organisation)
    head = await register(scenario, "Глава", "head")
    path = f"/appeals/{appeal['id']}/watchers"
    assert (await boris.post(path, {"person_id": vera.ref})).status_code == 201
    for person in (foreign.ref, moderator.ref, str(uuid4())):
        _is_problem(await boris.post(path, {"person_id": person}), 422, "/person_id")
    _is_problem(await foreign.post(path), 404)
    _is_problem(await foreign.request("DELETE", f"{path}/{vera.ref}"), 404)
    _is_problem(await head.post(path), 403)
    # The centre may add anybody who may read the appeal.
    _is_problem(await moderator.post(path, {"person_id": foreign.ref}), 422, "/person_id")
    assert (await moderator.post(path, {"person_id": head.ref})).status_code == 201
    assert await _watching(scenario, appeal) == ["Вера", "Глава"]
    # Staff may remove colleagues but not people of the centre.
    _is_problem(await boris.request("DELETE", f"{path}/{head.ref}"), 404)
    assert (await boris.request("DELETE", f"{path}/{vera.ref}")).status_code == 204


async def test_watcher_who_may_no_longer_read_the_appeal_is_not_shown(scenario: AppealsScenario) -> None:
    appeal = await _appeal(scenario)
    boris, vera = await register(scenario, "Борис"), await register(scenario, "Вера")
    path = f"/appeals/{appeal['id']}/watchers"
    for person in (boris, vera):
        assert (await person.post(path)).status_code == 201
    await change_access(scenario, vera, "locked_at = now()")
    assert await _watching(scenario, appeal) == ["Борис"]
    await scenario.move(appeal, "assigned", organisation_id=str(scenario.other_organisation), reason="Их дорога")
    assert await _watching(scenario, appeal) == []
    moved = await scenario.appeal(appeal["id"])
    await scenario.move(moved, "assigned", organisation_id=str(scenario.organisation), reason="Всё же их")
    assert await _watching(scenario, appeal) == ["Борис"]


async def test_api_client_cannot_watch_an_appeal(scenario: AppealsScenario) -> None:
    appeal = await _appeal(scenario)
    client = uuid4()
    registry = await scenario.database.connect("registry")
    await registry.execute(
        """INSERT INTO api_clients (id, name, role, organisation_id, include_subordinates, active, created_at)
           VALUES ($1, 'Система', 'executor', $2, false, true, now())""",
        client,
        scenario.organisation,
    )
    await registry.close()
    token = scenario.appeals.token("executor", scenario.organisation, subject=str(client))
    del scenario.appeals.granted_access[token]
    answer = await scenario.appeals.client.post(
        f"/api/v1/appeals/{appeal['id']}/watchers", headers={"Authorization": f"Bearer {token}"}
    )
    _is_problem(answer, 422, "/person_id")


async def test_concurrent_requests_add_a_watcher_once(scenario: AppealsScenario) -> None:
    appeal = await _appeal(scenario)
    boris = await register(scenario, "Борис")
    answers = await asyncio.gather(*(boris.post(f"/appeals/{appeal['id']}/watchers") for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 201]
    assert await _watching(scenario, appeal) == ["Борис"]
