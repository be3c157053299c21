"""Concurrent workers open one appeal for each matter of a person in a thread."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
import pytest

from services.appeals.classification.classifier_pool import ClassifierPool
from services.appeals.classification.classifier_process import ClassifiedText, ClassifierInput
from services.appeals.inbound.appeal_matching import AppealMatcher
from services.appeals.inbound.locked_appeals import LockedAppeals
from services.appeals.inbound.matter_readings import ClassifiedMessage
from services.appeals.inbound.thread_context import ThreadContext
from services.appeals.lifecycle.message_queries import select_messages
from services.appeals.lifecycle.timeline import AppealRecorder
from services.appeals.moderation.corrected_results import classify_text
from services.appeals.routing.context import RoutingContext
from shared.database.sessions import Database, WriteSession
from shared.tables.ingest import Message
from tests.integration.appeals.conftest import AppealsScenario
from tests.integration.appeals.test_appeal_matching import QUESTION
from tests.support.eventually import eventually

ROAD_AGAIN = "Так когда отремонтируют дорогу на Бабушкина?"
DOCTOR = "Почему в поликлинике нет ни одного педиатра?"
DOCTOR_AGAIN = "Педиатра в поликлинике нет, куда вести ребёнка?"


@dataclass
class Workers:
    """Two workers, each with its own database connection."""

    scenario: AppealsScenario
    one: Database
    two: Database

    async def place(self, session: WriteSession, message_id: UUID) -> tuple[AppealMatcher, ClassifiedMessage]:
        """Lock the appeals that a message may join; return their matcher and the classified message."""
        message = await session.scalar(select_messages().where(Message.id == message_id))
        assert message is not None
        context = await ThreadContext.load(session, [message])
        locked = await LockedAppeals.load(session, [message])
        routing_context = await RoutingContext.load(session, {message.page_id})
        result = await classify_text(context.classifier_input(message))
        item = ClassifiedMessage(message, result, "model:test", context=context.message_context(message))
        return AppealMatcher(session, routing_context, AppealRecorder(), locked), item

    async def handle(self, database: Database, message_id: UUID) -> None:
        """Handle a message in one transaction."""
        async with database.write() as session:
            matcher, item = await self.place(session, message_id)
            await matcher.store_results([item])
            await matcher.place([item])
            matcher.match(item)
            await matcher.write()

    async def at_once(self, first: str, second: str, *, thread: str) -> None:
        """Insert two messages of one person and let each worker handle one of them concurrently."""
        messages = [await self.scenario.insert_message(text, thread=thread) for text in (first, second)]
        await asyncio.gather(self.handle(self.one, messages[0]), self.handle(self.two, messages[1]))

    async def appeals(self) -> list[tuple[str, int, int, int]]:
        """Return for each thread its key, number of appeals, highest matter number and number of messages."""
        rows = await self.scenario.ingest.fetch(
            """SELECT a.thread_key, count(DISTINCT a.id), max(a.matter_number), count(m.message_id)
               FROM appeals a JOIN appeal_messages m ON m.appeal_id = a.id
               GROUP BY a.thread_key ORDER BY a.thread_key"""
        )
        return [tuple(row) for row in rows]


@pytest.fixture
async def workers(scenario: AppealsScenario) -> AsyncIterator[Workers]:
    """Two workers with their own connections, besides those of the service."""
    url = scenario.database.url("appeals")
    one, two = Database(url, 1, name="one"), Database(url, 1, name="two")
    try:
        yield Workers(scenario, one, two)
    finally:
        await one.close()
        await two.close()


@pytest.mark.parametrize("attempts", [10, pytest.param(100, marks=pytest.mark.long)])
async def test_two_messages_about_one_matter_open_one_appeal(workers: Workers, attempts: int) -> None:
    for attempt in range(attempts):
        await workers.at_once(QUESTION, ROAD_AGAIN, thread=f"vk:-101_{1000 + attempt}")
    found = await workers.appeals()
    assert len(found) == attempts
    assert {tuple(rest) for _, *rest in found} == {(1, 1, 2)}


async def test_two_messages_about_two_matters_open_two_appeals(workers: Workers) -> None:
    for attempt in range(5):
        await workers.at_once(QUESTION, DOCTOR, thread=f"vk:-101_{1000 + attempt}")
    assert {tuple(rest) for _, *rest in await workers.appeals()} == {(2, 2, 2)}


async def test_two_messages_about_a_new_matter_open_one_more_appeal(workers: Workers) -> None:
    for attempt in range(5):
        thread = f"vk:-101_{1000 + attempt}"
        await workers.handle(workers.one, await workers.scenario.insert_message(QUESTION, thread=thread))
        await workers.at_once(DOCTOR, DOCTOR_AGAIN, thread=thread)
    assert {tuple(rest) for _, *rest in await workers.appeals()} == {(2, 2, 3)}


async def test_message_whose_worker_waited_for_the_lock_joins_the_appeal_opened_meanwhile(
    workers: Workers,
) -> None:
    """The second worker waits for the lock of the first, which opens an appeal; both messages must join it."""
    scenario, thread = workers.scenario, "vk:-101_7"
    await workers.handle(workers.one, await scenario.insert_message(QUESTION, thread=thread))
    first, second = [await scenario.insert_message(text, thread=thread) for text in (DOCTOR, DOCTOR_AGAIN)]
    async with workers.one.write() as session:
        matcher, item = await workers.place(session, first)
        waiting = asyncio.create_task(workers.handle(workers.two, second))
        await _waits_for_lock(scenario)
        await matcher.store_results([item])
        await matcher.place([item])
        matcher.match(item)
        await matcher.write()
    await waiting
    assert await workers.appeals() == [(thread, 2, 2, 3)]


class _PausedClassifier:
    """Makes the first classification wait: it sets `begun` when it begins, and continues when `go_on` is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()
        classify = ClassifierPool.classify

        async def paused(pool: ClassifierPool, items: Sequence[ClassifierInput]) -> list[ClassifiedText]:
            if not self.begun.is_set():
                self.begun.set()
                await self.go_on.wait()
            return await classify(pool, items)

        monkeypatch.setattr(ClassifierPool, "classify", paused)


