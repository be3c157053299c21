"""OK discussions: closed, removed and edited content is found by polls and scans."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from services.ingest.networks.ok.reading import discussion_reader
from services.ingest.networks.ok.reading.topic_poll import TopicPoller
from services.ingest.networks.port import NetworkAdapter, PageRef
from shared import clock
from tests.conftest import TestDatabase
from tests.integration.ingest.conftest import Connected, Emulator, connected, without_limits
from tests.support.eventually import eventually


async def _row(system: Connected, condition: str, *values: Any) -> Any:
    async def look() -> Any:
        return await system.raw_connection.fetchrow(f"SELECT * FROM messages WHERE {condition}", *values)

    return await eventually(look)


async def _source(system: Connected, condition: str, *values: Any) -> Any:
    async def look() -> Any:
        return await system.raw_connection.fetchrow(f"SELECT * FROM sources WHERE {condition}", *values)

    return await eventually(look)


def _network(system: Connected) -> NetworkAdapter:
    runtime = system.worker._runtime
    assert runtime is not None
    return runtime.networks["ok"]


async def _page(system: Connected, page: str) -> PageRef:
    async def known() -> PageRef | None:
        runtime = system.worker._runtime
        return None if runtime is None else runtime.token_pool.page("ok", page)

    return await eventually(known)


async def _walked(
    system: Connected, page: PageRef, since: datetime, cursor: Mapping[str, Any] | None = None
) -> list[tuple[set[str], Mapping[str, Any], float]]:
    return [
        ({f"{item.kind} {item.external_id}" for item in one.batch.items}, one.cursor, one.progress)
        async for one in _network(system).scan(page, since, cursor or {})
    ]


def _written(ok: Emulator, page: str) -> set[str]:
    """Write topics, a discussion of several pages, replies and chats; return kind and external id of each text."""
    names = set()
    for n in range(3):
        topic = ok.citizen(page, f"Тема {n} {uuid4()}", "wall_post")
        names.add(f"wall_post {topic['id']}")
        for number in range(130 if n == 1 else 2):
            comment = ok.citizen(page, f"Комментарий {number} {uuid4()}", thread=str(topic["id"]))
            names.add(f"comment {topic['id']}/{comment['id']}")
        reply = ok.citizen(page, f"Ответ {uuid4()}", thread=str(topic["id"]), in_reply_to=comment["id"])
        names.add(f"comment {topic['id']}/{reply['id']}")
    for n in range(2):
        for number in range(3):
            sent = ok.citizen(page, f"Письмо {number} {uuid4()}", "message", author=f"70000{n}")
            chat = sent["thread"] if str(sent["thread"]).startswith("chat:") else f"chat:{sent['thread']}"
            mid = sent["id"] if str(sent["id"]).startswith("mid:") else f"mid:{sent['id']}"
            names.add(f"message {chat}/{mid}")
    return names


async def test_ok_scan_finds_all_items_and_resumes_from_any_step(
    ok: Emulator, database: TestDatabase, keys_dir: Path
) -> None:
    page = ok.page("ok_walked")
    other = ok.page("ok_not_walked")
    written = _written(ok, page)
    ok.citizen(other, "В чужой группе", "wall_post")
    # The scans make a hundred calls, which the usual limits would spread over many seconds.
    unlimited = without_limits(ok, "calls_per_second", "bot_calls_per_second")
    async with unlimited, connected(database, keys_dir, ok_api_url=ok.url, ok_calls_per_second="100") as system:
        await system.connect_page("ok", ok, page)
        await _row(system, "kind = 'comment'")
        await _row(system, "kind = 'message'")  # wait until tokens of both kinds are loaded
        ref = await _page(system, page)
        since = clock.now() - timedelta(days=2)
        steps = await _walked(system, ref, since)
        found = set().union(*(names for names, _, _ in steps))
        assert written <= found
        own = {name for name in found - written if name.startswith("wall_post")}
        assert found - written == own, "besides what was written only the group's own topics may be found"
        shares = [share for _, _, share in steps]
        assert shares[-1] == 1.0
        assert all(0 <= share <= 1 for share in shares)
        for cut in range(len(steps)):
            before = set().union(*(names for names, _, _ in steps[: cut + 1]))
            after = await _walked(system, ref, since, steps[cut][1])
            assert before | set().union(*(names for names, _, _ in after)) == found, steps[cut][1]
        assert [
            names for names, _, _ in await _walked(system, ref, clock.now() + timedelta(hours=1)) if names
        ] == []


async def test_removed_comments_and_topics_are_marked_and_texts_kept(
    ok: Emulator, database: TestDatabase, keys_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discussion_reader, "RECENT", timedelta(0))
    page = ok.page("ok_removed")
    async with connected(database, keys_dir, ok_api_url=ok.url, ok_topic_poll_seconds="1") as system:
        await system.connect_page("ok", ok, page)
        topic = str(ok.citizen(page, f"Тема {uuid4()}", "wall_post")["id"])
        stays, goes = (ok.citizen(page, f"{n} {uuid4()}", thread=topic) for n in range(2))
        for one in (stays, goes):
            await _row(system, "external_id = $1", f"{topic}/{one['id']}")
        ok.post("delete", page=page, id=goes["id"], by="author")
        row = await _row(system, "external_id = $1 AND deleted_at IS NOT NULL", f"{topic}/{goes['id']}")
        assert (row["deleted_by"], row["text"][0]) == ("unknown", "1")
        ok.post("edit", page=page, id=topic, kind="wall_post", text="Тема исправлена")
        await _row(system, "external_id = $1 AND text = 'Тема исправлена'", topic)
        row = await system.stored(f"{topic}/{stays['id']}")
        assert row is not None
        assert row["deleted_at"] is None
        ok.post("delete", page=page, id=topic, kind="wall_post", by="community")
        row = await _row(system, "external_id = $1 AND deleted_at IS NOT NULL", topic)
        assert (row["deleted_by"], row["text"]) == ("unknown", "Тема исправлена")
        await _row(system, "external_id = $1 AND deleted_at IS NOT NULL", f"{topic}/{stays['id']}")


async def test_comments_that_the_api_hides_are_not_marked_removed(
    ok: Emulator, database: TestDatabase, keys_dir: Path
) -> None:
    page = ok.page("ok_shows_fewer")
    async with connected(database, keys_dir, ok_api_url=ok.url, ok_topic_poll_seconds="1") as system:
        page_id = await system.connect_page("ok", ok, page)
        topic = str(ok.citizen(page, f"Тема {uuid4()}", "wall_post")["id"])
        names = [f"{topic}/{ok.citizen(page, f'{n} {uuid4()}', thread=topic)['id']}" for n in range(12)]
        for name in names:
            await _row(system, "external_id = $1", name)
        ok.post("page", page=page, comments_share=0.1)
        now = datetime.now(UTC)
        for _ in range(2):
            source = "kind = 'topics_poll' AND page_id = $1 AND last_success_at > $2"
            now = (await _source(system, source, page_id, now))["last_success_at"]
        assert (
            await system.raw_connection.fetchval("SELECT count(*) FROM messages WHERE deleted_at IS NOT NULL") == 0
        )


async def test_closed_group_shows_reason_and_recovers(
    ok: Emulator, database: TestDatabase, keys_dir: Path
) -> None:
    closed, open_ = ok.page("ok_closed"), ok.page("ok_open")
    settings = {"ok_api_url": ok.url, "ok_topic_poll_seconds": "1", "ok_closed_retry_seconds": "2"}
    async with connected(database, keys_dir, **settings) as system:
        closed_id = await system.connect_page("ok", ok, closed)
        await system.connect_page("ok", ok, open_)
        before = f"До {uuid4()}"
        ok.citizen(closed, before)
        await _row(system, "text = $1", before)
        ok.post("page", page=closed, deactivated=True)
        row = await _source(
            system,
            "page_id = $1 AND kind = 'topics_poll' AND consecutive_failures > 0 AND last_error LIKE 'Группа%'",
            closed_id,
        )
        assert "закрыта для владельца ключа" in row["last_error"]
        for n in range(2):
            text = f"В открытой {n} {uuid4()}"
            ok.citizen(open_, text)
            await _row(system, "text = $1", text)
        ok.post("page", page=closed, deactivated=False)
        after = f"После {uuid4()}"
        ok.citizen(closed, after)
        await _row(system, "text = $1", after)
        await _source(system, "page_id = $1 AND kind = 'topics_poll' AND consecutive_failures = 0", closed_id)


async def test_unreadable_discussion_does_not_block_other_discussions(
    ok: Emulator, database: TestDatabase, keys_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def idle(_poller: TopicPoller) -> None:
        await asyncio.Event().wait()

    # Stop the other reader of comments, which would use up the injected faults at times.
    monkeypatch.setattr(TopicPoller, "run", idle)
    page = ok.page("ok_refused")
    settings = {"ok_api_url": ok.url, "ok_closed_retry_seconds": "2"}
    async with connected(database, keys_dir, **settings) as system:
        page_id = await system.connect_page("ok", ok, page)
        first = f"До {uuid4()}"
        ok.citizen(page, first)
        await _row(system, "text = $1", first)
        ok.post("faults", kind="error", code=458, next=1, method="discussions.getComments")
        texts = [f"Под темой {n} {uuid4()}" for n in range(3)]
        for text in texts:
            topic = str(ok.citizen(page, f"Тема {uuid4()}", "wall_post")["id"])
            ok.citizen(page, text, thread=topic)
        for text in texts:
            await _row(system, "text = $1", text)
        closed = "page_id = $1 AND kind = 'discussions_poll' AND last_error LIKE '%приватности%'"
        row = await _source(system, closed, page_id)
        assert "ошибка 458" in row["last_error"]
        await _source(system, f"{closed} AND consecutive_failures = 0", page_id)


async def test_comment_time_without_milliseconds_is_moscow_time_and_deleted_author_is_kept(
    ok: Emulator, database: TestDatabase, keys_dir: Path
) -> None:
    page = ok.page("ok_dates")
    ok.post("settings", comment_date_ms=False)
    try:
        async with connected(database, keys_dir, ok_api_url=ok.url) as system:
            await system.connect_page("ok", ok, page)
            text = f"Где автобус? {uuid4()}"
            written = ok.citizen(page, text, author="560000000077")
            ok.post("person", author="560000000077", state="deleted")
            row = await _row(system, "text = $1", text)
            assert abs(row["written_at"] - datetime.now(UTC)) < timedelta(minutes=10)
            assert row["external_id"] == f"{written['thread']}/{written['id']}"
            assert row["author_key"] is not None
    finally:
        ok.post("settings", comment_date_ms=True)
