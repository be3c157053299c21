"""Bulk operations change each appeal once, as the route for one appeal does, or refuse it with a reason."""

import asyncio
import json
import re
from collections import Counter
from datetime import timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from services.appeals.api.appeals import appeals
from services.appeals.bulk import list_versions, operations, row_changes, runner
from services.appeals.bulk.list_versions import ListVersion
from shared.database.sessions import WriteSession
from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario
from tests.integration.appeals.people_helpers import Colleague, change_access, register
from tests.integration.appeals.test_appeal_matching import QUESTION
from tests.integration.appeals.test_appeals_api import UNCLEAR, _is_problem


async def insert_appeals(
    scenario: AppealsScenario,
    count: int,
    *,
    status: str = "assigned",
    organisation: UUID | None = None,
    unassigned: bool = False,
) -> list[str]:
    """Insert appeals without messages, of the scenario's organisation by default; return their ids in order."""
    owner = None if unassigned else organisation or scenario.organisation
    connection = await scenario.database.connect("appeals")
    try:
        rows = await connection.fetch(
            """INSERT INTO appeals (id, version, status, urgency, organisation_id, transfers, returns, text,
               written_at, opened_at, assigned_at, closed_at, route, created_at, updated_at)
               SELECT gen_random_uuid(), 1, $1::text, 'normal', $2, 0, 0, 'Не горят фонари', $3, $3, $3,
               CASE WHEN $1 = 'closed' THEN $3::timestamptz END, '{"reason": "", "confidence": 1.0}',
               now(), now() FROM generate_series(1, $4) RETURNING id""",
            status, owner, WEDNESDAY, count,
        )  # fmt: skip
    finally:
        await connection.close()
    return sorted(str(row["id"]) for row in rows)


async def run(scenario: AppealsScenario, operation: dict[str, Any]) -> None:
    """Run the operation's job, as a worker does."""
    await scenario.handle_job("run_bulk_operation", {"operation_id": operation["id"]})


async def submitted(person: Colleague, body: dict[str, Any], **headers: str) -> dict[str, Any]:
    """Submit an operation; return it."""
    answer = await person.post("/appeals/bulk", body, **headers)
    assert answer.status_code == 202, answer.text
    operation: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/api/v1/appeals/bulk/{operation['id']}"
    return operation


async def completed(scenario: AppealsScenario, person: Colleague, body: dict[str, Any]) -> dict[str, Any]:
    """Submit an operation and run its job; return the operation with all outcomes."""
    operation = await submitted(person, body)
    await run(scenario, operation)
    return await read(person, operation)


