"""Filters of the list of appeals that front ends offer as work lists."""

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario
from tests.integration.appeals.people_helpers import register

QUESTION = "Когда в вашей школе начнётся ремонт крыльца?"


async def _open(scenario: AppealsScenario, count: int = 3) -> list[dict[str, Any]]:
    """Create appeals; return them, oldest first."""
    for number in range(count):
        await scenario.citizen_writes(QUESTION, author=f"a{number}", at=WEDNESDAY + timedelta(hours=number))
    return await scenario.all(sort="opened_at")


async def _split(scenario: AppealsScenario, name: str) -> tuple[list[int], list[int]]:
    """Return the numbers of the appeals that a filter selects when true, and when false."""
    yes, no = [[one["number"] for one in await scenario.all(**{name: value})] for value in ("true", "false")]
    everything = {one["number"] for one in await scenario.all()}
    assert set(yes) | set(no) == everything
    assert not set(yes) & set(no)
    return sorted(yes), sorted(no)


async def test_appeals_with_a_reply_on_approval_or_a_refused_one_are_listed(scenario: AppealsScenario) -> None:
    waiting, refused, _ = await _open(scenario)
    author, approver = await register(scenario, "Автор"), await register(scenario, "Согласующий", "approver")
    rule = {"organisation_id": str(scenario.organisation)}
    assert (await scenario.post("/approval-rules", rule)).status_code == 201
    for appeal in (waiting, refused):
        answer = await author.post(f"/appeals/{appeal['id']}/replies", {"text": "Починим в мае."})
        assert answer.json()["status"] == "on_approval", answer.text
        refused_reply = answer.json()["id"]
    path = f"/appeals/{refused['id']}/replies/{refused_reply}/refuse"
    remarks = await approver.post(path, {"remarks": "Назовите день"}, If_Match="*")
    assert remarks.status_code == 200, remarks.text
    assert (await _split(scenario, "on_approval"))[0] == [waiting["number"]]
    assert (await _split(scenario, "reply_refused"))[0] == [refused["number"]]


async def test_assigned_appeals_without_a_published_reply_are_listed(scenario: AppealsScenario) -> None:
    answered, open_one, triage = await _open(scenario)
    reply = (await scenario.post(f"/appeals/{answered['id']}/replies", {"text": "Да, в мае."})).json()
    await scenario.emit_published(reply, at=WEDNESDAY + timedelta(hours=5))
    await scenario.move(triage, "triage", reason="Дорога республиканская")
    assert await _split(scenario, "unanswered") == ([open_one["number"]], [answered["number"], triage["number"]])


async def test_returned_appeals_are_listed(scenario: AppealsScenario) -> None:
    returned, *others = await _open(scenario)
    colleague = await register(scenario, "Исполнитель")
    moved = await colleague.move(returned, to="triage", reason="Дорога республиканская")
    assert moved.status_code == 200, moved.text
    assert await _split(scenario, "returned") == ([returned["number"]], [one["number"] for one in others])
    assert [one["id"] for one in await scenario.all(triage_reason="returned")] == [returned["id"]]


async def test_appeals_due_before_a_moment_are_listed(scenario: AppealsScenario) -> None:
    found = await _open(scenario)
    due = sorted((one["next_due_at"], one["number"]) for one in found)
    last = due[-1][0]
    early = [number for moment, number in due if moment < last]
    assert early
    assert [one["number"] for one in await scenario.all(due_before=last, sort="due")] == early
    later = (datetime.fromisoformat(last) + timedelta(seconds=1)).isoformat()
    assert len(await scenario.all(due_before=later)) == len(due)


async def test_appeals_of_an_incident_are_listed(scenario: AppealsScenario) -> None:
    first, second, other = await _open(scenario)
    body = {"title": "Крыльцо школы", "appeal_ids": [first["id"], second["id"]]}
    opened = await scenario.post("/incidents", body)
    assert opened.status_code == 201, opened.text
    inside = [first["number"], second["number"]]
    assert await _split(scenario, "in_incident") == (inside, [other["number"]])
    members = await scenario.all(incident_id=opened.json()["id"], sort="opened_at")
    assert [one["number"] for one in members] == inside
    assert await scenario.all(incident_id=str(uuid4())) == []


async def test_watched_appeals_are_those_of_the_caller(scenario: AppealsScenario) -> None:
    watched, *_ = await _open(scenario)
    watcher, colleague = await register(scenario, "Наблюдатель"), await register(scenario, "Коллега")
    assert (await watcher.post(f"/appeals/{watched['id']}/watchers", {})).status_code == 201
    mine = (await watcher.get("/appeals?watched=true")).json()["items"]
    assert [one["id"] for one in mine] == [watched["id"]]
    assert len((await watcher.get("/appeals?watched=false")).json()["items"]) == 2
    assert (await colleague.get("/appeals?watched=true")).json()["items"] == []


async def test_appeals_of_one_author_are_listed(scenario: AppealsScenario) -> None:
    first, *_ = await _open(scenario)
    await scenario.citizen_writes("Почему не горят фонари на улице Жердева?", author="a0", thread="vk:-101_9")
    listed = await scenario.all(author_key="a0")
    assert len(listed) == 2
    assert first["id"] in {appeal["id"] for appeal in listed}
    assert await scenario.all(author_key="nobody") == []
