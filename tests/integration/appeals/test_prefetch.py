"""The inputs prefetched for the next batch equal those requested later for its messages."""

import pytest

from services.appeals.classification.classifier_pool import classifier_pool
from services.appeals.classification.classifier_process import ClassifierInput
from services.appeals.inbound import prefetch, thread_context
from services.appeals.lifecycle.message_queries import select_messages
from shared.database.sessions import Database
from shared.events.consumer import BATCH
from shared.events.relay import number_committed_events
from shared.tables.ingest import Message
from tests.integration.appeals.conftest import AppealsScenario


async def test_prefetched_inputs_equal_those_requested_later(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[ClassifierInput] = []

    async def remember(items: list[ClassifierInput]) -> None:
        read.extend(items)

    monkeypatch.setattr(classifier_pool(), "prefetch", remember)
    numbers = range(BATCH + 20)
    written = [await scenario.insert_message(f"Где школа {n}?", author=f"a{n}", thread=f"t{n}") for n in numbers]
    await scenario.insert_message("История", history=True)
    await scenario.insert_message("Ответ", from_community=True)
    database = Database(scenario.database.url("appeals"), 2, name="prefetch")
    try:
        while await number_committed_events(scenario.appeals.service.database):
            pass
        reached = await prefetch.prefetch_backlog(database, 0)
        assert await prefetch.prefetch_backlog(database, reached) == reached
        async with database.read() as session:
            query = select_messages().where(Message.id.in_(written[BATCH:]))
            messages = list(await session.scalars(query))
            around = await thread_context.ThreadContext.load(session, messages)
            asked = {around.classifier_input(message) for message in messages}
    finally:
        await database.close()
    assert set(read) == asked
    assert len(read) == len(asked) == 20
