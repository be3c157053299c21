"""Undo of a bulk operation restores assignee, organisation and status, unless somebody changed the appeal."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import time_machine

from services.metrics.indicators.period import Period
from services.metrics.indicators.transfers import compute_transfers
from shared.auth.callers import Caller
from shared.auth.rights import Right, Role
from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario
from tests.integration.appeals.people_helpers import change_access, register
from tests.integration.appeals.test_appeal_matching import QUESTION
from tests.integration.appeals.test_appeals_api import _is_problem
from tests.integration.appeals.test_bulk_operations import (
    completed,
    counts,
    insert_appeals,
    reasons,
    rows_of,
    run,
    submitted,
    undo,
)
from tests.integration.appeals.test_organisation_calendars import calendar_on


@pytest.fixture
def clock_at_first_message() -> Iterator[None]:
    """Stop the clock at the time of the first message."""
    with time_machine.travel(WEDNESDAY, tick=False):
        yield


def _state(appeal: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of an appeal that an undo restores, and its deadlines."""
    names = ("status", "organisation", "assignee", "transfers", "outcome", "closed_at", "first_response_due_at",
             "next_response_due_at", "allowed_moves", "overdue")  # fmt: skip
    return {name: appeal[name] for name in names}


async def test_assignment_is_undone_except_for_appeals_changed_since(
    scenario: AppealsScenario,
) -> None:
    manager, boris = await register(scenario, "Анна", "manager"), await register(scenario, "Борис")
    vera = await register(scenario, "Вера")
    ids = await insert_appeals(scenario, 4)
    assert (await boris.post(f"/appeals/{ids[0]}/moves", {"assignee_id": boris.ref}, If_Match="*")).is_success
    assert (await vera.post(f"/appeals/{ids[3]}/moves", {"assignee_id": vera.ref}, If_Match="*")).is_success
    body = {"action": "assign", "assignee_id": vera.ref, "appeal_ids": ids}
    operation = await completed(scenario, manager, body)
    assert (counts(operation), operation["undoable"]) == ((0, 3, 0, 1), True)
    assert (await vera.post(f"/appeals/{ids[2]}/moves", {"to": "in_progress"}, If_Match="*")).is_success
    undone = await undo(scenario, manager, operation)
    assert (undone["action"], undone["undoes_id"]) == ("undo", operation["id"])
    assert counts(undone) == (0, 2, 1, 0)
    (refused,) = await rows_of(manager, undone, "&outcome=refused")
    assert (refused["appeal_id"], refused["problem"]["type"]) == (ids[2], "/problems/precondition-failed")
    holders = [(await scenario.appeal(appeal_id))["assignee"] for appeal_id in ids]
    assert [one and one["name"] for one in holders] == ["Борис", None, "Вера", "Вера"]
    # An operation is undone once, and an undo cannot be undone.
    again = _is_problem(await manager.post(f"/appeals/bulk/{operation['id']}/undo"), 409)
    assert (again["type"], again["operation_id"]) == ("/problems/duplicate", undone["id"])
    _is_problem(await manager.post(f"/appeals/bulk/{undone['id']}/undo"), 409)
    shown = (await manager.get(f"/appeals/bulk/{operation['id']}")).json()
    assert (shown["undoable"], shown["undone_by_id"]) == (False, undone["id"])


