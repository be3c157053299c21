"""Replies are published exactly once despite lost, repeated and rejected calls."""

import json
import re
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.conftest import TestDatabase
from tests.integration.ingest.conftest import Connected, Emulator, connected
from tests.support.eventually import eventually

METHODS = {
    ("vk", "comment"): "wall.createComment",
    ("vk", "message"): "messages.send",
    ("ok", "comment"): "discussions.addDiscussionComment",
    ("ok", "message"): "graph.user.messages.post",
}


@pytest.fixture
def emulator(request: pytest.FixtureRequest) -> Emulator:
    """The emulator named by the test's parameter `network`."""
    found: Emulator = request.getfixturevalue(request.node.callspec.params["network"])
    return found


def url(network: str, emulator: Emulator) -> dict[str, str]:
    """Return the setting with the emulator's address."""
    return {f"{network}_api_url": emulator.url}


async def question(system: Connected, emulator: Emulator, page: str, kind: str) -> UUID:
    """Write a citizen's question and wait until it is stored; return the message's id."""
    text = f"Вопрос {uuid4()}"
    emulator.citizen(page, text, kind)

    async def look() -> Any:
        return await system.raw_connection.fetchval("SELECT id FROM messages WHERE text = $1", text)

    found: UUID = await eventually(look)
    return found


async def ended(system: Connected, publication_id: str) -> dict[str, Any]:
    """Wait until the publication is published or failed; return it."""

    async def look() -> dict[str, Any] | None:
        found = await system.publication(publication_id)
        return found if found["status"] in {"published", "failed"} else None

    return await eventually(look)


async def linked(system: Connected, publication: dict[str, Any]) -> Any:
    """Wait until the published comment is read back and linked; return it."""

    async def look() -> Any:
        return await system.raw_connection.fetchval(
            "SELECT external_id FROM messages WHERE publication_id = $1", UUID(publication["id"])
        )

    return await eventually(look)


@pytest.mark.parametrize(("network", "kind"), METHODS)
@pytest.mark.parametrize(
    "fault",
    [
        "lost_response",
        *(pytest.param(kind, marks=pytest.mark.long) for kind in ("truncated", "wrong_json", "drop")),
    ],
)
async def test_reply_with_lost_call_is_published_once(
    emulator: Emulator, database: TestDatabase, keys_dir: Path, *, network: str, kind: str, fault: str
) -> None:
    page = emulator.page(f"lost_{kind}_{fault}")
    async with connected(database, keys_dir, **url(network, emulator)) as system:
        await system.connect_page(network, emulator, page)
        message = await question(system, emulator, page, kind)
        emulator.post("faults", kind=fault, next=1, method=METHODS[network, kind])
        asked = await system.answer(message, "Ответ, который потерялся")
        done = await ended(system, asked["id"])
        assert done["status"] == "published"
        assert [shown["text"] for shown in emulator.answers(page)] == ["Ответ, который потерялся"]
        assert await linked(system, done) == done["external_id"]
        assert len(await system.events("publication.published")) == 1


@pytest.mark.long
@pytest.mark.parametrize(("network", "kind"), METHODS)
async def test_reply_requested_twice_is_published_once(
    emulator: Emulator, database: TestDatabase, keys_dir: Path, network: str, kind: str
) -> None:
    page = emulator.page(f"twice_{kind}")
    async with connected(database, keys_dir, **url(network, emulator)) as system:
        await system.connect_page(network, emulator, page)
        message = await question(system, emulator, page, kind)
        reply = uuid4()
        first, second = [await system.answer(message, "Один раз", reply) for _ in range(2)]
        assert first["id"] == second["id"]
        other = {"reply_id": str(reply), "message_id": str(message), "text": "Другое", "on_behalf_of": "x"}
        refused = await system.ingest.client.post(
            "/internal/publications", json=other, headers=system.ingest.service_headers("appeals")
        )
        assert refused.status_code == 422
        done = await ended(system, first["id"])
        assert done["status"] == "published"
        await linked(system, done)
        assert [shown["text"] for shown in emulator.answers(page)] == ["Один раз"]


@pytest.mark.parametrize("network", ["vk", "ok"])
async def test_reply_to_deleted_comment_is_posted_to_thread(
    emulator: Emulator, database: TestDatabase, keys_dir: Path, network: str
) -> None:
    page = emulator.page("deleted_target")
    async with connected(database, keys_dir, **url(network, emulator)) as system:
        await system.connect_page(network, emulator, page)
        message = await question(system, emulator, page, "comment")
        external_id = await system.raw_connection.fetchval(
            "SELECT external_id FROM messages WHERE id = $1", message
        )
        emulator.post("delete", page=page, id=re.split("[_/]", external_id)[-1], by="author")
        await system.raw_connection.execute("UPDATE messages SET deleted_at = now() WHERE id = $1", message)
        done = await ended(system, (await system.answer(message, "Починим"))["id"])
        assert done["status"] == "published", done["failure"]
        (shown,) = emulator.answers(page)
        assert (shown["text"], shown["in_reply_to"]) == ("Починим", None)
        thread = await system.raw_connection.fetchval("SELECT thread_key FROM messages WHERE id = $1", message)
        assert thread.endswith(str(shown["thread"]))


