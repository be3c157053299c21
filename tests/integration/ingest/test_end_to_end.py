"""Messages in and replies out over HTTP with both emulated networks."""

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import TestDatabase
from tests.integration.ingest.conftest import Connected, Emulator, connected
from tests.support.eventually import eventually

KINDS = ["comment", "wall_post", "message"]


def vk_id(page: str, kind: str, written: dict[str, Any]) -> str | None:
    """Return the external id of a VK object from the control API's response."""
    return None if kind == "message" else f"-{page}_{written['id']}"


async def by_text(system: Connected, text: str) -> Any:
    """Return the stored message with this text."""
    return await system.raw_connection.fetchrow("SELECT * FROM messages WHERE text = $1", text)


async def answered(system: Connected, publication_id: str) -> dict[str, Any] | None:
    """Return the publication if it is published or failed, else None."""
    found = await system.publication(publication_id)
    return found if found["status"] in {"published", "failed"} else None


@pytest.mark.parametrize("kind", KINDS)
async def test_vk_message_is_stored_and_reply_is_published(
    vk: Emulator, database: TestDatabase, keys_dir: Path, kind: str
) -> None:
    page = vk.page(f"vk_walk_{kind}")
    async with connected(database, keys_dir, vk_api_url=vk.url) as system:
        page_id = await system.connect_page("vk", vk, page)
        text = f"Когда починят свет? {kind}"
        written = vk.citizen(page, text, kind)
        row = await eventually(lambda: by_text(system, text))
        assert row["page_id"] == page_id
        assert row["kind"] == kind
        assert row["history"] is False
        assert not row["from_community"]
        if kind != "message":
            assert row["external_id"] == vk_id(page, kind, written)
        asked = await system.answer(row["id"], "Починим завтра.")
        done = await eventually(lambda: answered(system, asked["id"]))
        assert done["status"] == "published"
        (shown,) = vk.answers(page)
        assert shown["text"] == "Починим завтра."
        assert shown["thread"] == written["thread"]
        own = await eventually(lambda: by_text(system, "Починим завтра."))
        assert own["from_community"]
        assert str(own["publication_id"]) == asked["id"]
        assert own["external_id"] == done["external_id"]
        assert len(await system.events("publication.published")) == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_ok_message_is_stored_and_reply_is_published(
    ok: Emulator, database: TestDatabase, keys_dir: Path, kind: str
) -> None:
    page = ok.page(f"ok_walk_{kind}")
    async with connected(database, keys_dir, ok_api_url=ok.url) as system:
        page_id = await system.connect_page("ok", ok, page)
        text = f"Автобус не пришёл {kind}"
        written = ok.citizen(page, text, kind)
        row = await eventually(lambda: by_text(system, text))
        assert row["page_id"] == page_id
        assert row["kind"] == kind
        assert row["history"] is False
        expected = written["id"] if kind == "wall_post" else f"{written['thread']}/{written['id']}"
        assert row["external_id"] == expected
        assert row["thread_key"] == f"ok:{written['thread']}"
        asked = await system.answer(row["id"], "Разберёмся.")
        done = await eventually(lambda: answered(system, asked["id"]))
        assert done["status"] == "published"
        (shown,) = ok.answers(page)
        assert shown["text"] == "Разберёмся."
        assert shown["thread"] == written["thread"]
        own = await eventually(lambda: by_text(system, "Разберёмся."))
        assert own["from_community"]
        assert str(own["publication_id"]) == asked["id"]
        assert len(await system.events("publication.published")) == 1