async def decided_while_the_classifier_runs(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch, *, needs_answer: bool
) -> tuple[UUID, httpx.Response]:
    """Return a message about which a person decided while it was classified, and the response to the person."""
    classifier = _PausedClassifier(monkeypatch)
    message = await scenario.insert_message(QUESTION)
    working = asyncio.create_task(scenario.process_events())
    await classifier.begun.wait()
    decided = await scenario.post(f"/messages/{message}/triage", {"needs_answer": needs_answer})
    classifier.go_on.set()
    await working
    assert decided.status_code == 200, decided.text
    return message, decided


async def test_message_marked_as_needing_no_answer_during_classification_opens_no_appeal(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    message, decided = await decided_while_the_classifier_runs(scenario, monkeypatch, needs_answer=False)
    assert await scenario.all() == []
    row = await scenario.ingest.fetchrow(
        "SELECT needs_answer, version FROM classifications WHERE message_id = $1", message
    )
    assert (row["needs_answer"], f'"{row["version"]}"') == ("no", decided.headers["ETag"])


async def test_message_marked_as_needing_an_answer_during_classification_opens_one_appeal(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    message, _ = await decided_while_the_classifier_runs(scenario, monkeypatch, needs_answer=True)
    appeal = await scenario.single_appeal()
    assert [entry["kind"] for entry in appeal["timeline"]].count("opened") == 1
    assert [one["id"] for one in appeal["messages"]] == [str(message)]


@pytest.mark.parametrize(("version", "status"), [(None, 409), ("0", 412)], ids=["unseen", "seen"])
async def test_decision_is_refused_if_the_message_opens_an_appeal_meanwhile(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch, version: str | None, status: int
) -> None:
    classifier = _PausedClassifier(monkeypatch)
    message = await scenario.insert_message(QUESTION)
    path = f"/messages/{message}/triage"
    seen: dict[str, Any] = {} if version is None else {"If_Match": f'"{version}"'}
    deciding = asyncio.create_task(scenario.post(path, {"needs_answer": False}, **seen))
    await classifier.begun.wait()
    await scenario.process_events()
    classifier.go_on.set()
    refused = await deciding
    assert refused.status_code == status, refused.text
    appeal = await scenario.single_appeal()
    assert (appeal["status"], appeal["messages"][0]["classification"]["needs_answer"]) == ("assigned", "yes")
    again = await scenario.post(path, {"needs_answer": False})
    assert again.status_code == 200, again.text
    assert (await scenario.single_appeal())["status"] == "not_required"


async def _waits_for_lock(scenario: AppealsScenario) -> None:
    """Wait until a transaction of this database waits for a lock."""
    connection = await scenario.database.connect()

    async def waits() -> Any:
        return await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )

    try:
        await eventually(waits, "a transaction that waits for a lock")
    finally:
        await connection.close()
