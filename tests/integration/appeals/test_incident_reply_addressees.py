"""Who gets the reply to an incident: the organisation of an appeal decides, also if it changes."""

import asyncio
from typing import Any
from uuid import UUID

from tests.integration.appeals.conftest import AppealsScenario
from tests.integration.appeals.reply_helpers import make_replies
from tests.integration.appeals.test_manual_incidents import case_of, opened
from tests.support.eventually import eventually

TEXT = "Свет включат до 18:00."


async def reply_to_incident(
    scenario: AppealsScenario, incident: dict[str, Any], org: UUID | None = None, text: str = TEXT, **body: Any
) -> str:
    """Send a reply to all appeals of an incident, of an organisation or of the centre; return its id."""
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
    stays, leaves = await case_of(scenario, "anna"), await case_of(scenario, "boris")
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
