"""Presence: colleagues see who else has an appeal open; it expires and is neither audited nor emitted."""

import asyncio
from typing import Any

from tests.integration.appeals.conftest import AppealsScenario
from tests.integration.appeals.people_helpers import Colleague, register
from tests.integration.appeals.test_appeal_matching import QUESTION
from tests.integration.appeals.test_appeals_api import _is_problem


async def _path(scenario: AppealsScenario) -> str:
    await scenario.citizen_writes(QUESTION)
    return f"/appeals/{(await scenario.single_appeal())['id']}/presence"


async def _sql(scenario: AppealsScenario, query: str) -> Any:
    connection = await scenario.database.connect()
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def _others(colleague: Colleague, path: str) -> list[str]:
    answer = await colleague.get(path)
    assert answer.status_code == 200, answer.text
    return [one["actor"]["name"] for one in answer.json()["others"]]


async def test_colleagues_see_each_other_until_they_leave(scenario: AppealsScenario) -> None:
    path = await _path(scenario)
    boris, vera, moderator = [
        await register(scenario, "Борис"),
        await register(scenario, "Вера"),
        await register(scenario, "Модератор", "moderator"),
    ]
    first = await boris.request("PUT", path)
    assert (first.status_code, first.json()) == (200, {"others": [], "expires_in": 45})
    second = (await vera.request("PUT", path)).json()
    assert [one["actor"] for one in second["others"]] == [{"id": boris.ref, "name": "Борис", "kind": "person"}]
    assert await _others(moderator, path) == ["Борис", "Вера"]
    assert await _others(boris, path) == ["Вера"]
    assert (await vera.request("DELETE", path)).status_code == 204
    assert (await vera.request("DELETE", path)).status_code == 204
    assert await _others(boris, path) == []


async def test_presence_without_heartbeats_expires_by_the_database_clock(scenario: AppealsScenario) -> None:
    path = await _path(scenario)
    boris, vera = await register(scenario, "Борис"), await register(scenario, "Вера")
    await boris.request("PUT", path)
    since = (await vera.get(path)).json()["others"][0]["since"]
    await boris.request("PUT", path)
    assert (await vera.get(path)).json()["others"][0]["since"] == since
    await _sql(scenario, "UPDATE appeal_presence SET expires_at = clock_timestamp()")
    assert await _others(vera, path) == []
    await boris.request("PUT", path)
    assert (await vera.get(path)).json()["others"][0]["since"] > since


async def test_locked_person_is_not_shown_as_present(scenario: AppealsScenario) -> None:
    path = await _path(scenario)
    boris, vera = await register(scenario, "Борис"), await register(scenario, "Вера")
    await boris.request("PUT", path)
    assert await _others(vera, path) == ["Борис"]
    await _sql(scenario, f"UPDATE people SET locked_at = now() WHERE id = '{boris.ref}'")
    assert await _others(vera, path) == []


async def test_heartbeat_updates_its_row_without_changing_indexes(scenario: AppealsScenario) -> None:
    path = await _path(scenario)
    boris = await register(scenario, "Борис")
    await boris.request("PUT", path)
    connection = await scenario.database.connect()
    try:
        async with connection.transaction():
            await connection.execute("UPDATE appeal_presence SET expires_at = clock_timestamp()")
            hot = "SELECT pg_stat_get_xact_tuples_hot_updated('appeal_presence'::regclass)"
            assert await connection.fetchval(hot) > 0
    finally:
        await connection.close()


async def test_only_readers_of_the_appeal_see_and_record_presence(scenario: AppealsScenario) -> None:
    path = await _path(scenario)
    foreign = await register(scenario, "Чужой", organisation=scenario.other_organisation)
    for method in ("GET", "PUT", "DELETE"):
        _is_problem(await foreign.request(method, path), 404)
    assert await _sql(scenario, "SELECT count(*) FROM appeal_presence") == 0


async def test_heartbeats_write_neither_audit_rows_nor_events_and_wait_for_no_lock(
    scenario: AppealsScenario,
) -> None:
    path = await _path(scenario)
    boris, vera = await register(scenario, "Борис"), await register(scenario, "Вера")
    count = "SELECT (SELECT count(*) FROM audit) + (SELECT count(*) FROM events)"
    before = await _sql(scenario, count)
    connection = await scenario.database.connect()
    try:
        async with connection.transaction():
            # Another transaction holds a lock on the appeal meanwhile.
            await connection.execute("SELECT FROM appeals FOR UPDATE")
            answers = await asyncio.gather(*(each.request("PUT", path) for each in (boris, vera) * 3))
    finally:
        await connection.close()
    assert {answer.status_code for answer in answers} == {200}
    assert await _sql(scenario, count) == before
    assert await _sql(scenario, "SELECT count(*) FROM appeal_presence") == 2
