"""The assignee of an appeal: set and removed by people, and lost when the organisation or the access is lost."""

import asyncio
import json
from typing import Any
from uuid import uuid4

from shared import clock
from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario
from tests.integration.appeals.people_helpers import Colleague, change_access, register
from tests.integration.appeals.test_appeal_matching import QUESTION
from tests.integration.appeals.test_appeals_api import _is_problem


async def _assigned(scenario: AppealsScenario, **details: Any) -> dict[str, Any]:
    """Return an appeal of the organisation without an assignee."""
    message = await scenario.citizen_writes(QUESTION, **details)
    row = await scenario.ingest.fetchval("SELECT appeal_id FROM appeal_messages WHERE message_id = $1", message)
    return await scenario.appeal(str(row))


def _holder(answer: Any) -> str | None:
    assert answer.status_code == 200, answer.text
    assignee = answer.json()["assignee"]
    return assignee["id"] if assignee else None


def _steps(appeal: dict[str, Any]) -> list[tuple[str | None, str | None]]:
    """Return the names of the previous and the new assignee of each change, oldest first."""

    def name(entry: dict[str, Any], field: str) -> str | None:
        found = entry["data"].get(field)
        return found["name"] if found else None

    return [
        (name(entry, "previous_assignee"), name(entry, "assignee"))
        for entry in appeal["timeline"]
        if entry["kind"] == "assignee_changed"
    ]


async def test_appeal_is_assigned_without_a_change_of_status(scenario: AppealsScenario) -> None:
    appeal = await _assigned(scenario)
    manager = await register(scenario, "Анна", "manager")
    boris = await register(scenario, "Борис")
    answer = await manager.post(
        f"/appeals/{appeal['id']}/moves", {"assignee_id": boris.ref}, If_Match=f'"{appeal["version"]}"'
    )
    assert _holder(answer) == boris.ref
    found = answer.json()
    assert (found["status"], found["version"]) == ("assigned", appeal["version"] + 1)
    assert found["assignee"] == {"id": boris.ref, "name": "Борис", "kind": "person"}
    (entry,) = [one for one in found["timeline"] if one["kind"] == "assignee_changed"]
    assert (entry["actor"]["name"], entry["data"]["assignee"]["name"]) == ("Анна", "Борис")
    (event,) = await scenario.events("appeal.assignee_changed")
    data = json.loads(event["data"])
    assert (data["assignee_id"], data["previous_assignee_id"]) == (boris.ref, None)
    assert event["organisation_id"] == scenario.organisation
    # Assigning the same person again changes nothing.
    again = await manager.move(appeal, assignee_id=boris.ref)
    assert (again.status_code, again.json()["version"]) == (200, found["version"])
    released = await boris.move(appeal, assignee_id=None)
    assert _holder(released) is None
    assert _steps(released.json()) == [(None, "Борис"), ("Борис", None)]


async def test_assignment_with_a_missing_or_stale_version_is_refused(scenario: AppealsScenario) -> None:
    appeal = await _assigned(scenario)
    executor = await register(scenario, "Борис")
    path = f"/appeals/{appeal['id']}/moves"
    _is_problem(await executor.post(path, {"assignee_id": executor.ref}), 428)
    _is_problem(await executor.post(path, {"assignee_id": executor.ref}, If_Match='"99"'), 412)
    assert (await scenario.appeal(appeal["id"]))["assignee"] is None


async def test_executor_takes_an_unassigned_appeal_and_reassigns_only_their_own(scenario: AppealsScenario) -> None:
    appeal = await _assigned(scenario)
    boris, vera = await register(scenario, "Борис"), await register(scenario, "Вера")
    manager = await register(scenario, "Анна", "manager")
    assert _holder(await boris.move(appeal, assignee_id=boris.ref)) == boris.ref
    for body in ({"assignee_id": vera.ref}, {"assignee_id": None}):
        refused = _is_problem(await vera.move(appeal, **body), 403)
        assert "assignees:manage" in refused["detail"]
    assert _holder(await boris.move(appeal, assignee_id=vera.ref)) == vera.ref
    _is_problem(await boris.move(appeal, assignee_id=boris.ref), 403)
    assert _holder(await manager.move(appeal, assignee_id=boris.ref)) == boris.ref


