"""Replies are published once with skewed clocks of workers and networks and lost responses."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.conftest import TestDatabase
from tests.integration.ingest.conftest import KEYS, Connected, Emulator, running_emulator
from tests.integration.ingest.worker_process import worker_process
from tests.support.eventually import HANG_SECONDS, eventually
from tests.support.service_under_test import insert_organisation, service_under_test

SKEW = 300
# Timeouts by number of questions; long, because a thread is read again for every lost call.
SECONDS = {20: HANG_SECONDS, 200: 900.0}
# All replies have the same text: only the thread and the answered comment distinguish them.
WORDS = "Здравствуйте! Передали в управляющую компанию, ответим до пятницы."
POSTS = 5
CONCURRENCY = 8
LOSSES = {
    "rate": 0.35,
    "seed": 11,
    "mix": [
        {"kind": "lost_response", "weight": 3},
        {"kind": "drop", "weight": 1},
        {"kind": "wrong_json", "weight": 1},
    ],
}
METHODS = {
    "vk": ["wall.createComment", "messages.send"],
    "ok": ["discussions.addDiscussionComment", "graph.user.messages.post"],
}
# Neither network deduplicates calls: VK is set to store no idempotency keys.
EMULATED = {
    "EMULATOR_IDEMPOTENCY_SECONDS": "0",
    "EMULATOR_USER_PER_SECOND": "100",
    "EMULATOR_CALLS_PER_SECOND": "100",
}


async def questions(network: str, emulator: Emulator, page: str, count: int) -> list[dict[str, Any]]:
    """Write half of the questions under a few posts, half in separate conversations; return them."""
    gate = asyncio.Semaphore(CONCURRENCY)

    async def ask(number: int) -> dict[str, Any]:
        asked: dict[str, Any] = {"kind": "message", "author": str(700_500 + number)}
        if number % 2:
            asked = {"kind": "comment", "thread": posts[number // 2 % POSTS], "author": str(700_900 + number)}
        text = f"Вопрос {network} {number}"
        async with gate:
            written = await asyncio.to_thread(emulator.citizen, page, text, **asked)
        return {**written, "text": text, "kind": asked["kind"]}

    posts = [emulator.post("post", page=page, text=f"Пост {number}")["id"] for number in range(POSTS)]
    return list(await asyncio.gather(*map(ask, range(count))))


async def stored(system: Connected, asked: list[dict[str, Any]]) -> dict[str, UUID]:
    """Wait until all questions are stored; return the message ids by text."""

    async def look() -> dict[str, UUID] | None:
        rows = await system.raw_connection.fetch(
            "SELECT id, text FROM messages WHERE text = ANY($1::text[])", [one["text"] for one in asked]
        )
        return {row["text"]: row["id"] for row in rows} if len(rows) == len(asked) else None

    return await eventually(look, seconds=SECONDS[len(asked)])


async def answered(system: Connected, questions: Iterable[UUID]) -> None:
    """Request all replies, a few at a time, because the API has few connections."""
    gate = asyncio.Semaphore(CONCURRENCY // 2)

    async def ask(question: UUID) -> None:
        async with gate:
            await system.answer(question, WORDS)

    await asyncio.gather(*map(ask, questions))


def places(emulator: Emulator, page: str) -> "Counter[tuple[str, str]]":
    """Return the number of replies by thread and answered comment."""
    return Counter((str(one["thread"]), str(one["in_reply_to"] or "")) for one in emulator.answers(page))


@pytest.mark.parametrize(
    ("ahead", "count"),
    [
        (SKEW, 20),
        *(
            pytest.param(ahead, 200, marks=[pytest.mark.long, pytest.mark.timeout(2_400)])
            for ahead in (SKEW, -SKEW)
        ),
    ],
)
async def test_every_reply_is_published_once_despite_skewed_clocks(
    database: TestDatabase, keys_dir: Path, tmp_path: Path, *, ahead: int, count: int
) -> None:
    def clock(seconds: int) -> dict[str, str]:
        return {"GOSPABLIK_CLOCK_SHIFT_SECONDS": str(seconds)}

    organisation, raw_connection = await insert_organisation(database), await database.connect()
    with (
        running_emulator("vk", tmp_path, **EMULATED, **clock(ahead)) as vk,
        running_emulator("ok", tmp_path, **EMULATED, **clock(-ahead)) as ok,
    ):
        emulators = {"vk": vk, "ok": ok}
        urls = {"vk_api_url": vk.url, "ok_api_url": ok.url, "vk_user_calls_per_second": "40"}
        async with service_under_test("ingest", database, keys_dir, process="api", **KEYS) as ingest:
            system = Connected(ingest, database, raw_connection, organisation)
            pages = {name: emulator.page(f"skew_{name}") for name, emulator in emulators.items()}
            for name, emulator in emulators.items():
                await system.connect_page(name, emulator, pages[name])
            with (
                worker_process(database, keys_dir, **urls, clock_shift_seconds=str(SKEW)),
                worker_process(database, keys_dir, **urls, clock_shift_seconds=str(-SKEW)),
            ):
                expected: dict[str, Counter[tuple[str, str]]] = {}
                for name, emulator in emulators.items():
                    asked = await questions(name, emulator, pages[name], count)
                    expected[name] = Counter(
                        (str(one["thread"]), str(one["id"]) if one["kind"] == "comment" else "") for one in asked
                    )
                    rows = await stored(system, asked)
                    emulator.post("faults", **LOSSES, methods=METHODS[name])
                    await answered(system, rows.values())

                async def published() -> bool:
                    for name, emulator in emulators.items():
                        found = await asyncio.to_thread(places, emulator, pages[name])
                        assert not found - expected[name], "a reply was published twice or in another thread"
                    states = await raw_connection.fetch("SELECT status FROM publications")
                    return Counter(row["status"] for row in states) == {"published": 2 * count}

                await eventually(published, seconds=SECONDS[count])
                assert {name: places(emulator, pages[name]) for name, emulator in emulators.items()} == expected
    await raw_connection.close()
