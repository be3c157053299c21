"""SLA policies have versions: editing or ending a policy does not change deadlines computed before."""

from datetime import UTC, datetime, timedelta
from typing import Any

from shared import clock
from tests.integration.appeals.conftest import AppealsScenario
from tests.integration.appeals.people_helpers import register
from tests.integration.appeals.test_appeal_matching import QUESTION
from tests.integration.appeals.test_appeals_api import _is_problem
from tests.integration.appeals.test_rule_sets import topic

POLICY: dict[str, Any] = {"name": "Быстрее", "first_response_hours": 2, "resolution_hours": 40}


async def send(scenario: AppealsScenario, method: str, path: str, body: Any = None, **headers: str) -> Any:
    """Send a write request as a moderator; return the response."""
    return await scenario.appeals.client.request(
        method,
        f"/api/v1{path}",
        json=body,
        headers=scenario.appeals.headers("moderator", None, **{"If-Match": "*"} | headers),
    )


async def write_now(scenario: AppealsScenario, **details: Any) -> dict[str, Any]:
    """Insert a message received now; return the appeal that it opens."""
    await scenario.citizen_writes(QUESTION, at=clock.now() - timedelta(minutes=1), **details)
    newest: dict[str, Any] = (await scenario.all())[0]
    return await scenario.appeal(newest["id"])


async def general(scenario: AppealsScenario) -> dict[str, Any]:
    """Return the preinstalled policy for appeals of normal urgency."""
    items: list[dict[str, Any]] = (await scenario.get("/sla-policies")).json()["items"]
    return next(found for found in items if found["urgency"] == "normal")


async def test_edited_policy_applies_to_later_messages_and_running_clocks_keep_theirs(
    scenario: AppealsScenario,
) -> None:
    before = await write_now(scenario)
    shipped = await general(scenario)
    path = f"/sla-policies/{shipped['policy_key']}"
    changed = await send(scenario, "PUT", path, POLICY | {"urgency": "normal"}, **{"If-Match": '"1"'})
    assert changed.status_code == 200, changed.text
    assert (changed.json()["version"], changed.headers["ETag"]) == (2, '"2"')
    _is_problem(await send(scenario, "PUT", path, POLICY, **{"If-Match": '"1"'}), 412)
    versions = (await scenario.get("/sla-policies", policy_key=shipped["policy_key"])).json()["items"]
    assert [found["version"] for found in versions] == [2, 1]
    assert versions[1]["valid_until"] == versions[0]["valid_from"]
    assert (versions[1]["name"], versions[1]["first_response_hours"]) == (shipped["name"], 9)
    after = await write_now(scenario, author="boris", thread="vk:-101_2")
    assert after["deadline"]["hours"] == 2
    # A transfer of the appeal with a running clock keeps the former version too.
    moved = await scenario.move(before, "assigned", organisation_id=str(scenario.other_organisation))
    assert moved.json()["deadline"]["hours"] == 9


async def test_more_specific_policy_applies_until_it_is_ended(scenario: AppealsScenario) -> None:
    added = await send(scenario, "POST", "/sla-policies", POLICY | {"urgency": "normal", "channel": "vk"})
    assert added.status_code == 201, added.text
    path = added.headers["Location"].removeprefix("/api/v1")
    first = await write_now(scenario)
    assert (first["deadline"]["hours"], first["deadline"]["policy"]) == (2, "Быстрее")
    _is_problem(await send(scenario, "DELETE", path, **{"If-Match": '"99"'}), 412)
    ended = await send(scenario, "DELETE", path)
    assert ended.status_code == 200, ended.text
    assert ended.json()["valid_until"] is not None
    second = await write_now(scenario, author="boris", thread="vk:-101_2")
    assert second["deadline"]["hours"] == 9
    kept = (await scenario.get(f"/appeals/{first['id']}/deadlines")).json()["clocks"][0]
    assert (kept["policy"]["name"], kept["target_seconds"]) == ("Быстрее", 7_200)
    now = datetime.now(UTC).isoformat()
    in_effect = (await scenario.get("/sla-policies", in_effect_at=now)).json()["items"]
    assert {found["urgency"] for found in in_effect} == {"normal", "high"}
    assert all(found["channel"] is None for found in in_effect)