async def test_only_staff_of_the_organisation_are_assigned(scenario: AppealsScenario) -> None:
    appeal = await _assigned(scenario)
    manager = await register(scenario, "Анна", "manager")
    foreign = await register(scenario, "Чужой", organisation=scenario.other_organisation)
    moderator = await register(scenario, "Модератор", "moderator")
    locked = await register(scenario, "Ушёл")
    await change_access(scenario, locked, "locked_at = now()")
    for person in (foreign.ref, moderator.ref, locked.ref, str(uuid4())):
        _is_problem(await manager.move(appeal, assignee_id=person), 422, "/assignee_id")
    # Another organisation cannot even see the appeal; a read-only role cannot assign.
    _is_problem(await foreign.move(appeal, assignee_id=foreign.ref), 404)
    head = await register(scenario, "Глава", "head")
    _is_problem(await head.move(appeal, assignee_id=head.ref), 403)
    anonymous = await scenario.appeals.client.post(
        f"/api/v1/appeals/{appeal['id']}/moves", json={"assignee_id": manager.ref}, headers={"If-Match": "*"}
    )
    assert anonymous.status_code == 401
    assert (await scenario.appeal(appeal["id"]))["assignee"] is None


async def test_move_without_a_status_or_a_person_is_refused(scenario: AppealsScenario) -> None:
    appeal = await _assigned(scenario)
    executor = await register(scenario, "Борис")
    _is_problem(await executor.move(appeal), 422, "/to")
    _is_problem(await executor.move(appeal, assignee_id=executor.ref, reason="Возьму"), 422, "/to")
    await scenario.move(appeal, "closed", reason="Решено")
    _is_problem(await executor.move(appeal, assignee_id=executor.ref), 409)


async def test_staff_who_start_an_unassigned_appeal_become_its_assignee(scenario: AppealsScenario) -> None:
    appeal = await _assigned(scenario)
    executor, other = await register(scenario, "Борис"), await register(scenario, "Вера")
    assert _holder(await executor.move(appeal, to="in_progress")) == executor.ref
    second = await _assigned(scenario, author="boris", thread="vk:-101_2")
    # A moderator who starts an organisation's appeal does not become its assignee.
    assert _holder(await scenario.move(second, "in_progress")) is None
    third = await _assigned(scenario, author="vera", thread="vk:-101_3")
    assert _holder(await executor.move(third, to="in_progress", assignee_id=other.ref)) == other.ref


async def test_transfer_to_another_organisation_removes_the_assignee(scenario: AppealsScenario) -> None:
    appeal = await _assigned(scenario)
    executor = await register(scenario, "Борис")
    await executor.move(appeal, to="in_progress")
    foreign = await register(scenario, "Чужая", organisation=scenario.other_organisation)
    target = {"to": "assigned", "organisation_id": str(scenario.other_organisation), "reason": "Их дорога"}
    refused = await executor.move(appeal, **target, assignee_id=foreign.ref)
    _is_problem(refused, 422, "/assignee_id")
    assert _holder(await executor.move(appeal, **target)) is None
    found = await scenario.appeal(appeal["id"])
    assert _steps(found) == [(None, "Борис"), ("Борис", None)]
    # The centre may assign a person of the new organisation in the same request.
    back = await scenario.move(
        found,
        "assigned",
        organisation_id=str(scenario.organisation),
        reason="Всё же ваша",
        assignee_id=executor.ref,
    )
    assert _holder(back) == executor.ref


