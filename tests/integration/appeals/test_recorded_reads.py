"""Reads and exports of appeals are recorded, with the reader, before the response is sent."""

from typing import Any

from prometheus_client import REGISTRY

from tests.integration.appeals.conftest import AppealsScenario
from tests.integration.platform.simulated_outages import read_only
from tests.support.service_under_test import CENTRE_SUBJECT


async def _recorded(scenario: AppealsScenario) -> list[dict[str, Any]]:
    connection = await scenario.database.connect()
    try:
        return [
            dict(row) for row in await connection.fetch("SELECT * FROM personal_data_reads ORDER BY read_at, id")
        ]
    finally:
        await connection.close()


async def test_read_is_recorded_with_reader_role_organisation_and_operation(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes("Когда починят дорогу на улице Жердева?")
    (listed,) = await scenario.all()
    assert await _recorded(scenario) == []  # reads of masked lists are not recorded
    answer = await scenario.get(f"/appeals/{listed['id']}", role="executor", org=scenario.organisation)
    assert answer.status_code == 200, answer.text
    (row,) = await _recorded(scenario)
    assert (row["actor"], row["role"], row["organisation_id"]) == (
        CENTRE_SUBJECT,
        "executor",
        scenario.organisation,
    )
    assert (row["service"], row["action"], row["subject_kind"]) == ("appeals", "get_appeal", "appeal")
    assert [str(found) for found in row["subject_ids"]] == [listed["id"]]
    assert row["request_id"] == answer.headers["x-request-id"]


async def test_refused_read_is_not_recorded(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes("Когда починят дорогу на улице Жердева?")
    (listed,) = await scenario.all()
    answer = await scenario.get(f"/appeals/{listed['id']}", role="executor", org=scenario.other_organisation)
    assert answer.status_code == 404
    assert await _recorded(scenario) == []


async def test_change_that_returns_the_appeal_is_recorded_as_a_read(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes("Когда починят дорогу на улице Жердева?")
    appeal = await scenario.single_appeal()
    before = await _recorded(scenario)
    stale = appeal | {"version": appeal["version"] + 1}
    refused = await scenario.move(stale, "not_required", reason="Ответ не нужен")
    assert refused.status_code == 412
    assert await _recorded(scenario) == before
    moved = await scenario.move(appeal, "not_required", reason="Ответ не нужен")
    assert moved.status_code == 200, moved.text
    added = (await _recorded(scenario))[len(before) :]
    assert [row["action"] for row in added] == ["move_appeal"]


async def test_export_is_recorded_with_all_its_appeals(scenario: AppealsScenario) -> None:
    for thread in ("vk:-101_1", "vk:-101_2"):
        await scenario.citizen_writes("Когда починят дорогу на улице Жердева?", thread=thread)
    ids = {appeal["id"] for appeal in await scenario.all()}
    assert (await scenario.get("/appeals.csv")).status_code == 200
    assert (await scenario.get("/appeals.csv", status="closed")).status_code == 200  # the export is empty
    (row,) = await _recorded(scenario)
    assert row["action"] == "export_appeals_csv"
    assert {str(found) for found in row["subject_ids"]} == ids
    assert len(ids) == 2


async def test_read_from_a_read_only_database_is_answered_and_counted_as_unrecorded(
    scenario: AppealsScenario,
) -> None:
    await scenario.citizen_writes("Когда починят дорогу на улице Жердева?")
    (listed,) = await scenario.all()
    before = REGISTRY.get_sample_value("gospablik_unrecorded_personal_data_reads_total")
    async with read_only(scenario.database):
        # `read_only` ended the pooled connections, and the pool does not test connections that were just used.
        await scenario.appeals.service.database.engine.dispose()
        assert (await scenario.get(f"/appeals/{listed['id']}")).status_code == 200
    after = REGISTRY.get_sample_value("gospablik_unrecorded_personal_data_reads_total")
    assert before is not None
    assert after == before + 1
