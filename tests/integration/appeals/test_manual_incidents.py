"""Incidents opened manually: joining, visibility, leaving and closing; none changes an appeal's status."""

import asyncio
import json
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.appeals.incidents import service
from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario
from tests.support.eventually import eventually

TROUBLE = "Когда включат свет на улице Гагарина? Третий час сидим без электричества."


async def appeal_of(
    scenario: AppealsScenario, author: str, *, other: bool = False, text: str = TROUBLE
) -> dict[str, Any]:
    """Create an appeal of this author, for the first organisation or the other."""
    owner = scenario.other_organisation if other else scenario.organisation
    page = next(page for page, kept in scenario.pages.items() if kept[0] == owner)
    message_id = await scenario.citizen_writes(
        text, author=author, thread=f"{'ok:202' if other else 'vk:-101'}_{author}", page=page
    )
    appeal_id = await scenario.ingest.fetchval(
        "SELECT appeal_id FROM appeal_messages WHERE message_id = $1", message_id
    )
    return await scenario.appeal(str(appeal_id))


async def opened(scenario: AppealsScenario, *appeals: dict[str, Any], **who: Any) -> dict[str, Any]:
    answer = await scenario.post("/incidents", {"appeal_ids": [appeal["id"] for appeal in appeals]}, **who)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def members(scenario: AppealsScenario, incident: dict[str, Any], **who: Any) -> list[str]:
    answer = await scenario.get(f"/incidents/{incident['id']}/members", **who)
    assert answer.status_code == 200, answer.text
    return [item["appeal_id"] for item in answer.json()["items"]]


async def test_appeals_of_several_organisations_are_joined_and_each_sees_its_own(
    scenario: AppealsScenario,
) -> None:
    mine, again = await appeal_of(scenario, "anna"), await appeal_of(scenario, "boris")
    foreign = await appeal_of(scenario, "vera", other=True)
    incident = await opened(scenario, mine, again, foreign)
    assert (incident["member_count"], incident["origin"], incident["closed_at"]) == (3, "person", None)
    staff: dict[str, Any] = {"role": "executor", "org": scenario.organisation}
    seen = (await scenario.get(f"/incidents/{incident['id']}", **staff)).json()
    assert seen["member_count"] == 2
    assert set(await members(scenario, incident, **staff)) == {mine["id"], again["id"]}
    other = (await scenario.get("/incidents", role="executor", org=scenario.other_organisation)).json()["items"]
    assert [(one["id"], one["member_count"]) for one in other] == [(incident["id"], 1)]
    stranger: dict[str, Any] = {"role": "executor", "org": uuid4()}
    assert (await scenario.get("/incidents", **stranger)).json()["items"] == []
    assert (await scenario.get(f"/incidents/{incident['id']}", **stranger)).status_code == 404
    assert (await scenario.get(f"/incidents/{incident['id']}/members", **stranger)).status_code == 404


async def test_joining_and_leaving_an_incident_changes_only_the_timeline_of_an_appeal(
    scenario: AppealsScenario,
) -> None:
    appeal = await appeal_of(scenario, "anna")
    before = await scenario.appeal(appeal["id"])
    incident = await opened(scenario, appeal)
    joined = await scenario.appeal(appeal["id"])
    assert joined["incident_id"] == incident["id"]
    gone = await scenario.appeals.client.delete(
        f"/api/v1/incidents/{incident['id']}/members/{appeal['id']}", headers=scenario.appeals.headers("moderator")
    )
    assert gone.status_code == 204, gone.text
    after = await scenario.appeal(appeal["id"])
    steps = [step["kind"] for step in after["timeline"]][len(before["timeline"]) :]
    assert steps == ["incident_joined", "incident_left"]
    assert {**after, "timeline": before["timeline"]} == before
    assert await members(scenario, incident) == []
    assert (await opened(scenario, appeal))["member_count"] == 1


async def test_staff_add_only_appeals_of_their_organisation_to_an_incident(scenario: AppealsScenario) -> None:
    mine, foreign = await appeal_of(scenario, "anna"), await appeal_of(scenario, "vera", other=True)
    staff: dict[str, Any] = {"role": "executor", "org": scenario.organisation}
    refused = await scenario.post("/incidents", {"appeal_ids": [mine["id"], foreign["id"]]}, **staff)
    assert refused.status_code == 422
    assert [error["pointer"] for error in refused.json()["errors"]] == ["/appeal_ids/1"]
    incident = await opened(scenario, mine, **staff)
    assert incident["organisation"]["id"] == str(scenario.organisation)
    shared = await scenario.post(f"/incidents/{incident['id']}/members", {"appeal_ids": [foreign["id"]]})
    assert shared.json()["member_count"] == 2
    # Of the two organisations, only the one that opened the incident leads it and may close it.
    other: dict[str, Any] = {"role": "executor", "org": scenario.other_organisation}
    path = f"/incidents/{incident['id']}/closure"
    assert (await scenario.post(path, {}, If_Match="*", **other)).status_code == 403
    assert (await scenario.post(path, {}, If_Match="*", **staff)).status_code == 200