async def test_returned_appeal_is_assigned_to_moderators_only(scenario: AppealsScenario) -> None:
    appeal = await _assigned(scenario)
    executor = await register(scenario, "Борис")
    moderator = await register(scenario, "Модератор", "moderator")
    await executor.move(appeal, to="in_progress")
    assert _holder(await executor.move(appeal, to="triage", reason="Не наше")) is None
    _is_problem(await moderator.move(appeal, assignee_id=executor.ref), 422, "/assignee_id")
    assert _holder(await moderator.move(appeal, assignee_id=moderator.ref)) == moderator.ref
    # When an organisation gets the appeal, the moderator is no longer its assignee.
    given = await moderator.move(appeal, to="assigned", organisation_id=str(scenario.organisation))
    assert _holder(given) is None
    assert _steps(given.json())[-1] == ("Модератор", None)


async def test_reopened_appeal_returns_to_the_person_who_answered_it(scenario: AppealsScenario) -> None:
    appeal = await _assigned(scenario)
    executor = await register(scenario, "Борис")
    await executor.move(appeal, to="in_progress")
    reply = (await executor.post(f"/appeals/{appeal['id']}/replies", {"text": "Отремонтируем."})).json()
    await scenario.emit_published(reply, at=WEDNESDAY)
    # An unclear message puts the appeal into triage; then a moderator gives it back to the organisation.
    await scenario.citizen_writes("", attachments=[{"type": "photo"}])
    waiting = await scenario.appeal(appeal["id"])
    assert (waiting["status"], waiting["assignee"]) == ("triage", None)
    again = await scenario.move(waiting, "assigned")
    assert (again.json()["status"], _holder(again)) == ("reopened", executor.ref)
    assert _steps(again.json()) == [(None, "Борис"), ("Борис", None), (None, "Борис")]


async def test_possible_assignees_are_listed_with_name_absence_and_substitute(scenario: AppealsScenario) -> None:
    appeal = await _assigned(scenario)
    boris, anna = await register(scenario, "Борис"), await register(scenario, "Анна", "manager")
    gone = await register(scenario, "Ушёл")
    await register(scenario, "Глава", "head")
    moderator = await register(scenario, "Модератор", "moderator")
    foreign = await register(scenario, "Чужой", organisation=scenario.other_organisation)
    await change_access(scenario, gone, "locked_at = now()")
    today = str(clock.today())
    absent = {"starts_on": today, "ends_on": today, "substitute_id": anna.ref}
    assert (await boris.post("/absences", absent)).status_code == 201
    path = f"/appeals/{appeal['id']}/possible-assignees"
    found = {one["name"]: one for one in (await boris.get(path)).json()["items"]}
    assert {name: one["absent"] for name, one in found.items()} == {"Анна": False, "Борис": True}
    assert found["Борис"]["substitute"] == {"id": anna.ref, "name": "Анна", "kind": "person"}
    first = (await boris.get(f"{path}?limit=1")).json()
    second = (await boris.get(f"{path}?limit=1&cursor={first['next_cursor']}")).json()
    assert {one["name"]: one for one in first["items"] + second["items"]} == found
    _is_problem(await foreign.get(path), 404)
    # An appeal in triage can be assigned to moderators only.
    await boris.move(appeal, to="triage", reason="Не наше")
    ids = [one["id"] for one in (await moderator.get(path)).json()["items"]]
    assert moderator.ref in ids
    assert boris.ref not in ids


async def _appeals_of(colleague: Colleague, query: str) -> set[str]:
    answer = await colleague.get(f"/appeals?{query}")
    assert answer.status_code == 200, answer.text
    return {item["id"] for item in answer.json()["items"]}


