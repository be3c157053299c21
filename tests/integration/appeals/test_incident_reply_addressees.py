"""Which appeals get the reply to an incident: it depends on their organisation, which may change meanwhile."""

import asyncio
import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from services.appeals import jobs
from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario
from tests.integration.appeals.people_helpers import register
from tests.integration.appeals.reply_helpers import answer, execute, make_replies, reply_fails
from tests.integration.appeals.test_bulk_operations import completed, counts, undo
from tests.integration.appeals.test_manual_incidents import TROUBLE, appeal_of, opened
from tests.integration.appeals.test_organisation_calendars import calendar_on
from tests.support.eventually import eventually
from tests.support.service_under_test import insert_organisation

HOUR = timedelta(hours=1)
TEXT = "Свет включат до 18:00."


async def reply_to_incident(
    scenario: AppealsScenario, incident: dict[str, Any], org: UUID | None = None, text: str = TEXT, **body: Any
) -> str:
    """Send a reply to all appeals of an incident, as an organisation or the centre; return the reply's id."""
    role = "moderator" if org is None else "executor"
    path = f"/incidents/{incident['id']}/replies"
    sent = await scenario.post(path, {"text": text, **body}, role=role, org=org)
    assert sent.status_code == 202, sent.text
    return str(sent.json()["id"])


async def texts(scenario: AppealsScenario, appeal: dict[str, Any]) -> list[str]:
    return [reply["text"] for reply in (await scenario.appeal(appeal["id"]))["replies"]]


async def test_appeal_transferred_during_a_bulk_reply_gets_no_reply_of_its_former_organisation(
    scenario: AppealsScenario,
) -> None:
    stays, leaves = await appeal_of(scenario, "anna"), await appeal_of(scenario, "boris")
    incident = await opened(scenario, stays, leaves)
    await reply_to_incident(scenario, incident, scenario.organisation)
    gate, observer = [await scenario.database.connect() for _ in range(2)]

    async def waits_for_a_lock() -> bool:
        query = """SELECT count(*) FROM pg_stat_activity
            WHERE wait_event_type = 'Lock' AND datname = current_database()"""
        return bool(await observer.fetchval(query))

    # The job chooses both appeals, and waits for the first in id order; meanwhile the other one is transferred.
    first = min((UUID(one["id"]) for one in (stays, leaves)), key=lambda found: found.bytes)
    assert first == UUID(stays["id"]), "ids are ordered by time"
    await gate.execute("BEGIN")
    await gate.execute("SELECT FROM appeals WHERE id = $1 FOR UPDATE", first)
    making = asyncio.create_task(make_replies(scenario))
    await eventually(waits_for_a_lock)
    moved = await scenario.move(
        leaves, "assigned", organisation_id=str(scenario.other_organisation), reason="Не наше"
    )
    assert moved.status_code == 200, moved.text
    await gate.execute("ROLLBACK")
    await making
    for connection in (gate, observer):
        await connection.close()
    assert await texts(scenario, stays) == [TEXT]
    assert await texts(scenario, leaves) == []
    assert (await scenario.appeal(leaves["id"]))["status"] == "assigned"


@pytest.mark.parametrize("later", [False, True])
async def test_member_that_joins_before_the_job_gets_a_reply_only_if_it_is_for_later_members(
    scenario: AppealsScenario, *, later: bool
) -> None:
    early, late = await appeal_of(scenario, "anna"), await appeal_of(scenario, "boris")
    incident = await opened(scenario, early)
    await reply_to_incident(scenario, incident, include_later_members=later)
    joined = await scenario.post(f"/incidents/{incident['id']}/members", {"appeal_ids": [late["id"]]})
    assert joined.status_code == 200, joined.text
    await make_replies(scenario)
    assert await texts(scenario, early) == [TEXT]
    assert await texts(scenario, late) == ([TEXT] if later else [])
    (shown,) = (await scenario.get(f"/incidents/{incident['id']}/replies")).json()["items"]
    assert (shown["by_status"], shown["pending_count"]) == ({"queued": 1 + later}, 0)


