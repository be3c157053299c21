"""OK webhooks: pushed messages are stored and subscriptions are monitored."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from services.ingest.networks.ok.reading import chats
from tests.conftest import TestDatabase
from tests.integration.ingest.conftest import Connected, Emulator, connected
from tests.integration.ingest.http_forwarder import HttpForwarder, running_forwarder
from tests.support.eventually import eventually


@pytest.fixture
async def forwarder() -> AsyncIterator[HttpForwarder]:
    """The forwarder of pushed events from the emulator to the service."""
    async with running_forwarder() as forwarder:
        yield forwarder


def _subscribed(ok: Emulator, page: str) -> list[str]:
    items = ok.control.get("/_control/subscriptions", params={"page": page}).json()["items"]
    return [str(item["url"]) for item in items]


def _bot_token(ok: Emulator, page: str) -> str:
    return next(str(one["token"]) for one in ok.tokens() if one["kind"] == "group" and str(one["page"]) == page)


def _subscribe(ok: Emulator, page: str, url: str) -> None:
    answer = httpx.post(
        f"{ok.url}/graph/me/subscribe", params={"access_token": _bot_token(ok, page)}, json={"url": url}
    )
    assert answer.json() == {"success": True}


async def _state(system: Connected, expected: str) -> Any:
    async def look() -> Any:
        return await system.raw_connection.fetchrow(
            "SELECT * FROM callback_registrations WHERE state = $1", expected
        )

    return await eventually(look)


async def _row(system: Connected, text: str) -> Any:
    async def look() -> Any:
        return await system.raw_connection.fetchrow("SELECT * FROM messages WHERE text = $1", text)

    return await eventually(look)


async def _polled(system: Connected) -> None:
    """Wait for the next successful poll of the chats."""
    last = "SELECT last_success_at FROM sources WHERE kind = 'chats_poll'"
    before = await system.raw_connection.fetchval(last)

    async def again() -> bool:
        return bool(await system.raw_connection.fetchval(last) != before)

    await eventually(again)


async def test_message_pushed_and_polled_is_stored_once(
    ok: Emulator, database: TestDatabase, keys_dir: Path, forwarder: HttpForwarder
) -> None:
    page = ok.page("ok_pushed")
    settings = {"ok_api_url": ok.url, "callbacks_url": forwarder.url, "ok_chat_poll_with_push_seconds": "3"}
    async with connected(database, keys_dir, **settings) as system:
        forwarder.target = system.ingest.client
        await system.connect_page("ok", ok, page)
        await _state(system, "active")
        (url,) = _subscribed(ok, page)
        assert url.startswith(f"{forwarder.url}/callbacks/ok/")
        ok.post("faults", kind="duplicate", rate=1, method="webhook")
        texts = [f"Сообщение {n} {uuid4()}" for n in range(5)]
        for text in texts:
            ok.citizen(page, text, "message")
        for text in texts:
            await _row(system, text)
        for _ in range(2):
            await _polled(system)
        rows = await system.raw_connection.fetch("SELECT text, source_kind FROM messages WHERE kind = 'message'")
        assert sorted(row["text"] for row in rows) == sorted(texts)
        assert "callback" in {row["source_kind"] for row in rows}
        received = [row for row in await system.events("message.received") if '"message"' in str(row["data"])]
        assert len(received) == len(texts)
        kept = await system.raw_connection.fetchrow("SELECT * FROM callback_registrations")
        assert kept["last_event_at"] is not None
        assert url.rpartition("/")[2].encode() not in kept["secret"] + kept["digest"].encode()


async def test_lost_subscription_is_restored_without_missed_messages(
    ok: Emulator, database: TestDatabase, keys_dir: Path, forwarder: HttpForwarder
) -> None:
    page = ok.page("ok_dropped")
    foreign = f"{forwarder.url}/somebody/else"
    settings = {"ok_api_url": ok.url, "callbacks_url": forwarder.url, "ok_subscription_check_seconds": "2"}
    async with connected(database, keys_dir, **settings) as system:
        forwarder.target = system.ingest.client
        await system.connect_page("ok", ok, page)
        await _state(system, "active")
        (ours,) = _subscribed(ok, page)
        assert ok.post("subscriptions", page=page, drop=True) == {"dropped": 1}
        _subscribe(ok, page, foreign)
        text = f"Без подписки {uuid4()}"
        ok.citizen(page, text, "message")

        async def back() -> bool:
            return set(_subscribed(ok, page)) == {ours, foreign}

        await eventually(back)
        await _row(system, text)
        assert await system.raw_connection.fetchval("SELECT count(*) FROM messages WHERE kind = 'message'") == 1


async def test_polling_detects_failed_push(
    ok: Emulator, database: TestDatabase, keys_dir: Path, forwarder: HttpForwarder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chats, "PUSH_GRACE_MS", 500)
    page = ok.page("ok_silent")
    settings = {
        "ok_api_url": ok.url,
        "callbacks_url": forwarder.url,
        "ok_chat_poll_with_push_seconds": "3",
        "ok_chat_poll_seconds": "3",  # no more often after new messages, which push delivers first
        "ok_subscription_check_seconds": "6",
    }
    async with connected(database, keys_dir, **settings) as system:
        forwarder.target = system.ingest.client
        await system.connect_page("ok", ok, page)
        await _state(system, "active")
        first = f"Первое {uuid4()}"
        ok.citizen(page, first, "message")
        await _row(system, first)
        await _polled(system)
        ok.post("faults", kind="drop", rate=1, method="webhook")

        async def look() -> Any:
            # Which messages count as missed by push depends on the moment of the poll.
            text = f"Потерянное {uuid4()}"
            ok.citizen(page, text, "message")
            await _row(system, text)
            return await system.raw_connection.fetchrow(
                "SELECT * FROM callback_registrations WHERE state = 'failed'"
            )

        doubted = await eventually(look, "a subscription in doubt", every=0.6)
        assert "опрос" in doubted["reason"]
        await _state(system, "active")


async def test_chats_are_polled_right_after_restart(
    ok: Emulator, database: TestDatabase, keys_dir: Path, forwarder: HttpForwarder
) -> None:
    page = ok.page("ok_restarted")
    settings = {"ok_api_url": ok.url, "callbacks_url": forwarder.url}
    async with connected(database, keys_dir, **settings) as system:
        forwarder.target = system.ingest.client
        await system.connect_page("ok", ok, page)
        await _state(system, "active")
        forwarder.target = None
    (url,) = _subscribed(ok, page)
    ok.post("faults", kind="drop", rate=1, method="webhook")
    text = f"Пока нас не было {uuid4()}"
    ok.citizen(page, text, "message")
    async with connected(database, keys_dir, **settings) as system:
        forwarder.target = system.ingest.client
        row = await _row(system, text)
        assert row["source_kind"] == "chats_poll"
        await _state(system, "active")
        assert _subscribed(ok, page) == [url]


async def test_without_callback_url_no_group_is_subscribed(
    ok: Emulator, database: TestDatabase, keys_dir: Path
) -> None:
    page = ok.page("ok_no_push")
    async with connected(database, keys_dir, ok_api_url=ok.url) as system:
        await system.connect_page("ok", ok, page)
        text = f"Опросом {uuid4()}"
        ok.citizen(page, text, "message")
        row = await _row(system, text)
        assert row["source_kind"] == "chats_poll"
        assert _subscribed(ok, page) == []