async def test_undo_with_a_failed_job_can_be_requested_again(scenario: AppealsScenario) -> None:
    """The job of the first undo is dead-lettered after it refused one of three appeals."""
    manager = await register(scenario, "Анна", "manager")
    ids = await insert_appeals(scenario, 3)
    body = {"action": "assign", "assignee_id": manager.ref, "appeal_ids": ids}
    operation = await completed(scenario, manager, body)
    path = f"/appeals/bulk/{operation['id']}/undo"
    first = (await manager.post(path)).json()
    # A second undo is refused while the first runs.
    assert _is_problem(await manager.post(path), 409)["operation_id"] == first["id"]
    connection = await scenario.database.connect("appeals")
    try:
        await connection.execute(
            """UPDATE bulk_operation_rows SET outcome = 'refused', problem = '{"type": "/problems/conflict"}'
               WHERE operation_id = $1 AND appeal_id = $2""",
            UUID(first["id"]), UUID(ids[0]),
        )  # fmt: skip
    finally:
        await connection.close()
    queue = scenario.appeals.service.jobs
    assert queue is not None
    async with scenario.appeals.service.database.write() as session:
        await queue.on_dead_letter["run_bulk_operation"](session, {"operation_id": first["id"]}, "a bug")
    shown = (await manager.get(f"/appeals/bulk/{operation['id']}")).json()
    assert (shown["undoable"], shown["undone_by_id"]) == (True, first["id"])
    second = await undo(scenario, manager, operation)
    # The second undo changes only the appeals that the failed job left.
    assert counts(second) == (0, 2, 0, 0)
    assert {row["appeal_id"] for row in await rows_of(manager, second)} == set(ids[1:])
    holders = [(await scenario.appeal(appeal_id))["assignee"] for appeal_id in ids]
    assert [one and one["name"] for one in holders] == ["Анна", None, None]
    shown = (await manager.get(f"/appeals/bulk/{operation['id']}")).json()
    assert (shown["undoable"], shown["undone_by_id"]) == (False, second["id"])
    assert _is_problem(await manager.post(path), 409)["operation_id"] == second["id"]


async def test_undo_of_a_running_operation_is_refused(scenario: AppealsScenario) -> None:
    manager = await register(scenario, "Анна", "manager")
    ids = await insert_appeals(scenario, 1)
    body = {"action": "assign", "assignee_id": manager.ref, "appeal_ids": ids}
    operation = await submitted(manager, body)
    assert operation["undoable"] is False
    _is_problem(await manager.post(f"/appeals/bulk/{operation['id']}/undo"), 409)


async def test_undo_repeated_with_the_same_key_runs_once(scenario: AppealsScenario) -> None:
    manager = await register(scenario, "Анна", "manager")
    ids = await insert_appeals(scenario, 1)
    body = {"action": "assign", "assignee_id": manager.ref, "appeal_ids": ids}
    operation = await completed(scenario, manager, body)
    path = f"/appeals/bulk/{operation['id']}/undo"
    first, second = [await manager.post(path, Idempotency_Key="back") for _ in range(2)]
    assert (first.status_code, first.json()["id"]) == (202, second.json()["id"])
    for _ in range(2):
        await run(scenario, first.json())
    assert (await scenario.appeal(ids[0]))["version"] == 3


async def _appeals_of_all_statuses(scenario: AppealsScenario) -> dict[str, dict[str, Any]]:
    """Return one appeal for each of these statuses: assigned, in progress, interim, answered, reopened."""
    executor = await register(scenario, "Исполнитель")
    found: dict[str, dict[str, Any]] = {}
    for number, status in enumerate(("assigned", "in_progress", "interim", "answered", "reopened")):
        details = {"author": f"a{number}", "thread": f"vk:-101_{number}"}
        await scenario.citizen_writes(QUESTION, **details)
        appeal = (await scenario.all())[0]
        if status != "assigned":
            await executor.move(appeal, to="in_progress")
        if status in {"interim", "answered", "reopened"}:
            reply: dict[str, Any] = {"text": "Отремонтируем до 30 ноября 2099 года."}
            if status == "interim":
                reply |= {"kind": "interim", "promised_at": "2099-11-30T10:00:00+08:00"}
            sent = await executor.post(f"/appeals/{appeal['id']}/replies", reply)
            assert sent.status_code == 201, sent.text
            await scenario.emit_published(sent.json(), at=WEDNESDAY, external_id=f"-101_7{number}")
        if status == "reopened":
            await scenario.citizen_writes("Так и не отремонтировали дорогу на Бабушкина! Когда?", **details)
        found[status] = await scenario.appeal(appeal["id"])
        assert found[status]["status"] == status
    return found


