"""Unread marks: who gets them, for what reason, and when they end."""

from datetime import datetime, timedelta
from typing import Any

from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario
from tests.integration.appeals.people_helpers import Colleague, register

QUESTION = "Когда в вашей школе начнётся ремонт крыльца?"


async def _open(scenario: AppealsScenario) -> dict[str, Any]:
    await scenario.citizen_writes(QUESTION)
    return await scenario.single_appeal()


async def _writes_again(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes("Крыльцо так и не починили!", at=WEDNESDAY + timedelta(hours=1))


async def _unread(reader: Colleague, appeal: dict[str, Any]) -> dict[str, Any] | None:
    """Return the unread mark of the appeal, None if it is read; check that lists, filters and counts agree."""
    shown = (await reader.get(f"/appeals/{appeal['id']}")).json()["unread"]
    (listed,) = (await reader.get("/appeals")).json()["items"]
    filtered = (await reader.get("/appeals?unread=true")).json()["items"]
    counted = (await reader.get("/appeals/counts?unread=false")).json()["total"]
    assert listed["unread"] == shown
    assert (len(filtered), counted) == ((0, 1) if shown is None else (1, 0))
    mark: dict[str, Any] | None = shown
    return mark


async def _read(reader: Colleague, appeal: dict[str, Any], mark: dict[str, Any] | None) -> None:
    assert mark is not None
    answer = await reader.request("PUT", f"/appeals/{appeal['id']}/read", {"until": mark["at"]})
    assert answer.status_code == 204, answer.text


async def test_message_is_unread_for_assignee_and_watchers_until_they_read_it(scenario: AppealsScenario) -> None:
    appeal = await _open(scenario)
    assignee, watcher = await register(scenario, "Исполнитель"), await register(scenario, "Наблюдатель")
    other = await register(scenario, "Коллега")
    assert (await assignee.move(appeal, to="in_progress")).json()["assignee"]["id"] == assignee.ref
    await watcher.post(f"/appeals/{appeal['id']}/watchers", {})
    # A person's own action creates no unread mark for them.
    assert await _unread(assignee, appeal) is None
    await _writes_again(scenario)
    for reader in (assignee, watcher):
        mark = await _unread(reader, appeal)
        assert mark is not None
        assert mark["reason"] == "message"
    assert await _unread(other, appeal) is None
    await _read(assignee, appeal, await _unread(assignee, appeal))
    assert await _unread(assignee, appeal) is None
    assert await _unread(watcher, appeal) is not None


async def test_message_received_after_the_last_read_one_stays_unread(scenario: AppealsScenario) -> None:
    appeal, watcher = await _open(scenario), await register(scenario, "Наблюдатель")
    await watcher.post(f"/appeals/{appeal['id']}/watchers", {})
    await _writes_again(scenario)
    seen = await _unread(watcher, appeal)
    await scenario.citizen_writes("Крыльцо совсем развалилось!", at=WEDNESDAY + timedelta(hours=2))
    later = await _unread(watcher, appeal)
    assert seen is not None
    assert later is not None
    assert datetime.fromisoformat(later["at"]) > datetime.fromisoformat(seen["at"])
    # Moments are whole milliseconds, because front ends do not keep microseconds.
    assert datetime.fromisoformat(later["at"]).microsecond % 1000 == 0
    await _read(watcher, appeal, seen)
    assert await _unread(watcher, appeal) == later


async def test_assignment_by_somebody_else_is_unread(scenario: AppealsScenario) -> None:
    appeal, assignee = await _open(scenario), await register(scenario, "Исполнитель")
    manager = await register(scenario, "Руководитель", "manager")
    await manager.move(appeal, assignee_id=assignee.ref)
    mark = await _unread(assignee, appeal)
    assert mark is not None
    assert mark["reason"] == "assigned"
    assert await _unread(manager, appeal) is None


async def test_remarks_are_unread_for_the_author_and_a_mention_for_the_colleague(
    scenario: AppealsScenario,
) -> None:
    appeal = await _open(scenario)
    author, approver = await register(scenario, "Автор"), await register(scenario, "Согласующий", "approver")
    await scenario.post("/approval-rules", {"organisation_id": str(scenario.organisation)})
    reply = (await author.post(f"/appeals/{appeal['id']}/replies", {"text": "Починим в мае."})).json()
    path = f"/appeals/{appeal['id']}/replies/{reply['id']}/refuse"
    refused = await approver.post(path, {"remarks": "Назовите день"}, If_Match="*")
    assert refused.status_code == 200, refused.text
    mark = await _unread(author, appeal)
    assert mark is not None
    assert mark["reason"] == "remarks"
    await author.post(
        f"/appeals/{appeal['id']}/notes", {"text": "15 мая?", "mentions": [approver.ref, author.ref]}
    )
    mentioned = await _unread(approver, appeal)
    assert mentioned is not None
    assert mentioned["reason"] == "mention"
    assert await _unread(author, appeal) == mark


async def test_appeal_out_of_scope_cannot_be_marked_as_read(scenario: AppealsScenario) -> None:
    appeal = await _open(scenario)
    stranger = await register(scenario, "Чужой", organisation=scenario.other_organisation)
    until = {"until": "2026-03-04T10:00:00Z"}
    assert (await stranger.request("PUT", f"/appeals/{appeal['id']}/read", until)).status_code == 404
    assert (await stranger.request("PUT", f"/appeals/{appeal['id']}/read", {})).status_code == 422
