"""Handling of events, and the service itself, while the classifier is unavailable."""

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.appeals.classification import classifier_pool
from services.appeals.classification.model.builtin_model import builtin_model_dir
from services.appeals.settings import settings
from shared.events import relay
from shared.events.listen_notify import NotificationListener
from shared.settings import settings as shared_settings
from tests.conftest import TestDatabase
from tests.integration.appeals.conftest import AppealsScenario
from tests.integration.appeals.test_appeal_matching import QUESTION
from tests.support.eventually import HANG_SECONDS
from tests.support.forked_program import fork_classifiers
from tests.support.hostile_classifier import DEADLY, classify_hostile
from tests.support.service_under_test import ServiceUnderTest, service_under_test
from tests.unit.appeals.classification.test_custom_model import kept


@pytest.fixture(autouse=True)
def _forked(monkeypatch: pytest.MonkeyPatch) -> None:
    fork_classifiers(monkeypatch)


class CrashingProcess:
    """A classifier process that crashes on any text."""

    def submit(self, *_: object) -> Future[Any]:
        raise BrokenProcessPool("a child process terminated abruptly")


async def test_no_message_is_dead_lettered_when_the_classifier_crashes(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.events.consumer.MAX_FAILURES", 1)
    monkeypatch.setattr(classifier_pool.ClassifierPool, "_process", lambda _: CrashingProcess())
    await scenario.insert_message(QUESTION)
    await relay.number_committed_events(scenario.appeals.service.database)
    failed: list[str | None] = []
    consumer = scenario.appeals.service.consumers[0]
    running = asyncio.create_task(
        consumer.run(
            scenario.appeals.service.database, NotificationListener(), lambda _, error: failed.append(error)
        )
    )
    try:
        async with asyncio.timeout(HANG_SECONDS):
            # The event has failed three times alone in a batch: if these failures counted, it would be
            # dead-lettered.
            while sum(error is not None for error in failed) < 4:
                await asyncio.sleep(0.02)
            assert "ended twice in a row" in str(failed[0])
            monkeypatch.undo()
            while failed[-1] is not None:
                await asyncio.sleep(0.02)
    finally:
        running.cancel()
    assert (await scenario.single_appeal())["status"] == "assigned"
    connection = await scenario.database.connect()
    try:
        assert await connection.fetchval("SELECT count(*) FROM appeals_jobs.pgqueuer") == 0
    finally:
        await connection.close()


async def test_text_that_crashes_the_classifier_goes_to_triage_and_the_next_is_assigned(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classifier_pool.classifier_pool(), "_classify_items", classify_hostile)
    await scenario.insert_message(DEADLY, thread="vk:-101_1", kind="wall_post", author="bair")
    await scenario.insert_message(QUESTION, thread="vk:-101_2")
    await scenario.process_events()
    rows = await scenario.ingest.fetch(
        "SELECT classified_by, needs_answer, why FROM classifications ORDER BY classified_by DESC"
    )
    assert (rows[0]["classified_by"], rows[0]["needs_answer"]) == (classifier_pool.UNCLASSIFIABLE, "unsure")
    assert "решает модератор" in rows[0]["why"]
    waiting, assigned = sorted(await scenario.all(), key=lambda found: str(found["status"]), reverse=True)
    assert (waiting["status"], waiting["text"]) == ("triage", DEADLY)
    assert assigned["status"] == "assigned"


@pytest.fixture
def own_settings() -> Iterator[None]:
    """Drop the cached settings after the test, so that later tests read their own."""
    yield
    settings.cache_clear()
    shared_settings.cache_clear()


@pytest.mark.parametrize("process", ["api", "worker"])
@pytest.mark.usefixtures("own_settings")
async def test_service_with_an_unusable_topics_model_does_not_start(
    database: TestDatabase, keys_dir: Path, tmp_path: Path, process: Any
) -> None:
    with pytest.raises(
        classifier_pool.ClassifierUnavailableError, match=f"GOSPABLIK_TOPICS_MODEL: {tmp_path} holds no model"
    ):
        async with service_under_test("appeals", database, keys_dir, process=process, topics_model=str(tmp_path)):
            raise AssertionError("the service must not start")
    by_rule = service_under_test("appeals", database, keys_dir, topics_model=str(tmp_path), classifier="rule")
    async with by_rule as appeals:
        assert (await appeals.client.get("/health/live")).status_code == 200


async def get_classifier(appeals: ServiceUnderTest, role: str = "analyst") -> httpx.Response:
    return await appeals.client.get("/api/v1/classifier", headers=appeals.headers(role))


async def test_classifier_card_is_returned(scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch) -> None:
    found = (await get_classifier(scenario.appeals)).json()
    assert found["builtin_model"] == json.loads((builtin_model_dir() / "card.json").read_text("utf-8"))
    assert (found["mode"], found["custom_model"], found["unmapped_labels"]) == ("model", None, None)
    await scenario.citizen_writes(QUESTION)
    assert (await scenario.single_appeal())["messages"][0]["classification"]["classified_by"] == found["name"]
    assert (await get_classifier(scenario.appeals, "head")).status_code == 403
    monkeypatch.setattr(classifier_pool.ClassifierPool, "_process", lambda _: CrashingProcess())
    away = await get_classifier(scenario.appeals)
    assert (away.status_code, away.json()["detail"]) == (
        503,
        "The classifier is not available; the service's log says why",
    )


@pytest.mark.usefixtures("own_settings")
async def test_classifier_card_describes_the_custom_model_and_has_no_model_for_rules(
    database: TestDatabase, keys_dir: Path, tmp_path: Path
) -> None:
    rows = {"Дороги": 6, "Культура": 6, "СВОЙ КЛАСС": 1}
    trained: dict[str, Any] = {"topics_model": str(kept(tmp_path, rows))}
    async with service_under_test("appeals", database, keys_dir, **trained) as appeals:
        found = (await get_classifier(appeals)).json()
        assert found["name"].endswith("+topics-1")
        assert (found["custom_model"]["version"], found["custom_model"]["data"]["labels"]) == (1, rows)
        assert "СВОЙ КЛАСС" in found["unmapped_labels"]
    async with service_under_test("appeals", database, keys_dir, **trained, classifier="rule") as appeals:
        found = (await get_classifier(appeals)).json()
        assert (found["mode"], found["name"].split(":")[0]) == ("rule", "rule")
        assert (found["builtin_model"], found["custom_model"]) == (None, None)