async def test_ending_or_narrowing_the_only_policy_for_some_appeals_is_refused(scenario: AppealsScenario) -> None:
    shipped = await general(scenario)
    path = f"/sla-policies/{shipped['policy_key']}"
    refused = _is_problem(await send(scenario, "DELETE", path), 409)
    assert refused["urgency"] == "normal"
    _is_problem(await send(scenario, "PUT", path, POLICY | {"urgency": "normal", "channel": "vk"}), 409)
    later = (datetime.now(UTC) + timedelta(days=30)).isoformat()
    narrowed = POLICY | {"urgency": "normal", "channel": "vk", "valid_from": later}
    _is_problem(await send(scenario, "PUT", path, narrowed), 409)
    assert (await general(scenario))["version"] == 1
    # After another policy covers all appeals, this policy may be ended.
    assert (await send(scenario, "POST", "/sla-policies", POLICY)).status_code == 201
    assert (await send(scenario, "DELETE", path)).status_code == 200


async def test_new_version_of_a_policy_replaces_a_planned_version(scenario: AppealsScenario) -> None:
    shipped = await general(scenario)
    path = f"/sla-policies/{shipped['policy_key']}"
    later = (datetime.now(UTC) + timedelta(days=30)).isoformat()
    wanted = POLICY | {"urgency": "normal"}
    assert (await send(scenario, "PUT", path, wanted | {"valid_from": later})).status_code == 200
    assert (await write_now(scenario))["deadline"]["hours"] == 9
    assert (await send(scenario, "PUT", path, wanted | {"first_response_hours": 3})).status_code == 200
    versions = (await scenario.get("/sla-policies", policy_key=shipped["policy_key"])).json()["items"]
    planned, now, former = sorted(versions, key=lambda found: (found["version"] != 2, found["version"] != 3))
    assert planned["valid_from"] == planned["valid_until"]
    assert (now["valid_until"], former["valid_until"]) == (None, now["valid_from"])
    assert (await write_now(scenario, author="boris", thread="vk:-101_2"))["deadline"]["hours"] == 3


async def test_policy_in_calendar_hours_is_applied_and_invalid_policies_are_refused(
    scenario: AppealsScenario,
) -> None:
    for wrong, pointer in (
        ({"topic_id": "00000000-0000-0000-0000-000000000009"}, "/topic_id"),
        ({"channel": "По телефону"}, "/channel"),
        ({"resolution_hours": 1}, "/resolution_hours"),
        ({"ceiling_hours": 0}, "/ceiling_hours"),
    ):
        _is_problem(await send(scenario, "POST", "/sla-policies", POLICY | wrong), 422, pointer)
    calendar = {
        "first_response_hours": 24,
        "first_response_unit": "calendar",
        "channel": "vk",
        "urgency": "normal",
    }
    assert (await send(scenario, "POST", "/sla-policies", POLICY | calendar)).status_code == 201
    appeal = await write_now(scenario)
    received = datetime.fromisoformat(appeal["opened_at"])
    assert datetime.fromisoformat(appeal["first_response_due_at"]) == received + timedelta(hours=24)
    _is_problem(await scenario.get("/sla-policies/00000000-0000-0000-0000-000000000009"), 404)


async def test_topic_and_urgency_corrected_together_change_the_policy_once(scenario: AppealsScenario) -> None:
    corrected = await topic(scenario, "energy.01")
    for_topic = POLICY | {"topic_id": corrected, "urgency": "normal"}
    assert (await send(scenario, "POST", "/sla-policies", for_topic)).status_code == 201
    appeal = await write_now(scenario)
    path = f"/messages/{appeal['messages'][0]['id']}/triage"
    decided = await scenario.post(path, {"needs_answer": True, "topic_id": corrected, "urgency": "high"})
    assert decided.status_code == 200, decided.text
    clocks = (await scenario.get(f"/appeals/{appeal['id']}/deadlines")).json()["clocks"]
    assert [[event["kind"] for event in found["events"]] for found in clocks] == [
        ["started", "policy_changed"]
    ] * 2


async def test_policy_for_a_channel_applies_to_appeals_from_that_source(scenario: AppealsScenario) -> None:
    calls = POLICY | {"name": "Звонки", "channel": "phone", "urgency": "normal", "first_response_hours": 2}
    assert (await send(scenario, "POST", "/sla-policies", calls)).status_code == 201
    executor = await register(scenario, "Борис")
    body = {"text": "На улице Гагарина не горят фонари", "organisation_id": str(scenario.organisation)}
    called = await executor.post("/appeals", body | {"source": "phone"})
    assert called.json()["deadline"]["policy"] == "Звонки"
    written = await executor.post("/appeals", body | {"source": "letter", "text": "Прошу поставить урну"})
    assert written.json()["deadline"]["hours"] == 9
