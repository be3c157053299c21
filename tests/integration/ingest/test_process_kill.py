"""Messages and replies survive kill -9 of the ingest process without loss or duplicates."""

import asyncio
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from tests.conftest import TestDatabase
from tests.integration.ingest.conftest import KEYS, Connected, Emulator
from tests.integration.ingest.worker_process import worker_process
from tests.support.eventually import eventually
from tests.support.service_under_test import CLIENT_LIMITS, insert_organisation, service_under_test

TEXTS = 40

pytestmark = pytest.mark.long


@pytest.fixture
async def raw_connection(database: TestDatabase) -> Any:
    """A direct connection to the database."""
    connection = await database.connect()
    yield connection
    await connection.close()


async def _feed(emulator: Emulator, texts: list[str]) -> None:
    rows = "text\n" + "\n".join(f'"{text}"' for text in texts)
    async with httpx.AsyncClient(base_url=emulator.url, timeout=60, limits=CLIENT_LIMITS) as control:
        answer = await control.post("/_control/feed", content=rows.encode(), headers={"content-type": "text/csv"})
    assert answer.json()["accepted"] == len(texts), answer.text


async def test_repeated_kills_neither_lose_nor_duplicate_messages(
    vk: Emulator, ok: Emulator, database: TestDatabase, keys_dir: Path, raw_connection: asyncpg.Connection
) -> None:
    organisation = await insert_organisation(database)
    emulators = {"vk": vk, "ok": ok}
    async with service_under_test("ingest", database, keys_dir, process="api", **KEYS) as ingest:
        system = Connected(ingest, database, raw_connection, organisation)
        for network, emulator in emulators.items():
            for number in range(3):
                await system.connect_page(network, emulator, emulator.page(f"crash_{network}_{number}"))
        texts = {name: [f"Текст {name} {n} {uuid4()}" for n in range(TEXTS)] for name in emulators}
        with worker_process(database, keys_dir, vk_api_url=vk.url, ok_api_url=ok.url) as process:
            for part in range(4):
                for name, emulator in emulators.items():
                    await _feed(emulator, texts[name][part::4])
                await asyncio.sleep(0.4 * part)  # kills at different moments
                process.kill()
                process.start()

            async def complete() -> bool:
                expected = [text for many in texts.values() for text in many]
                found = await raw_connection.fetch(
                    "SELECT text FROM messages WHERE text = ANY($1::text[])", expected
                )
                return sorted(row["text"] for row in found) == sorted(expected)

            await eventually(complete)
        assert await raw_connection.fetchval("SELECT count(*) FROM quarantine") == 0


@pytest.mark.parametrize("network", ["vk", "ok"])
@pytest.mark.parametrize("kind", ["comment", "message"])
async def test_reply_in_flight_at_kill_is_published_once(
    vk: Emulator,
    ok: Emulator,
    database: TestDatabase,
    keys_dir: Path,
    raw_connection: asyncpg.Connection,
    *,
    network: str,
    kind: str,
) -> None:
    emulator = {"vk": vk, "ok": ok}[network]
    page = emulator.page(f"flight_{network}_{kind}")
    organisation = await insert_organisation(database)
    async with service_under_test("ingest", database, keys_dir, process="api", **KEYS) as ingest:
        system = Connected(ingest, database, raw_connection, organisation)
        await system.connect_page(network, emulator, page)
        with worker_process(database, keys_dir, vk_api_url=vk.url, ok_api_url=ok.url) as process:
            text = f"Вопрос {uuid4()}"
            emulator.citizen(page, text, kind)

            async def asked() -> Any:
                return await raw_connection.fetchval("SELECT id FROM messages WHERE text = $1", text)

            message: UUID = await eventually(asked)
            # The network executes the call at once and responds only after the kill.
            emulator.post("faults", kind="slow", next=1, seconds=2.5, method=_method(network, kind))
            publication = await system.answer(message, "Ответ в полёте")

            async def out() -> bool:
                return bool(emulator.answers(page))

            await eventually(out)
            process.kill()
            status = await raw_connection.fetchval("SELECT status FROM publications")
            assert status in {"sending", "published"}  # `published` if push delivered the comment before the kill
            process.start()

            async def done() -> bool:
                row = await raw_connection.fetchrow("SELECT * FROM publications")
                return row is not None and row["status"] == "published"

            await eventually(done, "the publication")
            # A later reply in the same queue is published, so the first reply does not block it.
            await system.answer(message, "Второй ответ")

            async def second() -> bool:
                return "Второй ответ" in [shown["text"] for shown in emulator.answers(page)]

            await eventually(second, "the second reply")
        assert sorted(shown["text"] for shown in emulator.answers(page)) == ["Второй ответ", "Ответ в полёте"]
        linked = await raw_connection.fetchval(
            "SELECT count(*) FROM messages WHERE publication_id = $1", UUID(publication["id"])
        )
        assert linked == 1
        published = [event["subject_id"] for event in await system.events("publication.published")]
        assert published.count(UUID(publication["id"])) == 1


@pytest.mark.parametrize(
    ("network", "method"), [("vk", "wall.editComment"), ("ok", "discussions.editDiscussionComment")]
)
async def test_edit_in_flight_at_kill_is_made_once(
    vk: Emulator,
    ok: Emulator,
    database: TestDatabase,
    keys_dir: Path,
    raw_connection: asyncpg.Connection,
    *,
    network: str,
    method: str,
) -> None:
    emulator = {"vk": vk, "ok": ok}[network]
    page = emulator.page(f"edit_{network}")
    organisation = await insert_organisation(database)
    async with service_under_test("ingest", database, keys_dir, process="api", **KEYS) as ingest:
        system = Connected(ingest, database, raw_connection, organisation)
        await system.connect_page(network, emulator, page)
        with worker_process(database, keys_dir, vk_api_url=vk.url, ok_api_url=ok.url) as process:
            text = f"Вопрос {uuid4()}"
            emulator.citizen(page, text)

            async def asked() -> Any:
                return await raw_connection.fetchval("SELECT id FROM messages WHERE text = $1", text)

            message: UUID = await eventually(asked)
            publication = await system.answer(message, "Начнём в среду")

            async def published() -> bool:
                return bool(await raw_connection.fetchval("SELECT status FROM publications") == "published")

            await eventually(published, "the publication")
            # The network executes the call at once and responds only after the kill.
            emulator.post("faults", kind="slow", next=1, seconds=2.5, method=method)
            answer = await ingest.client.post(
                f"/internal/publications/{publication['id']}/changes",
                json={"id": str(uuid4()), "text": "Начнём в четверг", "on_behalf_of": "someone"},
                headers=ingest.service_headers("appeals"),
            )
            assert answer.status_code == 201, answer.text

            async def out() -> bool:
                return [shown["text"] for shown in emulator.answers(page)] == ["Начнём в четверг"]

            await eventually(out, "the edit")
            process.kill()
            assert await raw_connection.fetchval("SELECT status FROM publication_changes") == "sending"
            process.start()

            async def done() -> bool:
                return bool(await raw_connection.fetchval("SELECT status FROM publication_changes") == "done")

            await eventually(done, "the end of the edit")
        assert await out()
        assert await raw_connection.fetchval("SELECT attempts FROM publication_changes") == 1
        assert len(await system.events("publication.edited")) == 1


def _method(network: str, kind: str) -> str:
    if network == "vk":
        return "messages.send" if kind == "message" else "wall.createComment"
    return "graph.user.messages.post" if kind == "message" else "discussions.addDiscussionComment"
