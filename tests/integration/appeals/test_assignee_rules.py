"""Rules choose the assignee of an appeal: in turn, by topic, without absent people, and under concurrency."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from shared import clock
from tests.integration.appeals.conftest import AppealsScenario
from tests.integration.appeals.people_helpers import Colleague, change_access, register
from tests.integration.appeals.test_appeal_matching import QUESTION
from tests.integration.appeals.test_appeals_api import _is_problem


async def _rule(scenario: AppealsScenario, manager: Colleague, *people: Colleague, **body: Any) -> dict[str, Any]:
    answer = await manager.post("/assignee-rules", {"person_ids": [one.ref for one in people], **body})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def _holders(scenario: AppealsScenario) -> list[str | None]:
    """Return the assignee's name of each appeal, None if it has no assignee; oldest appeal first."""
    found = await scenario.all(sort="opened_at", limit=200)
    return [one["assignee"]["name"] if one["assignee"] else None for one in found]


async def test_people_of_a_rule_get_new_appeals_in_turn(scenario: AppealsScenario) -> None:
    manager = await register(scenario, "Анна", "manager")
    people = [await register(scenario, name) for name in ("Борис", "Вера", "Галина")]
    made = await _rule(scenario, manager, *people)
    assert ([one["name"] for one in made["people"]], made["topic"], made["last_person"]) == (
        ["Борис", "Вера", "Галина"],
        None,
        None,
    )
    for number in range(4):
        await scenario.citizen_writes(QUESTION, author=f"a{number}", thread=f"vk:-101_{number}")
    assert await _holders(scenario) == ["Борис", "Вера", "Галина", "Борис"]
    (shown,) = (await manager.get("/assignee-rules")).json()["items"]
    # Taking turns does not raise the version of the rule.
    assert (shown["last_person"]["name"], shown["version"]) == ("Борис", 1)
    appeal = await scenario.appeal((await scenario.all(limit=1))[0]["id"])
    (entry,) = [one for one in appeal["timeline"] if one["kind"] == "assignee_changed"]
    assert (entry["actor"]["kind"], entry["data"]["reason"]) == ("system", "По правилу распределения")


async def test_topic_rule_precedes_the_group_rule_and_the_general_rule(scenario: AppealsScenario) -> None:
    manager = await register(scenario, "Анна", "manager")
    general, group, topic = [await register(scenario, name) for name in ("Общий", "Дороги", "Ямы")]
    topics = (await scenario.get("/topics", level="all", limit=200)).json()["items"]
    pits = next(one for one in topics if one["group"] is not None)
    other = next(one for one in topics if one["group"] not in (None, pits["group"]))
    await _rule(scenario, manager, general)
    await _rule(scenario, manager, group, topic_id=pits["group"]["id"])

    async def call(topic_id: str | None) -> str:
        body = {"text": f"Звонок: {topic_id}", "source": "phone", "organisation_id": str(scenario.organisation)}
        answer = await manager.post("/appeals", {**body, "topic_id": topic_id}, Idempotency_Key=str(uuid4()))
        assert answer.status_code == 201, answer.text
        return str(answer.json()["assignee"]["name"])

    assert await call(pits["id"]) == await call(pits["group"]["id"]) == "Дороги"
    assert await call(other["id"]) == "Общий"
    await _rule(scenario, manager, topic, topic_id=pits["id"])
    assert await call(pits["id"]) == "Ямы"
    assert await call(pits["group"]["id"]) == "Дороги"


async def test_transfer_applies_the_new_organisations_rule_or_removes_the_assignee(
    scenario: AppealsScenario,
) -> None:
    manager = await register(scenario, "Анна", "manager", scenario.other_organisation)
    person = await register(scenario, "Борис", organisation=scenario.other_organisation)
    await _rule(scenario, manager, person)
    message = await scenario.citizen_writes(QUESTION)
    appeal = await scenario.single_appeal()
    moved = await scenario.move(
        appeal, "assigned", organisation_id=str(scenario.other_organisation), reason="Их дорога"
    )
    assert moved.json()["assignee"]["name"] == "Борис"
    # The transfer and the assignment are one update of the row and raise the version once.
    assert moved.json()["version"] == appeal["version"] + 1
    body = {"needs_answer": True, "organisation_id": str(scenario.organisation)}
    assert (await scenario.post(f"/messages/{message}/triage", body)).status_code == 200
    assert (await scenario.single_appeal())["assignee"] is None


