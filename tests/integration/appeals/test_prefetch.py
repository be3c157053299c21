"""Messages behind the batch under way are judged before their turn, exactly as they will be asked for."""

import pytest

from services.appeals.classification.classifier_pool import Item, judging
from services.appeals.inbound import prefetch, thread_context
from shared.database.sessions import Database
from shared.events.consumer import BATCH
from shared.events.relay import number_committed
from shared.tables.ingest import Message
from tests.integration.appeals.conftest import World


async def test_what_is_judged_ahead_is_what_is_asked_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Item] = []

    async def remember(items: list[Item]) -> None:
        read.extend(items)

    monkeypatch.setattr(judging(), "judge_ahead", remember)
    numbers = range(BATCH + 20)
    written = [await world.insert_message(f"Где школа {n}?", author=f"a{n}", thread=f"t{n}") for n in numbers]
    await world.insert_message("История", history=True)
    await world.insert_message("Ответ", from_community=True)
    database = Database(world.database.url("appeals"), 2, name="ahead")
    try:
        while await number_committed(world.appeals.service.database):
            pass
        reached = await prefetch.read_on(database, 0)
        assert await prefetch.read_on(database, reached) == reached
        async with database.read() as session:
            query = thread_context.messages_query().where(Message.id.in_(written[BATCH:]))
            messages = list(await session.scalars(query))
            around = await thread_context.Around.load(session, messages)
            asked = {around.item(message) for message in messages}
    finally:
        await database.close()
    assert set(read) == asked
    assert len(read) == len(asked) == 20