async def test_lists_are_filtered_by_assignee(scenario: AppealsScenario) -> None:
    first = await _assigned(scenario)
    second = await _assigned(scenario, author="boris", thread="vk:-101_2")
    executor, manager = await register(scenario, "Борис"), await register(scenario, "Анна", "manager")
    await executor.move(first, to="in_progress")
    assert await _appeals_of(executor, "assignee=me") == {first["id"]}
    assert await _appeals_of(manager, "assignee=me") == set()
    assert await _appeals_of(manager, f"assignee_id={executor.ref}") == {first["id"]}
    assert await _appeals_of(manager, "assignee=none") == {second["id"]}
    assert (await manager.get("/appeals/counts?assignee=none")).json()["total"] == 1
    (item,) = (await manager.get(f"/appeals?assignee_id={executor.ref}")).json()["items"]
    assert item["assignee"] == {"id": executor.ref, "name": "Борис", "kind": "person"}
    foreign = await register(scenario, "Чужой", organisation=scenario.other_organisation)
    assert await _appeals_of(foreign, f"assignee_id={executor.ref}") == set()
    # A closed appeal without an assignee does not count as unassigned.
    await scenario.move(second, "closed", reason="Решено")
    assert await _appeals_of(manager, "assignee=none") == set()


async def test_locked_person_loses_open_appeals_and_keeps_closed_ones(scenario: AppealsScenario) -> None:
    opened = [await _assigned(scenario, author=f"a{n}", thread=f"vk:-101_{n}") for n in range(3)]
    boris, vera = await register(scenario, "Борис"), await register(scenario, "Вера")
    for appeal in opened:
        await boris.move(appeal, to="in_progress")
    await scenario.move(await scenario.appeal(opened[2]["id"]), "closed", reason="Решено")
    await change_access(scenario, vera, "locked_at = now()")
    await change_access(scenario, boris, "locked_at = now()")
    payloads = await _release_jobs(scenario)
    assert [payload["person_id"] for payload in payloads] == [vera.ref, boris.ref]
    for payload in payloads:
        await scenario.handle_job("release_appeals", payload)
    after = [await scenario.appeal(appeal["id"]) for appeal in opened]
    assert [one["assignee"] and one["assignee"]["name"] for one in after] == [None, None, "Борис"]
    entry = after[0]["timeline"][-1]
    assert (entry["kind"], entry["actor"]["kind"]) == ("assignee_changed", "system")
    assert entry["data"]["reason"] == "Прежний исполнитель больше не может работать с обращением"
    # Running the job again changes nothing.
    events = len(await scenario.events("appeal.assignee_changed"))
    await scenario.handle_job("release_appeals", payloads[1])
    assert len(await scenario.events("appeal.assignee_changed")) == events


async def test_person_who_moves_to_another_organisation_loses_appeals_of_the_former_one(
    scenario: AppealsScenario,
) -> None:
    appeal = await _assigned(scenario)
    executor = await register(scenario, "Борис")
    await executor.move(appeal, to="in_progress")
    await change_access(scenario, executor, f"organisation_id = '{scenario.other_organisation}'")
    # The scheduled job finds appeals for which no event started a release.
    await scenario.handle_schedule("release-appeals")
    assert (await scenario.appeal(appeal["id"]))["assignee"] is None


async def _release_jobs(scenario: AppealsScenario) -> list[dict[str, Any]]:
    connection = await scenario.database.connect()
    rows = await connection.fetch(
        "SELECT payload FROM appeals_jobs.pgqueuer WHERE entrypoint = 'release_appeals' ORDER BY id"
    )
    await connection.close()
    return [json.loads(row["payload"]) for row in rows]


async def test_second_concurrent_assignment_is_refused_and_names_the_first(scenario: AppealsScenario) -> None:
    for attempt in range(6):
        appeal = await _assigned(scenario, author=f"a{attempt}", thread=f"vk:-101_{attempt}")
        people = [await register(scenario, name) for name in ("Борис", "Вера")]
        version = f'"{appeal["version"]}"'
        answers = await asyncio.gather(
            *(
                person.post(f"/appeals/{appeal['id']}/moves", {"assignee_id": person.ref}, If_Match=version)
                for person in people
            )
        )
        won, lost = sorted(answers, key=lambda answer: answer.status_code)
        assert (won.status_code, lost.status_code) == (200, 412), lost.text
        found = await scenario.appeal(appeal["id"])
        assert found["assignee"] == won.json()["assignee"]
        assert lost.json()["last_change"]["actor"]["id"] == found["assignee"]["id"]
        assert len(_steps(found)) == 1