async def test_absent_person_is_skipped_and_the_substitute_takes_the_turn(scenario: AppealsScenario) -> None:
    manager = await register(scenario, "Анна", "manager")
    boris, vera, galina = [await register(scenario, name) for name in ("Борис", "Вера", "Галина")]
    await _rule(scenario, manager, boris, vera)
    today = clock.today()
    days = {"starts_on": str(today), "ends_on": str(today)}
    absent = await boris.post("/absences", days)
    assert absent.status_code == 201, absent.text
    for number in range(2):
        await scenario.citizen_writes(QUESTION, author=f"a{number}", thread=f"vk:-101_{number}")
    assert await _holders(scenario) == ["Вера", "Вера"]
    again = await manager.post("/absences", {**days, "person_id": boris.ref, "substitute_id": galina.ref})
    assert again.status_code == 201, again.text
    await scenario.citizen_writes(QUESTION, author="b", thread="vk:-101_9")
    assert await _holders(scenario) == ["Вера", "Вера", "Галина"]
    for made in (absent, again):
        assert (await boris.request("DELETE", f"/absences/{made.json()['id']}")).status_code == 204
    for number in range(2):
        await scenario.citizen_writes(QUESTION, author=f"c{number}", thread=f"vk:-101_1{number}")
    assert await _holders(scenario) == ["Вера", "Вера", "Галина", "Вера", "Борис"]


async def test_absence_that_begins_tomorrow_is_ignored(scenario: AppealsScenario) -> None:
    manager = await register(scenario, "Анна", "manager")
    boris = await register(scenario, "Борис")
    await _rule(scenario, manager, boris)
    tomorrow = clock.today() + timedelta(days=1)
    later = await boris.post("/absences", {"starts_on": str(tomorrow), "ends_on": str(tomorrow)})
    assert later.status_code == 201, later.text
    await scenario.citizen_writes(QUESTION)
    assert await _holders(scenario) == ["Борис"]


async def test_appeals_of_a_locked_person_are_reassigned_by_the_rule(scenario: AppealsScenario) -> None:
    manager = await register(scenario, "Анна", "manager")
    boris, vera = [await register(scenario, name) for name in ("Борис", "Вера")]
    await _rule(scenario, manager, boris, vera)
    for number in range(4):
        await scenario.citizen_writes(QUESTION, author=f"a{number}", thread=f"vk:-101_{number}")
    await change_access(scenario, boris, "locked_at = now()")
    await scenario.handle_job("release_appeals", {"person_id": boris.ref})
    assert await _holders(scenario) == ["Вера"] * 4


async def test_concurrent_transfers_are_distributed_evenly_and_none_is_lost(scenario: AppealsScenario) -> None:
    manager = await register(scenario, "Анна", "manager", scenario.other_organisation)
    people = [
        await register(scenario, name, organisation=scenario.other_organisation)
        for name in ("Борис", "Вера", "Галина", "Дарима")
    ]
    await _rule(scenario, manager, *people)
    for number in range(24):
        await scenario.insert_message(QUESTION, author=f"a{number}", thread=f"vk:-101_{number}")
    await scenario.process_events()
    appeals = await scenario.all(limit=200)
    body = {"to": "assigned", "organisation_id": str(scenario.other_organisation), "reason": "Их дорога"}
    workers = asyncio.Semaphore(8)

    async def transfer(appeal: dict[str, Any]) -> int:
        async with workers:
            answer = await scenario.post(f"/appeals/{appeal['id']}/moves", body, If_Match="*")
            return answer.status_code

    assert set(await asyncio.gather(*map(transfer, appeals))) == {200}
    assert Counter(await _holders(scenario)) == {"Борис": 6, "Вера": 6, "Галина": 6, "Дарима": 6}
    assert len(await scenario.events("appeal.assignee_changed")) == 24


