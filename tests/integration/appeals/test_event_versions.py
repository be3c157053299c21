"""Each event of an appeal contains the version after the change, which equals the ETag of the appeal."""

import json
from datetime import datetime, timedelta
from typing import Any

from shared import clock
from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario
from tests.integration.appeals.people_helpers import register
from tests.integration.appeals.test_appeal_matching import QUESTION
from tests.integration.appeals.test_matters import VAGUE


async def _event_versions(scenario: AppealsScenario, appeal_id: str) -> list[tuple[str, int]]:
    """Return the type and version of each event of the appeal, oldest first."""
    rows = await scenario.ingest.fetch(
        """SELECT type, data FROM events WHERE subject_id = $1::text::uuid AND data ? 'number'
           ORDER BY position, write_order""",
        appeal_id,
    )
    return [(row["type"], json.loads(row["data"])["version"]) for row in rows]


async def _etag_version(scenario: AppealsScenario, appeal_id: str) -> int:
    answer = await scenario.get(f"/appeals/{appeal_id}")
    assert answer.status_code == 200, answer.text
    return int(answer.headers["ETag"].strip('W/"').partition("-")[0])


async def test_deadline_that_starts_again_with_a_clear_message_has_an_event(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes(VAGUE)
    before = await scenario.single_appeal()
    assert before["status"] == "assigned"
    await scenario.citizen_writes(QUESTION, at=WEDNESDAY + timedelta(hours=2))
    after = await scenario.single_appeal()
    assert after["first_response_due_at"] > before["first_response_due_at"]
    (event,) = await scenario.events("appeal.deadline_changed")
    data = json.loads(event["data"])
    due_at = datetime.fromisoformat(data["first_response_due_at"])
    assert due_at == datetime.fromisoformat(after["first_response_due_at"])
    assert data["version"] == after["version"]


async def test_version_of_each_event_is_the_etag_read_afterwards(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes(QUESTION)
    appeal_id = (await scenario.single_appeal())["id"]
    seen: list[tuple[str, int]] = []

    async def check(*types: str) -> None:
        events = await _event_versions(scenario, appeal_id)
        new, version = events[len(seen) :], await _etag_version(scenario, appeal_id)
        assert {kind for kind, _ in new} == set(types)
        assert {found for _, found in new} == {version}, new
        assert not seen or version >= seen[-1][1]
        seen.extend(new)

    await check("appeal.opened", "appeal.assigned")
    await scenario.citizen_writes("Когда отремонтируют дорогу? Жду ответа")
    await check("appeal.message_added")
    appeal = await scenario.appeal(appeal_id)
    assert (await scenario.move(appeal, "in_progress")).status_code == 200
    await check("appeal.moved")
    boris = await register(scenario, "Борис")
    noted = await boris.post(f"/appeals/{appeal_id}/notes", {"text": "Позвонил"})
    assert noted.status_code == 201, noted.text
    await check("appeal.note_added")
    answer = await scenario.post(f"/appeals/{appeal_id}/replies", {"text": "Отремонтируем.", "kind": "final"})
    reply: dict[str, Any] = answer.json()
    assert answer.status_code == 201, answer.text
    await check("reply.queued")
    await scenario.emit_published(reply, at=clock.now())
    await scenario.process_events()
    await check("appeal.answered")
    versions = [version for _, version in seen]
    assert versions == sorted(versions)
    assert len(set(versions)) > 3
