"""What becomes of events and of the service when texts cannot be read."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest

from services.appeals import judging, worker
from services.appeals.settings import settings
from shared import events
from shared.settings import settings as shared_settings
from shared.wakeups import WakeUps
from tests.conftest import TestDatabase
from tests.harness import service_under_test
from tests.integration.appeals.conftest import World
from tests.integration.appeals.test_opening import QUESTION


class Ended:
    """A reading process that ends whatever it is given."""

    def submit(self, *_: object) -> Future[Any]:
        raise BrokenProcessPool("a child process terminated abruptly")


async def test_no_message_is_stepped_over_because_the_reading_process_ends(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "PATIENCE", 1)
    monkeypatch.setattr(judging.Judging, "_process", lambda _: Ended())
    await world.insert_message(QUESTION)
    await events.number_committed(world.appeals.service.database)
    failed: list[str | None] = []
    consumer = worker.consumers[0]
    running = asyncio.create_task(
        consumer.run(world.appeals.service.database, WakeUps(), lambda _, error: failed.append(error))
    )
    try:
        async with asyncio.timeout(20):
            # Alone with it, it fails a third time: it would have been stepped over after the first.
            while sum(error is not None for error in failed) < 4:
                await asyncio.sleep(0.02)
            assert "ended twice in a row" in str(failed[0])
            monkeypatch.undo()
            while failed[-1] is not None:
                await asyncio.sleep(0.02)
    finally:
        running.cancel()
    assert (await world.only())["status"] == "assigned"
    connection = await world.database.connect()
    try:
        assert await connection.fetchval("SELECT count(*) FROM appeals_jobs.pgqueuer") == 0
    finally:
        await connection.close()


@pytest.fixture
def own_settings() -> Iterator[None]:
    """Settings that no later test shall find."""
    yield
    settings.cache_clear()
    shared_settings.cache_clear()


@pytest.mark.parametrize("process", ["api", "worker"])
@pytest.mark.usefixtures("own_settings")
async def test_a_service_whose_topics_model_cannot_be_used_does_not_start(
    database: TestDatabase, keys_dir: Path, tmp_path: Path, process: Any
) -> None:
    with pytest.raises(judging.ReadingAwayError, match=f"GOSPABLIK_TOPICS_MODEL: {tmp_path} holds no model"):
        async with service_under_test("appeals", database, keys_dir, process=process, topics_model=str(tmp_path)):
            raise AssertionError("it has started")
    by_rule = service_under_test("appeals", database, keys_dir, topics_model=str(tmp_path), understanding="rule")
    async with by_rule as appeals:
        assert (await appeals.client.get("/health/live")).status_code == 200