async def test_leading_organisation_without_appeals_may_rename_and_close(scenario: AppealsScenario) -> None:
    incident = await opened(scenario, await appeal_of(scenario, "vera", other=True))
    leader: dict[str, Any] = {"role": "executor", "org": scenario.organisation}
    path = f"/incidents/{incident['id']}"
    assert (await scenario.get(path, **leader)).status_code == 404
    client, centre = scenario.appeals.client, scenario.appeals.headers("moderator", **{"If-Match": "*"})
    body = {"organisation_id": str(scenario.organisation)}
    assert (await client.patch(f"/api/v1{path}", json=body, headers=centre)).status_code == 200
    (seen,) = (await scenario.get("/incidents", **leader)).json()["items"]
    assert (seen["member_count"], seen["first_written_at"], seen["last_written_at"]) == (0, None, None)
    assert await members(scenario, incident, **leader) == []
    headers = scenario.appeals.headers("executor", scenario.organisation, **{"If-Match": "*"})
    renamed = await client.patch(f"/api/v1{path}", json={"title": "Авария"}, headers=headers)
    assert (renamed.status_code, renamed.json()["title"]) == (200, "Авария")
    assert (await scenario.post(f"{path}/closure", {}, If_Match="*", **leader)).status_code == 200


async def test_leading_organisation_gets_events_about_its_own_appeals_only(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "GROWTH_MILESTONES", (3, 4))
    mine = [await appeal_of(scenario, author) for author in ("anna", "boris", "gleb")]
    foreign = [await appeal_of(scenario, author, other=True) for author in ("vera", "dina", "egor")]
    incident = await opened(scenario, *mine[:2], role="executor", org=scenario.organisation)
    path = f"/incidents/{incident['id']}"
    for joined in (foreign, mine[2:]):
        ids = [appeal["id"] for appeal in joined]
        assert (await scenario.post(f"{path}/members", {"appeal_ids": ids})).json()["member_count"] >= 5
    assert (await scenario.post(f"{path}/closure", {}, If_Match="*")).status_code == 200
    events = [
        (
            row["type"].split(".")[1],
            row["organisation_id"],
            data["own_appeals_only"],
            data["member_count"],
            data["last_written_at"],
        )
        for row in await scenario.events("incident.opened", "incident.grown", "incident.closed")
        for data in [json.loads(row["data"])]
    ]
    last = WEDNESDAY.isoformat()
    own = scenario.organisation
    assert events == [
        ("opened", None, False, 2, last),
        ("opened", own, True, 2, last),
        ("grown", None, False, 5, last),
        ("grown", own, True, 3, last),
        ("closed", None, False, 6, last),
        ("closed", own, True, 3, last),
    ]


async def test_concurrent_joins_put_an_appeal_in_one_incident(scenario: AppealsScenario) -> None:
    appeal = await appeal_of(scenario, "anna")
    answers = await asyncio.gather(
        *(scenario.post("/incidents", {"appeal_ids": [appeal["id"]]}) for _ in range(4))
    )
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    won = next(answer.json() for answer in answers if answer.status_code == 201)
    assert await members(scenario, won) == [appeal["id"]]
    again = await scenario.post(f"/incidents/{won['id']}/members", {"appeal_ids": [appeal["id"]]})
    assert (again.status_code, again.json()["member_count"]) == (200, 1)


async def test_deadlocked_join_is_retried(scenario: AppealsScenario) -> None:
    first, second, third = sorted(
        [await appeal_of(scenario, author) for author in ("anna", "boris", "vera")],
        key=lambda appeal: UUID(appeal["id"]).bytes,
    )
    gate, other, raw_connection = [await scenario.database.connect() for _ in range(3)]

    async def waiting() -> int:
        query = """SELECT count(*) FROM pg_stat_activity
            WHERE wait_event_type = 'Lock' AND datname = current_database()"""
        return int(await raw_connection.fetchval(query))

    async def request_waits() -> bool:
        return await waiting() == 1

    async def both_wait() -> bool:
        return await waiting() == 2

    # This session does not check for deadlocks, so the database aborts the request's transaction instead.
    await other.execute("SET deadlock_timeout = '1h'")
    lock = "SELECT FROM appeals WHERE id = $1 FOR UPDATE"
    for connection, locked in ((gate, second), (other, third)):
        await connection.execute("BEGIN")
        await connection.execute(lock, UUID(locked["id"]))
    opening = asyncio.create_task(opened(scenario, first, second, third))
    await eventually(request_waits)
    locking = asyncio.create_task(other.execute(lock, UUID(first["id"])))
    await eventually(both_wait)
    # Only now may the request wait for the third appeal: each wait is checked once, a second after it begins.
    await gate.execute("ROLLBACK")
    await locking
    await other.execute("ROLLBACK")
    assert (await opening)["member_count"] == 3
    for connection in (gate, other, raw_connection):
        await connection.close()