async def test_assignee_rules_are_changed_only_by_their_organisation_and_the_centre(
    scenario: AppealsScenario,
) -> None:
    manager, executor = await register(scenario, "Анна", "manager"), await register(scenario, "Борис")
    foreign = await register(scenario, "Чужой", "manager", scenario.other_organisation)
    moderator = await register(scenario, "Модератор", "moderator")
    body = {"person_ids": [executor.ref]}
    _is_problem(await executor.post("/assignee-rules", body), 403)
    _is_problem(await foreign.post("/assignee-rules", body), 422, "/person_ids/0")
    _is_problem(
        await foreign.post("/assignee-rules", {**body, "organisation_id": str(scenario.organisation)}), 403
    )
    _is_problem(await moderator.post("/assignee-rules", body), 422, "/organisation_id")
    unknown = {**body, "organisation_id": str(uuid4())}
    _is_problem(await moderator.post("/assignee-rules", unknown), 422, "/organisation_id")
    made = await moderator.post("/assignee-rules", {**body, "organisation_id": str(scenario.organisation)})
    assert made.status_code == 201, made.text
    path = made.headers["Location"].removeprefix("/api/v1")
    assert (await executor.get(path)).json()["people"][0]["name"] == "Борис"
    _is_problem(await foreign.get(path), 404)
    _is_problem(await foreign.request("DELETE", path), 404)
    _is_problem(await foreign.request("PATCH", path, body, If_Match="*"), 404)
    assert (await foreign.get("/assignee-rules")).json()["items"] == []
    duplicate = _is_problem(await manager.post("/assignee-rules", body), 409)
    assert duplicate["rule_id"] == made.json()["id"]
    changed = await manager.request("PATCH", path, {"person_ids": [manager.ref, executor.ref]}, If_Match='"1"')
    assert (changed.status_code, changed.headers["ETag"]) == (200, '"2"')
    _is_problem(await manager.request("PATCH", path, body, If_Match='"1"'), 412)
    assert (await manager.request("DELETE", path)).status_code == 204
    _is_problem(await manager.get(path), 404)


@pytest.mark.parametrize("people", [[], ["boris", "boris"], ["stranger"]])
async def test_rule_without_people_or_with_repeated_or_unknown_ones_is_refused(
    scenario: AppealsScenario, people: list[str]
) -> None:
    manager, boris = await register(scenario, "Анна", "manager"), await register(scenario, "Борис")
    ids = {"boris": boris.ref, "stranger": str(uuid4())}
    answer = await manager.post("/assignee-rules", {"person_ids": [ids[name] for name in people]})
    pointer = "/person_ids" if not people else f"/person_ids/{len(people) - 1}"
    _is_problem(answer, 422, pointer)


async def test_only_one_of_several_concurrent_rules_for_the_same_topics_is_created(
    scenario: AppealsScenario,
) -> None:
    manager, boris = await register(scenario, "Анна", "manager"), await register(scenario, "Борис")
    answers = await asyncio.gather(
        *(manager.post("/assignee-rules", {"person_ids": [boris.ref]}) for _ in range(4))
    )
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]


async def test_repeated_request_creates_one_rule(scenario: AppealsScenario) -> None:
    manager, boris = await register(scenario, "Анна", "manager"), await register(scenario, "Борис")
    body = {"person_ids": [boris.ref]}
    first = await manager.post("/assignee-rules", body, Idempotency_Key="once")
    again = await manager.post("/assignee-rules", body, Idempotency_Key="once")
    assert (first.status_code, again.json()["id"]) == (201, first.json()["id"])
    assert again.headers["Idempotent-Replay"] == "true"