@pytest.mark.parametrize(("network", "kind"), [("vk", "comment"), ("ok", "comment"), ("vk", "message")])
async def test_replies_of_one_thread_are_published_in_order(
    emulator: Emulator, database: TestDatabase, keys_dir: Path, network: str, kind: str
) -> None:
    page = emulator.page(f"order_{kind}")
    async with connected(database, keys_dir, **url(network, emulator)) as system:
        await system.connect_page(network, emulator, page)
        message = await question(system, emulator, page, kind)
        emulator.post("faults", kind="lost_response", next=1, method=METHODS[network, kind])
        expected = [f"Ответ {number}" for number in range(4)]
        asked = [await system.answer(message, text) for text in expected]
        for one in asked:
            assert (await ended(system, one["id"]))["status"] == "published"
        assert [shown["text"] for shown in emulator.answers(page)] == expected


@pytest.mark.parametrize(
    ("network", "kind", "code"),
    [("vk", "comment", 213), ("vk", "comment", 222), ("vk", "message", 901), ("ok", "comment", 454)],
)
async def test_permanent_rejection_has_message_and_can_be_retried(
    emulator: Emulator, database: TestDatabase, keys_dir: Path, *, network: str, kind: str, code: int
) -> None:
    page = emulator.page(f"refused_{kind}_{code}")
    async with connected(database, keys_dir, **url(network, emulator)) as system:
        await system.connect_page(network, emulator, page)
        message = await question(system, emulator, page, kind)
        emulator.post("faults", kind="error", next=1, code=code, method=METHODS[network, kind])
        asked = await system.answer(message, "Попробуем")
        done = await ended(system, asked["id"])
        assert done["status"] == "failed"
        assert done["failure"]["code"] == f"{network}:{code}"
        assert done["failure"]["final"] is True
        assert any("а" <= letter <= "я" for letter in done["failure"]["message"])
        assert emulator.answers(page) == []
        (event,) = await system.events("publication.failed")
        assert str(event["subject_id"]) == asked["id"]
        # A retry waits until the timeout of the rejected call is over.
        await system.raw_connection.execute(
            "UPDATE publications SET sending_since = sending_since - interval '10 minutes'"
        )
        again = await system.ingest.client.post(
            f"/internal/publications/{asked['id']}/retry", headers=system.ingest.service_headers("appeals")
        )
        assert again.status_code == 202, again.text
        assert (await ended(system, asked["id"]))["status"] == "published"
        assert len(emulator.answers(page)) == 1
        twice = await system.ingest.client.post(
            f"/internal/publications/{asked['id']}/retry", headers=system.ingest.service_headers("appeals")
        )
        assert twice.status_code == 409


@pytest.mark.parametrize(("network", "kind"), METHODS)
async def test_too_long_text_is_published_in_parts(
    emulator: Emulator, database: TestDatabase, keys_dir: Path, network: str, kind: str
) -> None:
    page = emulator.page(f"too_long_{kind}")
    text = "Отвечаем по порядку, чтобы ничего не забыть. " * 200
    async with connected(database, keys_dir, **url(network, emulator)) as system:
        await system.connect_page(network, emulator, page)
        message = await question(system, emulator, page, kind)
        asked = await system.answer(message, text)

        async def emitted() -> Any:
            return await system.events("publication.published")

        (event,) = await eventually(emitted)
        first = await system.publication(asked["id"])
        answers = [shown["text"] for shown in emulator.answers(page)]
        assert len(answers) == first["parts"] > 1
        assert " ".join(answers).split() == text.split()
        data = json.loads(event["data"])
        assert (str(event["subject_id"]), data["url"]) == (asked["id"], first["url"])


@pytest.mark.long
async def test_transient_rejection_is_shown_and_retried(
    vk: Emulator, database: TestDatabase, keys_dir: Path
) -> None:
    page = vk.page("slower")
    async with connected(database, keys_dir, vk_api_url=vk.url) as system:
        await system.connect_page("vk", vk, page)
        message = await question(system, vk, page, "comment")
        vk.post("faults", kind="error", next=2, code=6, method="wall.createComment")
        asked = await system.answer(message, "Со второго раза")

        async def refused() -> dict[str, Any] | None:
            found = await system.publication(asked["id"])
            return found if found["failure"] else None

        shown = await eventually(refused)
        assert shown["failure"]["final"] is False
        done = await ended(system, asked["id"])
        assert (done["status"], done["attempts"]) == ("published", 3)
        assert len(vk.answers(page)) == 1


@pytest.mark.parametrize(("network", "kind"), METHODS)
async def test_staff_reply_is_not_matched_to_a_publication(
    emulator: Emulator, database: TestDatabase, keys_dir: Path, network: str, kind: str
) -> None:
    page = emulator.page(f"hand_{kind}")
    async with connected(database, keys_dir, **url(network, emulator)) as system:
        await system.connect_page(network, emulator, page)
        written = emulator.citizen(page, "Есть вопрос", kind)
        emulator.post("community", page=page, thread=written["thread"], text="Ответили сами")

        async def look() -> Any:
            return await system.raw_connection.fetchrow("SELECT * FROM messages WHERE text = 'Ответили сами'")

        row = await eventually(look)
        assert row["from_community"]
        assert row["publication_id"] is None
        # A message written later is stored: the page has been read again.
        await question(system, emulator, page, kind)
        assert (
            await system.raw_connection.fetchval("SELECT count(*) FROM messages WHERE text = 'Ответили сами'") == 1
        )
        assert await system.events("publication.published") == []