async def test_closing_or_changing_an_incident_without_its_current_version_is_refused(
    scenario: AppealsScenario,
) -> None:
    first, second = await appeal_of(scenario, "anna"), await appeal_of(scenario, "boris")
    incident = await opened(scenario, first)
    path = f"/incidents/{incident['id']}"
    grown = await scenario.post(f"{path}/members", {"appeal_ids": [second["id"]]})
    assert grown.json()["version"] == incident["version"], "members must not raise the version"
    headers = scenario.appeals.headers("moderator", **{"If-Match": f'"{incident["version"]}"'})
    body = {"title": "Авария на подстанции", "organisation_id": str(scenario.organisation)}
    changed = await scenario.appeals.client.patch(f"/api/v1{path}", json=body, headers=headers)
    assert changed.status_code == 200, changed.text
    assert (changed.json()["title"], changed.json()["organisation"]["id"]) == (
        body["title"],
        body["organisation_id"],
    )
    stale = await scenario.appeals.client.patch(f"/api/v1{path}", json=body, headers=headers)
    assert stale.status_code == 412
    assert (await scenario.post(f"{path}/closure", {})).status_code == 428
    stale = await scenario.post(f"{path}/closure", {}, If_Match=f'"{incident["version"]}"')
    assert stale.status_code == 412
    assert (
        await scenario.post(f"{path}/closure", {}, If_Match=f'"{changed.json()["version"]}"')
    ).status_code == 200
    assert (await scenario.post(f"{path}/closure", {}, If_Match="*")).status_code == 409
    late = await appeal_of(scenario, "vera")
    assert (await scenario.post(f"{path}/members", {"appeal_ids": [late["id"]]})).status_code == 409
    assert [one["id"] for one in (await scenario.get("/incidents", open=False)).json()["items"]] == [
        incident["id"]
    ]
    assert (await scenario.get("/incidents", open=True)).json()["items"] == []
    assert len((await scenario.get("/incidents", q="ПОДСТАНЦИИ")).json()["items"]) == 1
    events = [row["type"] for row in await scenario.events("incident.opened", "incident.grown", "incident.closed")]
    assert events == ["incident.opened", "incident.closed", "incident.closed"], (
        "the second is for the leading organisation"
    )


async def test_urgent_appeal_raises_one_alert(scenario: AppealsScenario) -> None:
    calm = await appeal_of(scenario, "anna", text="Когда уберут провод у школы?")
    await scenario.citizen_writes(
        "Оборван провод, висит над дорогой у школы!", author="anna", thread="vk:-101_anna"
    )
    await scenario.citizen_writes("Провод всё ещё висит, искрит!", author="anna", thread="vk:-101_anna")
    found = (await scenario.get("/alerts", seen=False)).json()["items"]
    assert [(one["kind"], one["appeal_id"], one["seen_at"]) for one in found] == [("urgent", calm["id"], None)]
    assert "провод" in found[0]["why"].lower()
    assert [row["type"] for row in await scenario.events("alert.raised")] == ["alert.raised"]
    seen = await scenario.post(f"/alerts/{found[0]['id']}/seen", None)
    assert seen.status_code == 200
    again = await scenario.post(f"/alerts/{found[0]['id']}/seen", None)
    assert again.json() == seen.json()
    assert (await scenario.get("/alerts", seen=False)).json()["items"] == []
    assert (await scenario.get("/alerts", role="executor", org=scenario.organisation)).status_code == 403
    assert (await scenario.post(f"/alerts/{UUID(int=9)}/seen", None)).status_code == 404


async def test_repeated_transfers_raise_one_alert(scenario: AppealsScenario) -> None:
    appeal = await appeal_of(scenario, "anna", text="Когда уберут провод у школы?")
    for turn in range(4):
        to = scenario.other_organisation if turn % 2 == 0 else scenario.organisation
        moved = await scenario.move(
            await scenario.appeal(appeal["id"]), "assigned", organisation_id=str(to), reason="Не наше"
        )
        assert moved.status_code == 200, moved.text
        found = (await scenario.get("/alerts", kind="repeated_transfers")).json()["items"]
        assert [one["appeal_id"] for one in found] == ([appeal["id"]] if turn >= 2 else [])
    assert found[0]["why"] == "Из рук в руки: организация сменилась 3 раза"