async def test_undo_of_transfer_and_closing_restores_each_former_status(scenario: AppealsScenario) -> None:
    moderator = await register(scenario, "Модератор", "moderator")
    before = await _appeals_of_all_statuses(scenario)
    ids = {status: appeal["id"] for status, appeal in before.items()}
    changes: list[tuple[dict[str, Any], set[str]]] = [
        # An answered appeal cannot be transferred.
        ({"action": "transfer", "organisation_id": str(scenario.other_organisation)}, {"answered"}),
        ({"action": "close", "reason": "Решено", "outcome": "solved"}, set()),
    ]
    for body, refused in changes:
        operation = await completed(scenario, moderator, body | {"appeal_ids": list(ids.values())})
        assert counts(operation) == (0, 5 - len(refused), len(refused), 0)
        undone = await undo(scenario, moderator, operation)
        assert counts(undone) == (0, 5 - len(refused), 0, 0), await rows_of(moderator, undone)
        for status, appeal_id in ids.items():
            found = await scenario.appeal(appeal_id)
            assert _state(found) == _state(before[status]), status
            # The last move in the timeline leads to the current status.
            moves = [entry["data"] for entry in found["timeline"] if entry["kind"] == "moved"]
            if status not in refused:
                assert moves[-1]["to"] == status
                assert moves[-1]["reason"] == "Отмена массовой операции"
            # Assignments are as before the operation, so indicators count no transfer.
            assert found["assignments"] == before[status]["assignments"]


async def test_transfer_from_triage_is_undone_only_if_the_appeal_had_no_organisation(
    scenario: AppealsScenario,
) -> None:
    moderator = await register(scenario, "Модератор", "moderator")
    (free,) = await insert_appeals(scenario, 1, status="triage", unassigned=True)
    (owned,) = await insert_appeals(scenario, 1, status="triage")
    body = {"action": "transfer", "organisation_id": str(scenario.other_organisation)}
    operation = await completed(scenario, moderator, body | {"appeal_ids": [free, owned]})
    undone = await undo(scenario, moderator, operation)
    (refused,) = await rows_of(moderator, undone, "&outcome=refused")
    assert (refused["appeal_id"], refused["problem"]["status"]) == (owned, 409)
    found = await scenario.appeal(free)
    assert (found["status"], found["organisation"], found["transfers"]) == ("triage", None, 0)
    assert found["assignments"] == []
    # The undo does not count as a return, so rules may assign the organisation again.
    centre = Caller("centre", "Центр", Role.ANALYST, None).with_right(Right.METRICS_READ)
    period = Period(WEDNESDAY - timedelta(days=1), WEDNESDAY + timedelta(days=1))
    async with scenario.appeals.service.database.read() as session:
        total, _ = await compute_transfers(session, period, centre)
    assert (total.returns, total.transferred_in, total.transferred_out) == (0, 0, 0)


async def _route(scenario: AppealsScenario, appeal_id: str) -> tuple[dict[str, Any], datetime | None]:
    """Return the stored route of an appeal and when it first got an organisation."""
    row = await scenario.ingest.fetchrow(
        "SELECT route::text, assigned_at FROM appeals WHERE id = $1", UUID(appeal_id)
    )
    assert row is not None
    return json.loads(row["route"]), row["assigned_at"]


async def test_undone_transfer_restores_the_route_and_the_triage_reason(scenario: AppealsScenario) -> None:
    """One appeal was returned, one has an unclear message, and one was assigned by the rules."""
    moderator = await register(scenario, "Модератор", "moderator")
    executor = await register(scenario, "Исполнитель")
    texts = {"returned": QUESTION, "unclear": "", "assigned": QUESTION}
    ids: dict[str, str] = {}
    for number, (name, text) in enumerate(texts.items()):
        photo = [] if text else [{"type": "photo"}]
        await scenario.citizen_writes(text, author=name, thread=f"vk:-101_{number}", attachments=photo)
        ids[name] = (await scenario.all())[0]["id"]
    returned = await scenario.appeal(ids["returned"])
    assert (await executor.move(returned, to="triage", reason="Дорога не наша")).status_code == 200
    before = {name: (await _route(scenario, one), await scenario.appeal(one)) for name, one in ids.items()}
    assert [before[name][1]["triage_reason"] for name in ids] == ["returned", "need_unclear", None]
    assert before["returned"][0][0]["returned_by"] == str(scenario.organisation)
    body = {"action": "transfer", "organisation_id": str(scenario.other_organisation)}
    operation = await completed(scenario, moderator, body | {"appeal_ids": list(ids.values())})
    assert counts(operation) == (0, 3, 0, 0)
    assert counts(await undo(scenario, moderator, operation)) == (0, 3, 0, 0)
    for name, appeal_id in ids.items():
        found = await scenario.appeal(appeal_id)
        assert await _route(scenario, appeal_id) == before[name][0], name
        same = ("status", "triage_reason", "organisation", "transfers", "assignments")
        assert [found[one] for one in same] == [before[name][1][one] for one in same], name
    # The next clear message does not assign the appeal to the organisation that returned it.
    await scenario.citizen_writes("Когда отремонтируют дорогу?", author="returned", thread="vk:-101_0")
    after = await scenario.appeal(ids["returned"])
    assert (len(after["messages"]), after["status"], after["organisation"]) == (2, "triage", None)


