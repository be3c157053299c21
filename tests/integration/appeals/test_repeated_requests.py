"""Requests with one `Idempotency-Key`: concurrent, while the first one runs, and after a lost connection."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from tests.integration.appeals.conftest import AppealsScenario
from tests.support.eventually import HANG_SECONDS, eventually

BODY = {"text": "Позвонили: на улице Гагарина не горят фонари", "source": "phone"}
WAITING = "SELECT pid FROM pg_locks WHERE relation = 'appeals'::regclass AND NOT granted"


async def _post(scenario: AppealsScenario, **changes: Any) -> Any:
    return await scenario.post("/appeals", BODY | changes, Idempotency_Key="one")


async def _appeals(scenario: AppealsScenario) -> int:
    return int(await scenario.ingest.fetchval("SELECT count(*) FROM appeals"))


async def _blocked(connection: Any) -> Any:
    """Wait until a request waits for the table; return the id of its database process."""
    return await eventually(lambda: connection.fetchval(WAITING), "a request that waits for the table")


@pytest.mark.parametrize("requests", [30, pytest.param(1_000, marks=pytest.mark.long)])
async def test_concurrent_requests_with_one_key_open_one_appeal(
    scenario: AppealsScenario, *, requests: int
) -> None:
    at_once = asyncio.Semaphore(50)  # the test stores the access of each caller over a separate connection

    async def post() -> Any:
        async with at_once:
            return await _post(scenario)

    async with asyncio.timeout(HANG_SECONDS):
        answers = await asyncio.gather(*(post() for _ in range(requests)))
    counts = Counter((answer.status_code, answer.json().get("type")) for answer in answers)
    assert counts.keys() <= {(201, None), (409, "/problems/idempotent-request-in-progress")}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) == 1
    assert sum("idempotent-replay" not in answer.headers for answer in answers if answer.status_code == 201) == 1
    assert await _appeals(scenario) == 1
    assert len(await scenario.events("appeal.opened")) == 1


async def test_repetition_of_a_running_request_is_refused_at_once(scenario: AppealsScenario) -> None:
    connection = await scenario.database.connect()
    async with connection.transaction():
        await connection.execute("LOCK TABLE appeals IN SHARE MODE")
        first = asyncio.create_task(_post(scenario))
        await _blocked(connection)
        second = await _post(scenario)
        assert (second.status_code, second.json()["type"]) == (409, "/problems/idempotent-request-in-progress")
        other = await _post(scenario, text="Другое")
        assert (other.status_code, other.json()["type"]) == (409, "/problems/idempotent-request-in-progress")
    opened = await first
    again, changed = await _post(scenario), await _post(scenario, text="Другое")
    assert (opened.status_code, again.status_code, changed.status_code) == (201, 201, 422)
    assert again.json() == opened.json()
    assert changed.json()["type"] == "/problems/idempotency-key-reused"
    assert await _appeals(scenario) == 1
    await connection.close()


async def test_repetition_after_a_lost_database_connection_opens_the_appeal(
    scenario: AppealsScenario,
) -> None:
    connection = await scenario.database.connect()
    async with connection.transaction():
        await connection.execute("LOCK TABLE appeals IN SHARE MODE")
        first = asyncio.create_task(_post(scenario))
        await connection.execute("SELECT pg_terminate_backend($1)", await _blocked(connection))
        assert (await first).status_code == 503
    assert await _appeals(scenario) == 0
    opened = await _post(scenario)
    assert (opened.status_code, "idempotent-replay" in opened.headers) == (201, False)
    assert await _appeals(scenario) == 1
    await connection.close()
