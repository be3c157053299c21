"""Counts of appeals, which triggers update: correct for each filter, aggregated, and checked by a recount."""

from collections import Counter
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from services.appeals.lists import appeal_counts
from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario
from tests.integration.appeals.people_helpers import Colleague, register

QUESTION = "Когда в вашей школе начнётся ремонт крыльца?"


async def _open(scenario: AppealsScenario, count: int = 4) -> list[dict[str, Any]]:
    for number in range(count):
        await scenario.citizen_writes(QUESTION, author=f"a{number}", at=WEDNESDAY + timedelta(hours=number))
    return await scenario.all(sort="opened_at")


async def _recounted(scenario: AppealsScenario) -> list[dict[str, Any]]:
    async with scenario.appeals.service.database.write() as session:
        return list(await appeal_counts.differences(session))


async def _agree(reader: Colleague, **query: str) -> dict[str, int]:
    """Check that the counts equal those of the list with the same filter; return the counts by status."""
    text = "&".join(f"{name}={value}" for name, value in query.items())
    listed = (await reader.get(f"/appeals?{text}")).json()["items"]
    counted = (await reader.get(f"/appeals/counts?{text}")).json()
    assert counted["by_status"] == Counter(one["status"] for one in listed)
    assert (counted["total"], counted["overdue"]) == (len(listed), sum(one["overdue"] for one in listed))
    by_status: dict[str, int] = counted["by_status"]
    return by_status


async def test_counts_equal_those_of_the_list_for_each_filter(scenario: AppealsScenario) -> None:
    appeals = await _open(scenario)
    staff, centre = await register(scenario, "Исполнитель"), await register(scenario, "Модератор", "moderator")
    stranger = await register(scenario, "Чужой", organisation=scenario.other_organisation)
    await staff.move(appeals[0], to="in_progress")
    await staff.move(appeals[1], to="triage", reason="Дорога республиканская")
    await centre.move(appeals[2], to="assigned", organisation_id=str(scenario.other_organisation))
    await scenario.citizen_writes("Нет воды третий день во всем селе!", author="b", thread="vk:-101_9")
    for reader, total in ((centre, 5), (staff, 3), (stranger, 1)):
        assert sum((await _agree(reader)).values()) == total
        for query in (
            {"status": "assigned"},
            {"assignee": "me"},
            {"assignee": "none"},
            {"assignee_id": staff.ref},
            {"urgency": "high"},
            {"organisation_id": str(scenario.other_organisation)},
            # Filters that the stored counts do not cover: the appeals themselves are counted.
            {"network": "vk"},
            {"overdue": "true"},
        ):
            await _agree(reader, **query)
    assert await _agree(staff, assignee="me") == {"in_progress": 1}
    assert await _recounted(scenario) == []


async def test_rows_of_count_changes_are_aggregated_without_changing_the_counts(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appeal_counts, "_MIN_ROWS", 0)
    appeals = await _open(scenario)
    for to in ("in_progress", "assigned", "in_progress"):
        moved = await scenario.move(await scenario.appeal(appeals[0]["id"]), to)
        assert moved.status_code == 200, moved.text
    before = (await scenario.get("/appeals/counts")).json()
    async with scenario.appeals.service.database.write() as session:
        assert await appeal_counts.sum_up(session)
        # One row per status is left: there is nothing more to aggregate.
        assert not await appeal_counts.sum_up(session)
    assert await scenario.ingest.fetchval("SELECT count(*) FROM appeal_counts") == 2
    assert (await scenario.get("/appeals/counts")).json() == before
    assert await _recounted(scenario) == []


async def test_rolled_back_and_uncommitted_changes_are_not_counted(scenario: AppealsScenario) -> None:
    await _open(scenario)
    connection: asyncpg.Connection = await scenario.database.connect("appeals")
    try:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("UPDATE appeals SET status = 'closed'")
        async with scenario.appeals.service.database.write() as session:
            await appeal_counts.sum_up(session)
        assert (await scenario.get("/appeals/counts")).json()["by_status"] == {"assigned": 4}
        await transaction.rollback()
        assert (await scenario.get("/appeals/counts")).json()["by_status"] == {"assigned": 4}
        await connection.execute("UPDATE appeals SET status = 'closed'")
        assert (await scenario.get("/appeals/counts")).json()["by_status"] == {"closed": 4}
    finally:
        await connection.close()
    assert await _recounted(scenario) == []


async def test_count_that_differs_from_the_rows_is_corrected(scenario: AppealsScenario) -> None:
    await _open(scenario)
    connection: asyncpg.Connection = await scenario.database.connect()
    try:
        # Triggers are disabled for this session, which only a superuser may do.
        await connection.execute("SET session_replication_role = replica")
        await connection.execute("UPDATE appeals SET status = 'closed' WHERE author_key = 'a0'")
    finally:
        await connection.close()
    assert (await scenario.get("/appeals/counts")).json()["by_status"] == {"assigned": 4}
    assert sorted((row["status"], int(row["appeals"])) for row in await _recounted(scenario)) == [
        ("assigned", -1),
        ("closed", 1),
    ]
    await scenario.handle_schedule("correct-appeal-counts")
    assert (await scenario.get("/appeals/counts")).json()["by_status"] == {"assigned": 3, "closed": 1}
    assert await _recounted(scenario) == []


async def test_deleted_appeals_are_not_counted(scenario: AppealsScenario) -> None:
    (appeal, *_) = await _open(scenario)
    connection: asyncpg.Connection = await scenario.database.connect()
    try:
        async with connection.transaction():
            await connection.execute("ALTER TABLE appeals DISABLE TRIGGER ALL")
            await connection.execute("ALTER TABLE appeals ENABLE TRIGGER count_deleted_appeals")
            await connection.execute("DELETE FROM appeals WHERE id = $1", appeal["id"])
            await connection.execute("ALTER TABLE appeals ENABLE TRIGGER ALL")
    finally:
        await connection.close()
    assert (await scenario.get("/appeals/counts")).json()["total"] == 3
    assert await _recounted(scenario) == []