async def test_undo_computes_the_deadline_in_the_calendar_of_the_former_organisation(
    scenario: AppealsScenario, clock_at_first_message: None
) -> None:
    moderator = await register(scenario, "Модератор", "moderator")
    registry = await scenario.database.connect("registry")
    try:
        region = await registry.fetchval("SELECT id FROM calendars WHERE is_default")
        week = json.dumps({str(day): [["08:00", "10:00"]] for day in range(1, 6)})
        short = await calendar_on(registry, region, "Два часа в день", week)
        await registry.execute(
            "UPDATE organisations SET calendar_id = $2 WHERE id = $1", scenario.other_organisation, short
        )
    finally:
        await registry.close()
    await scenario.citizen_writes(QUESTION)
    before = await scenario.single_appeal()
    body = {"action": "transfer", "organisation_id": str(scenario.other_organisation)}
    operation = await completed(scenario, moderator, body | {"appeal_ids": [before["id"]]})
    moved = await scenario.single_appeal()
    assert moved["first_response_due_at"] > before["first_response_due_at"]
    assert counts(await undo(scenario, moderator, operation)) == (0, 1, 0, 0)
    found = await scenario.single_appeal()
    assert (found["first_response_due_at"], found["deadline"]) == (
        before["first_response_due_at"],
        before["deadline"],
    )
    # Events go to the former organisation, which has the appeal again, and to the one that lost it.
    sent = (await scenario.events("appeal.moved", "appeal.assigned"))[-3:]
    assert {row["organisation_id"] for row in sent} == {scenario.organisation, scenario.other_organisation}
    due = {datetime.fromisoformat(json.loads(row["data"])["first_response_due_at"]) for row in sent}
    assert due == {datetime.fromisoformat(before["first_response_due_at"])}


async def test_staff_cannot_undo_a_transfer_to_another_organisation(scenario: AppealsScenario) -> None:
    manager = await register(scenario, "Анна", "manager")
    ids = await insert_appeals(scenario, 1)
    body = {"action": "transfer", "organisation_id": str(scenario.other_organisation), "reason": "Их фонари"}
    operation = await completed(scenario, manager, body | {"appeal_ids": ids})
    _is_problem(await manager.post(f"/appeals/bulk/{operation['id']}/undo"), 409)
    # The refused attempt does not use up the one undo that is allowed.
    moderator = await register(scenario, "Модератор", "moderator")
    assert counts(await undo(scenario, moderator, operation)) == (0, 1, 0, 0)
    found = await scenario.appeal(ids[0])
    assert (found["organisation"]["id"], found["transfers"]) == (str(scenario.organisation), 0)


async def test_undo_does_not_reassign_an_appeal_to_a_locked_person(scenario: AppealsScenario) -> None:
    moderator = await register(scenario, "Модератор", "moderator")
    boris = await register(scenario, "Борис")
    ids = await insert_appeals(scenario, 2)
    for appeal_id in ids:
        await boris.post(f"/appeals/{appeal_id}/moves", {"assignee_id": boris.ref}, If_Match="*")
    closed = await completed(scenario, moderator, {"action": "close", "reason": "Так", "appeal_ids": ids[:1]})
    given = await completed(scenario, moderator, {"action": "assign", "assignee_id": None, "appeal_ids": ids[1:]})
    await change_access(scenario, boris, "locked_at = now()")
    assert counts(await undo(scenario, moderator, closed)) == (0, 1, 0, 0)
    found = await scenario.appeal(ids[0])
    assert (found["status"], found["assignee"]) == ("assigned", None)
    refused = await undo(scenario, moderator, given)
    assert reasons(await rows_of(moderator, refused)) == {"invalid": 1}