async def read(person: Colleague, operation: dict[str, Any]) -> dict[str, Any]:
    """Return the current state of the operation."""
    answer = await person.get(f"/appeals/bulk/{operation['id']}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def rows_of(person: Colleague, operation: dict[str, Any], query: str = "") -> list[dict[str, Any]]:
    """Return the row of each appeal of the operation, read page by page."""
    path, found, cursor = f"/appeals/bulk/{operation['id']}/rows?limit=200{query}", [], ""
    while True:
        answer = await person.get(path + cursor)
        assert answer.status_code == 200, answer.text
        found += answer.json()["items"]
        if "next_cursor" not in answer.json() or answer.json()["next_cursor"] is None:
            return found
        cursor = f"&cursor={answer.json()['next_cursor']}"


async def undo(scenario: AppealsScenario, person: Colleague, operation: dict[str, Any]) -> dict[str, Any]:
    """Undo the operation; return the completed undo, which is an operation too."""
    answer = await person.post(f"/appeals/bulk/{operation['id']}/undo")
    assert answer.status_code == 202, answer.text
    await run(scenario, answer.json())
    return await read(person, answer.json())


def counts(operation: dict[str, Any]) -> tuple[int, int, int, int]:
    """Return how many appeals are pending, done, refused and unchanged."""
    found = operation["counts"]
    assert found["total"] == sum(found[name] for name in ("pending", "done", "refused", "unchanged"))
    return found["pending"], found["done"], found["refused"], found["unchanged"]


def reasons(rows: list[dict[str, Any]]) -> Counter[str]:
    """Return the number of refused appeals by type of problem."""
    return Counter(row["problem"]["type"].removeprefix("/problems/") for row in rows if row["problem"])


async def _records(scenario: AppealsScenario) -> tuple[int, int, int]:
    """Return the number of assignee changes in the timelines, in the events and in the audit trail."""
    return (
        await scenario.ingest.fetchval("SELECT count(*) FROM timeline WHERE kind = 'assignee_changed'"),
        await scenario.ingest.fetchval("SELECT count(*) FROM events WHERE type = 'appeal.assignee_changed'"),
        await scenario.ingest.fetchval(
            "SELECT count(*) FROM audit WHERE subject_kind = 'appeals' AND action = 'run_bulk_operation'"
        ),
    )


@pytest.mark.parametrize(
    ("total", "refused"), [(30, 6), pytest.param(1_000, 37, marks=[pytest.mark.long, pytest.mark.timeout(600)])]
)
async def test_bulk_reassignment_names_refused_appeals_and_repeating_it_changes_nothing(
    scenario: AppealsScenario, total: int, refused: int
) -> None:
    manager = await register(scenario, "Анна", "manager")
    boris = await register(scenario, "Борис")
    closed, elsewhere = refused // 3, refused // 3
    triage = refused - closed - elsewhere
    await insert_appeals(scenario, total - refused)
    ended = await insert_appeals(scenario, closed, status="closed")
    waiting = await insert_appeals(scenario, triage, status="triage")
    leaving = await insert_appeals(scenario, elsewhere)
    body = {
        "action": "assign",
        "assignee_id": boris.ref,
        "filter": {"organisation_id": str(scenario.organisation)},
    }
    operation = await submitted(manager, body, Idempotency_Key="one")
    assert counts(operation) == (total, 0, 0, 0)
    # After the request some appeals leave the manager's scope, and a new one matches the filter.
    connection = await scenario.database.connect("appeals")
    try:
        await connection.execute(
            "UPDATE appeals SET organisation_id = $1 WHERE id = ANY($2::uuid[])",
            scenario.other_organisation,
            leaving,
        )
    finally:
        await connection.close()
    (late,) = await insert_appeals(scenario, 1)
    await run(scenario, operation)
    done = await read(manager, operation)
    assert counts(done) == (0, total - refused, refused, 0)
    assert done["completed_at"] is not None
    assert (await scenario.appeal(late))["assignee"] is None
    found = await rows_of(manager, operation, "&outcome=refused")
    assert {row["appeal_id"] for row in found} == {*ended, *waiting, *leaving}
    assert reasons(found) == {"conflict": closed, "not-found": elsewhere, "invalid": triage}
    assert all(row["problem"]["detail"] and row["number"] and row["changed_at"] for row in found)
    records = await _records(scenario)
    assert records == (total - refused,) * 3
    # Neither the repeated request nor the repeated job nor a second operation changes anything.
    assert (await submitted(manager, body, Idempotency_Key="one"))["id"] == operation["id"]
    await run(scenario, operation)
    again = await completed(scenario, manager, body | {"filter": {"assignee_id": boris.ref}})
    assert counts(again) == (0, 0, 0, total - refused)
    assert await _records(scenario) == records


async def test_job_restarted_after_a_kill_repeats_no_change(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "BULK_BATCH", 3)
    manager, boris = await register(scenario, "Анна", "manager"), await register(scenario, "Борис")
    ids = await insert_appeals(scenario, 8)
    operation = await submitted(
        manager, {"action": "assign", "assignee_id": boris.ref, "appeal_ids": [*ids, ids[0]]}
    )
    changed, former = 0, row_changes.change_appeal

    async def killed(*args: Any) -> Any:
        nonlocal changed
        changed += 1
        if changed == 5:
            raise asyncio.CancelledError
        return await former(*args)

    monkeypatch.setattr(row_changes, "change_appeal", killed)
    with pytest.raises(asyncio.CancelledError):
        await run(scenario, operation)
    # The batch that was not committed left no change and no outcome.
    assert counts(await read(manager, operation)) == (5, 3, 0, 0)
    assert await _records(scenario) == (3, 3, 3)
    monkeypatch.setattr(row_changes, "change_appeal", former)
    await asyncio.gather(run(scenario, operation), run(scenario, operation))
    assert counts(await read(manager, operation)) == (0, 8, 0, 0)
    assert await _records(scenario) == (8, 8, 8)


async def test_concurrent_operations_on_the_same_appeals_lose_no_change(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "BULK_BATCH", 3)
    manager, colleague = await register(scenario, "Анна", "manager"), await register(scenario, "Дарья", "manager")
    people = [await register(scenario, name) for name in ("Борис", "Вера")]
    ids = await insert_appeals(scenario, 12)
    wanted = [
        {"action": "assign", "assignee_id": people[0].ref, "appeal_ids": ids},
        {"action": "assign", "assignee_id": people[1].ref, "appeal_ids": ids[::-1]},
        {"action": "transfer", "organisation_id": str(scenario.other_organisation), "reason": "Их фонари",
         "appeal_ids": ids[6:]},
    ]  # fmt: skip
    authors = (manager, manager, colleague)
    made = [await submitted(author, body) for author, body in zip(authors, wanted, strict=True)]
    # Two workers run each operation.
    await asyncio.gather(*(run(scenario, operation) for operation in [*made, *made]))
    rows = [row for operation in made for row in await rows_of(manager, operation)]
    assert {row["outcome"] for row in rows} <= {"done", "refused"}
    # An appeal that was transferred first is out of the manager's scope for the other operations.
    assert reasons(rows).keys() <= {"not-found"}
    done = Counter(row["appeal_id"] for row in rows if row["outcome"] == "done")
    for appeal_id in ids:
        appeal = await scenario.appeal(appeal_id)
        # Each reported change raised the version once: no update was lost.
        assert appeal["version"] == 1 + done[appeal_id]
        steps = [entry["data"] for entry in appeal["timeline"] if entry["kind"] == "assignee_changed"]
        assert all(before["assignee_id"] == after["previous_assignee_id"] for before, after in pairwise(steps))
        assert (steps[-1]["assignee_id"] if steps else None) == (appeal["assignee"] or {"id": None})["id"]


async def test_third_unfinished_operation_of_a_person_is_refused(scenario: AppealsScenario) -> None:
    manager, boris = await register(scenario, "Анна", "manager"), await register(scenario, "Борис")
    body = {"action": "assign", "assignee_id": boris.ref, "appeal_ids": await insert_appeals(scenario, 2)}
    before = await completed(scenario, manager, body)
    # Of five concurrent requests two are accepted.
    answers = await asyncio.gather(*(manager.post("/appeals/bulk", body) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [202, 202, 429, 429, 429]
    for refused in (
        next(answer for answer in answers if answer.status_code == 429),
        await manager.post(f"/appeals/bulk/{before['id']}/undo"),
    ):
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "60")
        assert refused.json()["type"] == "/problems/too-many-requests"
    await submitted(boris, body)
    queue = scenario.appeals.service.jobs
    assert queue is not None
    assert queue.concurrency["run_bulk_operation"] == 2
    await run(scenario, next(answer.json() for answer in answers if answer.status_code == 202))
    await submitted(manager, body)


async def test_rights_are_checked_when_each_appeal_is_changed(scenario: AppealsScenario) -> None:
    ids = await insert_appeals(scenario, 3)
    boris, vera = await register(scenario, "Борис"), await register(scenario, "Вера")
    body = {"action": "assign", "assignee_id": boris.ref, "appeal_ids": ids}
    # A colleague is assigned to one appeal: reassigning it needs the right to manage assignees.
    assert (await vera.post(f"/appeals/{ids[0]}/moves", {"assignee_id": vera.ref}, If_Match="*")).is_success
    first = await completed(scenario, boris, body)
    assert counts(first) == (0, 2, 1, 0)
    assert reasons(await rows_of(boris, first)) == {"forbidden": 1}
    foreign = await insert_appeals(scenario, 1, organisation=scenario.other_organisation)
    hidden = await submitted(boris, body | {"assignee_id": None, "appeal_ids": [*ids, *foreign, str(uuid4())]})
    await change_access(scenario, boris, "locked_at = now()")
    await run(scenario, hidden)
    manager = await register(scenario, "Анна", "manager")
    refused = await rows_of(manager, hidden)
    assert reasons(refused) == {"forbidden": 5}
    # The rows do not show the number of an appeal that the author could not see.
    assert sorted(row["number"] is None for row in refused) == [False, False, False, True, True]
    assert all((row["appeal"] is None) == (row["number"] is None) for row in refused)
    mine = next(row["appeal"] for row in refused if row["appeal_id"] == ids[1])
    shown = await scenario.appeal(ids[1])
    assert mine == {name: shown[name] for name in ("text", "status", "organisation")}
    # A person whose role has become read-only changes nothing either.
    later = await submitted(vera, body | {"assignee_id": None})
    await change_access(scenario, vera, "role = 'head', organisation_id = NULL")
    await run(scenario, later)
    assert reasons(await rows_of(manager, later)) == {"forbidden": 3}


async def test_operation_is_limited_by_the_scopes_of_its_token(scenario: AppealsScenario) -> None:
    ids = await insert_appeals(scenario, 1)
    moderator = await register(scenario, "Модератор", "moderator")
    token = scenario.appeals.token("moderator", subject=moderator.ref, scope="appeals:read appeals:work")
    send = scenario.appeals.client.post
    headers = {"Authorization": f"Bearer {token}"}
    decision = {"action": "triage", "needs_answer": False, "appeal_ids": ids}
    _is_problem(await send("/api/v1/appeals/bulk", json=decision, headers=headers), 403)
    body = {"action": "close", "reason": "Решено", "appeal_ids": ids}
    accepted = await send("/api/v1/appeals/bulk", json=body, headers=headers)
    connection = await scenario.database.connect("appeals")
    try:
        scopes = await connection.fetchval("SELECT scopes::text FROM bulk_operations")
        assert json.loads(scopes) == ["appeals:read", "appeals:work"]
        await connection.execute("""UPDATE bulk_operations SET scopes = '["appeals:read"]'""")
    finally:
        await connection.close()
    await run(scenario, accepted.json())
    assert reasons(await rows_of(moderator, accepted.json())) == {"forbidden": 1}


async def test_token_without_the_right_to_triage_decides_nothing_for_the_centre(scenario: AppealsScenario) -> None:
    (waiting,) = await insert_appeals(scenario, 1, status="triage", unassigned=True)
    (assigned,) = await insert_appeals(scenario, 1)
    moderator = await register(scenario, "Модератор", "moderator")

    async def send(path: str, body: Any = None) -> httpx.Response:
        scope = "appeals:read appeals:work appeals:answer"
        token = scenario.appeals.token("moderator", subject=moderator.ref, scope=scope)
        headers = {"Authorization": f"Bearer {token}", "If-Match": "*"}
        return await scenario.appeals.client.post(f"/api/v1/appeals{path}", json=body, headers=headers)

    other = str(scenario.other_organisation)
    for appeal_id, body in (
        (waiting, {"to": "assigned", "organisation_id": other}),
        (waiting, {"to": "not_required", "reason": "Спасибо"}),
        (assigned, {"to": "assigned", "organisation_id": other}),
        (assigned, {"to": "closed", "reason": "Решено"}),
    ):
        refused = _is_problem(await send(f"/{appeal_id}/moves", body), 403)
        assert "appeals:triage" in refused["detail"], body
    transfer = {"action": "transfer", "organisation_id": other, "appeal_ids": [assigned]}
    assert "appeals:triage" in _is_problem(await send("/bulk", transfer), 403)["detail"]
    # Undoing what was done with an unrestricted token is a decision too.
    done = await completed(scenario, moderator, transfer)
    undone = await send(f"/bulk/{done['id']}/undo")
    await run(scenario, undone.json())
    assert reasons(await rows_of(moderator, undone.json())) == {"forbidden": 1}
    decided = {"to": "assigned", "organisation_id": other}
    assert (await moderator.post(f"/appeals/{waiting}/moves", decided, If_Match="*")).is_success
    assert "appeals:triage" in _is_problem(await send(f"/{waiting}/undo"), 403)["detail"]
    # Moves that staff may make too need only `appeals:work`.
    moved = await send(f"/{assigned}/moves", {"to": "in_progress"})
    assert (moved.status_code, moved.json()["allowed_moves"]) == (200, ["triage"])


async def test_operation_is_shown_to_its_author_managers_and_the_centre(scenario: AppealsScenario) -> None:
    ids = await insert_appeals(scenario, 1)
    boris, vera = await register(scenario, "Борис"), await register(scenario, "Вера")
    manager, moderator = await register(scenario, "Анна", "manager"), await register(scenario, "М", "moderator")
    foreign = await register(scenario, "Чужая", "manager", scenario.other_organisation)
    own = await completed(scenario, boris, {"action": "assign", "assignee_id": boris.ref, "appeal_ids": ids})
    central = await completed(scenario, moderator, {"action": "assign", "assignee_id": None, "appeal_ids": ids})
    seen = {boris: {own["id"]}, vera: set(), manager: {own["id"]}, foreign: set()}
    seen[moderator] = {own["id"], central["id"]}
    for person, shown in seen.items():
        assert {one["id"] for one in (await person.get("/appeals/bulk")).json()["items"]} == shown
        for operation in (own, central):
            status = 200 if operation["id"] in shown else 404
            assert (await person.get(f"/appeals/bulk/{operation['id']}")).status_code == status
            assert (await person.get(f"/appeals/bulk/{operation['id']}/rows")).status_code == status
            if status == 404:
                _is_problem(await person.post(f"/appeals/bulk/{operation['id']}/undo"), 404)
    first = (await moderator.get("/appeals/bulk?limit=1")).json()
    assert [one["id"] for one in first["items"]] == [central["id"]]
    second = (await moderator.get(f"/appeals/bulk?limit=1&cursor={first['next_cursor']}")).json()
    assert [one["id"] for one in second["items"]] == [own["id"]]
    assert (own["author"]["name"], own["assignee"]["name"]) == ("Борис", "Борис")
    # A person who moved to another organisation does not see operations of the former organisation.
    await change_access(scenario, boris, f"organisation_id = '{scenario.other_organisation}'")
    boris.organisation = scenario.other_organisation
    assert (await boris.get("/appeals/bulk")).json()["items"] == []


async def test_invalid_bulk_request_is_refused_naming_the_field(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await insert_appeals(scenario, 2)
    manager, approver = await register(scenario, "Анна", "manager"), await register(scenario, "А", "approver")
    moderator = await register(scenario, "Модератор", "moderator")
    some: dict[str, Any] = {"appeal_ids": ids}
    assign = {"action": "assign", "assignee_id": manager.ref}
    elsewhere = {"action": "transfer", "organisation_id": str(scenario.other_organisation)}
    wrong: list[tuple[dict[str, Any], list[str]]] = [
        (assign, ["/appeal_ids", "/filter"]),
        (assign | some | {"filter": {}}, ["/appeal_ids", "/filter"]),
        (assign | {"appeal_ids": []}, ["/appeal_ids"]),
        (assign | {"filter": {"statuss": ["closed"]}}, ["/filter/statuss"]),
        (assign | {"filter": {"q": "\x00"}}, ["/filter/q"]),
        (assign | {"filter": {}, "list_version": "2"}, ["/list_version"]),
        (assign | {"filter": {}, "list_version": "f" + "_" * 31}, ["/list_version"]),
        (assign | some | {"list_version": ListVersion.of(WEDNESDAY, []).text}, ["/list_version"]),
        (assign | some | {"reason": "Так надо"}, ["/reason"]),
        ({"action": "assign"} | some, ["/assignee_id"]),
        ({"action": "assign", "assignee_id": str(uuid4())} | some, ["/assignee_id"]),
        ({"action": "undo"} | some, ["/action"]),
        (elsewhere | some, ["/reason"]),
        ({"action": "transfer", "reason": "Не наше"} | some, ["/organisation_id"]),
        (elsewhere | some | {"organisation_id": str(uuid4()), "reason": "Не наше"}, ["/organisation_id"]),
    ]
    for body, pointers in wrong:
        _is_problem(await manager.post("/appeals/bulk", body), 422, *pointers)
    _is_problem(await approver.post("/appeals/bulk", elsewhere | some | {"reason": "Не наше"}), 403)
    _is_problem(await manager.post("/appeals/bulk", {"action": "triage", "needs_answer": True} | some), 403)
    undecided = {"action": "triage", "needs_answer": False, "urgency": "high"} | some
    _is_problem(await moderator.post("/appeals/bulk", undecided), 422, "/urgency")
    _is_problem(await moderator.post("/appeals/bulk", {"action": "triage"} | some), 422, "/needs_answer")
    monkeypatch.setattr(operations, "MAX_APPEALS", 1)
    refused = _is_problem(await manager.post("/appeals/bulk", assign | {"filter": {}}), 422, "/filter")
    assert "more than 1 appeals" in refused["detail"]
    assert await scenario.ingest.fetchval("SELECT count(*) FROM bulk_operations") == 0


async def version_of(person: Colleague, query: str) -> str:
    """Return the version of the list that the person sees."""
    counted = (await person.get(f"/appeals/counts?{query}&with_list_version=true")).json()
    version: str = counted["list_version"]
    return version


async def test_operation_whose_filter_matches_different_appeals_than_those_seen_is_refused(
    scenario: AppealsScenario,
) -> None:
    seen, later = await insert_appeals(scenario, 2), (await insert_appeals(scenario, 1, status="triage"))[0]
    manager = await register(scenario, "Анна", "manager")
    body: dict[str, Any] = {"action": "assign", "assignee_id": manager.ref, "filter": {"status": ["assigned"]}}
    version = await version_of(manager, "status=assigned")
    # One appeal leaves the list and another one enters it, so their number is the same.
    change = "UPDATE appeals SET status = $1 WHERE id = $2"
    connection = await scenario.database.connect("appeals")
    try:
        await connection.execute(change, "triage", UUID(seen[0]))
        await connection.execute(change, "assigned", UUID(later))
    finally:
        await connection.close()
    refused = _is_problem(await manager.post("/appeals/bulk", body | {"list_version": version}), 412)
    assert (refused["type"], refused["total"]) == ("/problems/list-changed", 2)
    assert await scenario.ingest.fetchval("SELECT count(*) FROM bulk_operations") == 0
    now = {"list_version": await version_of(manager, "status=assigned")}
    assert counts(await completed(scenario, manager, body | now)) == (0, 2, 0, 0)


async def test_appeals_opened_since_the_list_was_seen_are_left_out(scenario: AppealsScenario) -> None:
    seen = await insert_appeals(scenario, 2)
    manager = await register(scenario, "Анна", "manager")
    body: dict[str, Any] = {"action": "assign", "assignee_id": manager.ref, "filter": {"status": ["assigned"]}}
    version = {"list_version": await version_of(manager, "status=assigned")}
    await insert_appeals(scenario, 1)
    operation = await completed(scenario, manager, body | version)
    assert counts(operation) == (0, 2, 0, 0)
    assert sorted(row["appeal_id"] for row in await rows_of(manager, operation)) == seen


async def test_list_version_is_null_unless_requested_and_for_too_many_appeals(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    await insert_appeals(scenario, 2)
    manager = await register(scenario, "Анна", "manager")
    assert (await manager.get("/appeals/counts")).json()["list_version"] is None
    assert re.fullmatch(list_versions.PATTERN, await version_of(manager, "status=assigned"))
    none = {"action": "assign", "assignee_id": None, "filter": {"status": ["interim"]}}
    none["list_version"] = await version_of(manager, "status=interim")
    assert counts(await completed(scenario, manager, none)) == (0, 0, 0, 0)
    monkeypatch.setattr(appeals, "MAX_APPEALS", 1)
    assert await version_of(manager, "status=assigned") is None


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        ({"action": "triage", "needs_answer": False}, "refused"),
        ({"action": "close", "reason": "Решено"}, "refused"),
        ({"action": "assign", "assignee_id": None}, "unchanged"),
    ],
)
async def test_appeal_with_a_message_newer_than_the_seen_list_is_not_ended(
    scenario: AppealsScenario, change: dict[str, Any], outcome: str
) -> None:
    await scenario.citizen_writes(QUESTION)
    appeal = await scenario.single_appeal()
    moderator = await register(scenario, "Модератор", "moderator")
    version = await version_of(moderator, f"status={appeal['status']}")
    body = {"filter": {"status": [appeal["status"]]}, "list_version": version} | change
    await scenario.citizen_writes("И тротуар разбит", at=WEDNESDAY + timedelta(minutes=2))
    assert len((await scenario.single_appeal())["messages"]) == 2
    (row,) = await rows_of(moderator, await completed(scenario, moderator, body))
    assert row["outcome"] == outcome
    if outcome == "refused":
        assert (row["problem"]["status"], row["problem"]["errors"][0]["pointer"]) == (412, "/list_version")
        again = body | {"list_version": await version_of(moderator, f"status={appeal['status']}")}
        (row,) = await rows_of(moderator, await completed(scenario, moderator, again))
        assert (row["problem"] or {}).get("status") != 412


async def test_operation_on_an_empty_selection_is_completed(scenario: AppealsScenario) -> None:
    manager = await register(scenario, "Анна", "manager")
    nothing = {"action": "assign", "assignee_id": None, "filter": {"status": ["interim"]}}
    found = await completed(scenario, manager, nothing)
    assert counts(found) == (0, 0, 0, 0)
    assert found["duration_seconds"] is not None


async def test_failed_job_leaves_no_appeal_pending(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = await register(scenario, "Анна", "manager")
    ids = await insert_appeals(scenario, 2)
    operation = await submitted(manager, {"action": "assign", "assignee_id": manager.ref, "appeal_ids": ids})
    queue = scenario.appeals.service.jobs
    assert queue is not None
    async with scenario.appeals.service.database.write() as session:
        await queue.on_dead_letter["run_bulk_operation"](session, {"operation_id": operation["id"]}, "a bug")
    found = await read(manager, operation)
    assert counts(found) == (0, 0, 2, 0)
    assert reasons(await rows_of(manager, operation)) == {"internal": 2}
    # Running the dead-lettered job again changes nothing.
    await run(scenario, operation)
    assert (await scenario.appeal(ids[0]))["assignee"] is None


async def test_unexpected_error_in_one_appeal_refuses_only_that_appeal(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = await register(scenario, "Анна", "manager")
    ids = await insert_appeals(scenario, 3)
    operation = await submitted(manager, {"action": "assign", "assignee_id": manager.ref, "appeal_ids": ids})
    former = row_changes.change_appeal

    async def breaks(session: WriteSession, caller: Any, appeal_id: UUID, change: Any) -> Any:
        made = await former(session, caller, appeal_id, change)
        if str(appeal_id) == ids[1]:
            raise RuntimeError("a bug")
        return made

    monkeypatch.setattr(row_changes, "change_appeal", breaks)
    await run(scenario, operation)
    assert counts(await read(manager, operation)) == (0, 2, 1, 0)
    (refused,) = await rows_of(manager, operation, "&outcome=refused")
    assert (refused["appeal_id"], refused["problem"]["type"]) == (ids[1], "/problems/internal")
    assignees = [(await scenario.appeal(appeal_id))["assignee"] for appeal_id in ids]
    assert [assignee is not None for assignee in assignees] == [True, False, True]


async def test_connection_error_rolls_back_the_batch_and_leaves_its_appeals_pending(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = await register(scenario, "Анна", "manager")
    ids = await insert_appeals(scenario, 3)
    operation = await submitted(manager, {"action": "assign", "assignee_id": manager.ref, "appeal_ids": ids})
    former = row_changes.change_appeal

    async def breaks(session: WriteSession, caller: Any, appeal_id: UUID, change: Any) -> Any:
        if str(appeal_id) == ids[-1]:
            raise ConnectionResetError
        return await former(session, caller, appeal_id, change)

    monkeypatch.setattr(row_changes, "change_appeal", breaks)
    with pytest.raises(ConnectionResetError):
        await run(scenario, operation)
    assert counts(await read(manager, operation)) == (3, 0, 0, 0)
    assert [(await scenario.appeal(appeal_id))["assignee"] for appeal_id in ids] == [None] * 3


async def test_bulk_triage_decides_about_unclear_messages_and_appeals_without_messages(
    scenario: AppealsScenario,
) -> None:
    moderator = await register(scenario, "Модератор", "moderator")
    await scenario.citizen_writes(UNCLEAR, author="a1")
    await scenario.citizen_writes(UNCLEAR, author="a2", thread="vk:-101_2")
    await insert_appeals(scenario, 1, status="triage")
    waiting = [appeal["id"] for appeal in await scenario.all(status="triage")]
    assert len(waiting) == 3
    decision = {"action": "triage", "needs_answer": True, "organisation_id": str(scenario.other_organisation)}
    first = await completed(scenario, moderator, decision | {"filter": {"status": ["triage"]}})
    assert counts(first) == (0, 3, 0, 0)
    for appeal_id in waiting:
        appeal = await scenario.appeal(appeal_id)
        assert (appeal["status"], appeal["organisation"]["name"]) == ("assigned", "Комитет по строительству")
    reviews = await scenario.ingest.fetch("SELECT reviewed_by FROM reviews")
    assert [row["reviewed_by"] for row in reviews] == [moderator.ref] * 2
    none = {"action": "triage", "needs_answer": False, "appeal_ids": waiting}
    assert counts(await completed(scenario, moderator, none)) == (0, 3, 0, 0)
    assert {appeal["status"] for appeal in await scenario.all()} == {"not_required"}
    assert counts(await completed(scenario, moderator, none)) == (0, 0, 0, 3)
    _is_problem(await moderator.post(f"/appeals/bulk/{first['id']}/undo"), 409)


async def test_question_after_a_bulk_transfer_stays_with_the_new_organisation(scenario: AppealsScenario) -> None:
    moderator = await register(scenario, "Модератор", "moderator")
    await scenario.citizen_writes(QUESTION)
    appeal = await scenario.single_appeal()
    body = {"action": "transfer", "organisation_id": str(scenario.other_organisation)}
    moved = await completed(scenario, moderator, body | {"filter": {"number": appeal["number"]}})
    assert counts(moved) == (0, 1, 0, 0)
    await scenario.citizen_writes("Когда же? Ямы на Бабушкина никто не чинит")
    found = await scenario.single_appeal()
    assert (found["organisation"]["name"], len(found["messages"])) == ("Комитет по строительству", 2)
    assert counts(await completed(scenario, moderator, body | {"appeal_ids": [appeal["id"]]})) == (0, 0, 0, 1)