async def test_member_added_by_a_worker_whose_clock_is_ahead_gets_the_reply(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    appeal = await appeal_of(scenario, "anna")
    with monkeypatch.context() as worker:
        worker.setattr("shared.clock._shift", timedelta(seconds=40))
        incident = await opened(scenario, appeal)
    await reply_to_incident(scenario, incident, include_later_members=False)
    await make_replies(scenario)
    assert await texts(scenario, appeal) == [TEXT]


async def assigned_to_other(scenario: AppealsScenario, appeal: dict[str, Any]) -> None:
    """Assign the appeal to the other organisation, and run the jobs that follow."""
    moved = await scenario.move(
        await scenario.appeal(appeal["id"]),
        "assigned",
        organisation_id=str(scenario.other_organisation),
        reason="Их сети",
    )
    assert moved.status_code == 200, moved.text
    await make_replies(scenario)


@pytest.mark.parametrize("by", ["transfer", "decision in triage"])
async def test_appeal_assigned_after_the_reply_to_its_incident_gets_that_reply(
    scenario: AppealsScenario, by: str
) -> None:
    appeal, other = await appeal_of(scenario, "anna"), await appeal_of(scenario, "boris", other=True)
    incident = await opened(scenario, appeal, other)
    await reply_to_incident(scenario, incident, scenario.other_organisation, "Раньше.", kind="final")
    await reply_to_incident(scenario, incident, scenario.other_organisation)
    if by == "decision in triage":
        assert (await scenario.move(appeal, "triage", reason="Не наше")).status_code == 200
    await make_replies(scenario)
    assert await texts(scenario, appeal) == []
    await assigned_to_other(scenario, appeal)
    assert await texts(scenario, appeal) == [TEXT]
    path = f"/incidents/{incident['id']}/replies"
    (shown, _) = (await scenario.get(path, role="executor", org=scenario.other_organisation)).json()["items"]
    assert (shown["by_status"], shown["pending_count"]) == ({"queued": 1}, 0)
    for _ in range(2):
        await scenario.handle_job(jobs.REPLY_TO_ASSIGNED_MEMBERS, {"appeal_ids": [appeal["id"]]})
        await make_replies(scenario)
    assert await texts(scenario, appeal) == [TEXT]


async def test_appeal_returned_to_its_organisation_by_an_undo_gets_the_missed_reply(
    scenario: AppealsScenario,
) -> None:
    moderator = await register(scenario, "Модератор", "moderator")
    appeal, own = await appeal_of(scenario, "anna"), await appeal_of(scenario, "boris")
    incident = await opened(scenario, appeal, own)
    body = {"action": "transfer", "organisation_id": str(scenario.other_organisation)}
    operation = await completed(scenario, moderator, body | {"appeal_ids": [appeal["id"]]})
    await reply_to_incident(scenario, incident, scenario.organisation)
    await make_replies(scenario)
    assert (await texts(scenario, own), await texts(scenario, appeal)) == ([TEXT], [])
    assert counts(await undo(scenario, moderator, operation)) == (0, 1, 0, 0)
    await make_replies(scenario)
    assert await texts(scenario, appeal) == [TEXT]


async def test_appeal_assigned_to_a_subordinate_organisation_gets_its_parents_reply(
    scenario: AppealsScenario,
) -> None:
    appeal, other = await appeal_of(scenario, "anna"), await appeal_of(scenario, "boris", other=True)
    incident = await opened(scenario, appeal, other)
    ministry = await insert_organisation(scenario.database, name="Министерство")
    registry = await scenario.database.connect("registry")
    await registry.execute(
        "UPDATE organisations SET parent_id = $1 WHERE id = $2", ministry, scenario.other_organisation
    )
    await registry.close()
    await reply_to_incident(scenario, incident, scenario.other_organisation)
    await execute(
        scenario, "UPDATE incident_replies SET include_subordinates = true, organisation_id = $1", ministry
    )
    await make_replies(scenario)
    await assigned_to_other(scenario, appeal)
    assert (await texts(scenario, other), await texts(scenario, appeal)) == ([TEXT], [TEXT])


async def test_assigned_appeal_gets_no_reply_if_not_for_later_members_or_already_answered(
    scenario: AppealsScenario,
) -> None:
    answered, late = await appeal_of(scenario, "anna"), await appeal_of(scenario, "vera")
    other = await appeal_of(scenario, "boris", other=True)
    incident = await opened(scenario, answered, late, other)
    await reply_to_incident(scenario, incident, scenario.other_organisation, include_later_members=False)
    await make_replies(scenario)
    await assigned_to_other(scenario, late)
    assert await texts(scenario, late) == []
    await execute(scenario, "UPDATE incident_replies SET include_later_members = true")
    await scenario.emit_published(await answer(scenario, answered, "Бригада выехала."), at=WEDNESDAY + HOUR)
    await scenario.citizen_writes(
        "Света на Гагарина так и нет, когда включат?",
        author="anna",
        thread="vk:-101_anna",
        at=WEDNESDAY + 2 * HOUR,
    )
    reopened = await scenario.appeal(answered["id"])
    assert reopened["status"] == "reopened"
    await assigned_to_other(scenario, answered)
    assert await texts(scenario, answered) == ["Бригада выехала."]


async def test_deadline_of_an_appeal_without_a_page_uses_the_calendar_of_the_leading_organisation(
    scenario: AppealsScenario,
) -> None:
    registry = await scenario.database.connect("registry")
    region = await registry.fetchval("SELECT id FROM calendars WHERE is_default")
    always = json.dumps({str(day): [["00:00", "24:00"]] for day in range(1, 8)})
    around_the_clock = await calendar_on(registry, region, "Круглосуточно", always)
    await registry.execute(
        "UPDATE organisations SET calendar_id = $2 WHERE id = $1", scenario.organisation, around_the_clock
    )
    await registry.close()
    message = await scenario.citizen_writes("", attachments=[{"type": "photo"}])
    unclear = await scenario.single_appeal()
    assert unclear["status"] == "triage"
    await execute(scenario, "UPDATE appeals SET page_id = NULL, organisation_id = NULL")
    await _lead(scenario, await opened(scenario, unclear))
    await reply_to_incident(scenario, (await scenario.get("/incidents")).json()["items"][0])
    await make_replies(scenario)
    appeal = await scenario.appeal(unclear["id"])
    assert (appeal["status"], appeal["organisation"]["id"]) == ("in_progress", str(scenario.organisation))
    assert [reply["in_reply_to"] for reply in appeal["replies"]] == [str(message)]
    # At some hours of the day both calendars give the same deadline, so the calendars are compared.
    used = await scenario.ingest.fetch("SELECT DISTINCT calendar_id FROM sla_clocks")
    assert [row["calendar_id"] for row in used] == [around_the_clock]


async def _lead(scenario: AppealsScenario, incident: dict[str, Any]) -> None:
    """Let the scenario's organisation lead the incident."""
    led = await scenario.appeals.client.patch(
        f"/api/v1/incidents/{incident['id']}",
        json={"organisation_id": str(scenario.organisation)},
        headers=scenario.appeals.headers("moderator", **{"If-Match": "*"}),
    )
    assert led.status_code == 200, led.text


async def test_unanswerable_appeals_stay_in_triage(scenario: AppealsScenario) -> None:
    """One appeal was entered manually and has no thread; the other has a failed reply with the same text."""
    failed = await appeal_of(scenario, "anna")
    await reply_fails(scenario, await answer(scenario, failed, TEXT))
    assert (await scenario.move(await scenario.appeal(failed["id"]), "triage", reason="Чьё это?")).is_success
    manual = (await scenario.post("/appeals", {"text": TROUBLE})).json()
    before = [await scenario.appeal(one["id"]) for one in (manual, failed)]
    assert [one["status"] for one in before] == ["triage", "triage"]
    incident = await opened(scenario, *before)
    await _lead(scenario, incident)
    await reply_to_incident(scenario, incident)
    await make_replies(scenario)
    reasons = []
    for former in before:
        after = await scenario.appeal(former["id"])
        same = ("status", "organisation", "first_response_due_at", "next_response_due_at", "assignments")
        assert [after[name] for name in same] == [former[name] for name in same]
        entry = after["timeline"][-1]
        assert entry["kind"] == "incident_reply_skipped"
        reasons.append(entry["data"]["reason"])
    assert "no message in a network" in reasons[0]
    assert "has failed: retry it" in reasons[1]
