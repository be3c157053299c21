"""The API shows colleagues by name wherever it shows an appeal; events and logs contain no names."""

from uuid import uuid4

from structlog.testing import capture_logs

from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario
from tests.integration.appeals.people_helpers import register
from tests.integration.appeals.reply_helpers import require_approval
from tests.integration.appeals.test_appeal_matching import QUESTION
from tests.integration.appeals.test_appeals_api import _is_problem

NAME = "Цыденова Сэсэг Баировна"


async def test_timeline_assignments_and_replies_name_colleagues(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes(QUESTION)
    appeal = await scenario.single_appeal()
    executor = await register(scenario, NAME)
    shown = {"id": executor.ref, "name": NAME, "kind": "person"}
    with capture_logs() as lines:
        sent = await executor.post(f"/appeals/{appeal['id']}/replies", {"text": "Начнём в понедельник."})
        assert sent.status_code == 201, sent.text
        found = (await executor.get(f"/appeals/{appeal['id']}")).json()
    assert sent.json()["author"] == shown
    assert [reply["author"] for reply in found["replies"]] == [shown]
    assert (await executor.get(f"/appeals/{appeal['id']}/replies")).json()[0]["author"] == shown
    assert [(entry["kind"], entry["actor"]["name"]) for entry in found["timeline"]] == [
        ("opened", "Система"),
        ("assigned", "Система"),
        ("reply_queued", NAME),
    ]
    assert found["assignments"][0]["actor"] == {"id": None, "name": "Система", "kind": "system"}
    assert NAME not in str(lines)
    stored = await scenario.ingest.fetch("SELECT data::text, actor FROM events")
    assert NAME not in str([tuple(row) for row in stored])


async def test_stale_change_is_refused_with_the_name_of_the_last_editor(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes(QUESTION)
    appeal = await scenario.single_appeal()
    executor = await register(scenario, NAME)
    assert (await executor.move(appeal, to="in_progress")).status_code == 200
    late = _is_problem(await scenario.move(appeal, "closed", reason="Решено"), 412)
    assert late["last_change"]["actor"] == {"id": executor.ref, "name": NAME, "kind": "person"}


async def test_api_client_is_named_and_staff_replying_in_the_network_are_not(scenario: AppealsScenario) -> None:
    message = await scenario.citizen_writes(QUESTION)
    appeal = await scenario.single_appeal()
    client = uuid4()
    registry = await scenario.database.connect("registry")
    await registry.execute(
        """INSERT INTO api_clients (id, name, role, organisation_id, include_subordinates, active, created_at)
           VALUES ($1, 'Система ЖКХ', 'executor', $2, false, true, now())""",
        client,
        scenario.organisation,
    )
    await registry.close()
    token = scenario.appeals.token("executor", scenario.organisation, subject=str(client))
    del scenario.appeals.granted_access[token]  # the access comes from the client's row instead
    moved = await scenario.appeals.client.post(
        f"/api/v1/appeals/{appeal['id']}/moves",
        json={"to": "in_progress"},
        headers={"Authorization": f"Bearer {token}", "If-Match": "*"},
    )
    assert moved.status_code == 200, moved.text
    assert moved.json()["timeline"][-1]["actor"] == {"id": str(client), "name": "Система ЖКХ", "kind": "client"}
    await scenario.citizen_writes(
        "Починим завтра", from_community=True, reply_to=await scenario.external_id(message), at=WEDNESDAY
    )
    (reply,) = (await scenario.appeal(appeal["id"]))["replies"]
    assert reply["author"] == {"id": None, "name": "Сотрудник страницы в соцсети", "kind": "network"}


async def test_reviewer_is_named(scenario: AppealsScenario) -> None:
    message = await scenario.citizen_writes(QUESTION)
    moderator = await register(scenario, NAME, role="moderator")
    decided = await moderator.post(f"/messages/{message}/triage", {"needs_answer": True, "confirm": True})
    assert decided.status_code == 200, decided.text
    (review,) = (await scenario.get("/reviews")).json()["items"]
    assert review["reviewed_by"] == {"id": moderator.ref, "name": NAME, "kind": "person"}


async def test_people_who_request_or_decide_an_approval_or_pause_a_clock_are_named(
    scenario: AppealsScenario,
) -> None:
    await require_approval(scenario)
    await scenario.citizen_writes(QUESTION)
    appeal = await scenario.single_appeal()
    author, approver, manager = [
        await register(scenario, f"{role} {NAME}", role=role) for role in ("executor", "approver", "manager")
    ]
    sent = (await author.post(f"/appeals/{appeal['id']}/replies", {"text": "Начнём в понедельник."})).json()
    path = f"/appeals/{appeal['id']}/replies/{sent['id']}"
    refused = await approver.post(f"{path}/refuse", {"remarks": "Назовите дату"}, If_Match=f'"{sent["version"]}"')
    assert refused.status_code == 200, refused.text
    paused = await manager.post(f"/appeals/{appeal['id']}/clocks/pause", {"reason": "Ждём адрес"}, If_Match="*")
    assert paused.status_code == 200, paused.text
    asked, decided, stopped = [
        {"id": one.ref, "name": f"{one.role} {NAME}", "kind": "person"} for one in (author, approver, manager)
    ]
    (reply,) = (await author.get(f"/appeals/{appeal['id']}")).json()["replies"]
    for shown in (refused.json(), reply):
        assert (shown["approval"]["requested_by"], shown["approval"]["decided_by"]) == (asked, decided)
    (version,) = (await author.get(f"{path}/versions")).json()["items"]
    assert version["author"] == asked
    (first, *_) = (await author.get(f"/appeals/{appeal['id']}/deadlines")).json()["clocks"]
    assert [(event["kind"], event["actor"]["name"]) for event in first["events"]] == [
        ("started", "Система"),
        ("paused", stopped["name"]),
    ]
