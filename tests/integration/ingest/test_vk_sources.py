"""VK sources other than long poll: walls, discussions, suggested posts, scans and callback servers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import uvicorn

from cli.embedded.temporary_postgres import free_port
from services.ingest.networks.vk.push import callback_servers
from shared import clock
from tests.conftest import TestDatabase
from tests.integration.ingest.conftest import Connected, Emulator, connected, without_limits
from tests.integration.ingest.vk_adapter import vk_adapter, walk
from tests.support.eventually import eventually


async def _row(system: Connected, condition: str, *values: Any) -> Any:
    async def look() -> Any:
        return await system.raw_connection.fetchrow(f"SELECT * FROM messages WHERE {condition}", *values)

    return await eventually(look)


async def _source(system: Connected, page_id: UUID, source: str, condition: str) -> Any:
    async def look() -> Any:
        return await system.raw_connection.fetchrow(
            f"SELECT * FROM sources WHERE page_id = $1 AND kind = $2 AND {condition}", page_id, source
        )

    return await eventually(look)


def _disable_push(vk: Emulator) -> None:
    """Disable push, so that messages are received only by polling."""
    vk.post("faults", kind="drop", rate=1, method="a_check")


# Emulated networks respond at once; the call budget allows a poll about every two seconds.
POLLED = {"vk_calls_per_day": '{"wall.get": 50000}', "vk_long_poll_wait_seconds": "1"}


async def test_missing_post_is_marked_deleted(
    vk: Emulator, database: TestDatabase, keys_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.ingest.networks.vk.reading.wall_reader.RECENT", timedelta(0))
    page = vk.page("vk_gone")
    _disable_push(vk)
    stays, goes = (vk.citizen(page, f"Запись {n} {uuid4()}", "wall_post") for n in range(2))
    comment = vk.citizen(page, "Комментарий", thread=stays["thread"])
    below = vk.citizen(page, "Под записью, которой не станет", thread=goes["thread"])
    async with connected(database, keys_dir, vk_api_url=vk.url, **POLLED) as system:
        await system.connect_page("vk", vk, page)
        await _row(system, "external_id = $1 AND kind = 'wall_post'", f"-{page}_{goes['id']}")
        for one in (comment, below):
            await _row(system, "external_id = $1 AND kind = 'comment'", f"-{page}_{one['id']}")
        vk.post("delete", page=page, id=goes["id"], by="community", kind="wall_post")
        vk.post("delete", page=page, id=comment["id"], by="author")
        vk.post("edit", page=page, id=stays["id"], text="Исправлено", kind="wall_post")
        row = await _row(system, "external_id = $1 AND deleted_at IS NOT NULL", f"-{page}_{goes['id']}")
        assert row["deleted_by"] == "unknown"
        for one in (comment, below):
            await _row(system, "external_id = $1 AND deleted_at IS NOT NULL", f"-{page}_{one['id']}")
        row = await _row(system, "external_id = $1 AND text = 'Исправлено'", f"-{page}_{stays['id']}")
        assert (row["version"], row["deleted_at"]) == (2, None)


async def test_source_of_a_closed_wall_shows_the_reason_and_recovers(
    vk: Emulator, database: TestDatabase, keys_dir: Path
) -> None:
    page = vk.page("vk_closed_wall")
    _disable_push(vk)
    vk.post("wall", page=page, state="disabled")
    async with connected(database, keys_dir, vk_api_url=vk.url, vk_closed_retry_seconds="1", **POLLED) as system:
        page_id = await system.connect_page("vk", vk, page)
        row = await _source(system, page_id, "wall_poll", "consecutive_failures > 0")
        assert row["last_error"].startswith("Стену прочитать нельзя: стена закрыта")
        vk.post("wall", page=page, state="open")
        post = vk.citizen(page, f"Снова открыто {uuid4()}", "wall_post")
        await _row(system, "external_id = $1", f"-{page}_{post['id']}")
        await _source(system, page_id, "wall_poll", "consecutive_failures = 0")


async def test_board_comments_are_read_and_replied_to(
    vk: Emulator, database: TestDatabase, keys_dir: Path
) -> None:
    page = vk.page("vk_board")
    topic = vk.post("board", page=page, title="Вопросы", text="Спрашивайте")
    _disable_push(vk)
    asked = vk.citizen(page, f"Когда приём? {uuid4()}", thread=topic["thread"])
    async with connected(database, keys_dir, vk_api_url=vk.url, vk_board_poll_seconds="1", **POLLED) as system:
        await system.connect_page("vk", vk, page)
        row = await _row(system, "external_id = $1", f"-{page}_{topic['thread']}_{asked['id']}")
        assert (row["kind"], row["source_kind"]) == ("comment", "board_poll")
        assert row["thread_key"] == f"vk:-{page}_{topic['thread']}"
        assert row["url"] == f"https://vk.com/topic-{page}_{topic['id']}?post={asked['id']}"
        publication = await system.answer(row["id"], "Приём по средам.")

        async def published() -> Any:
            found = await system.publication(publication["id"])
            return found if found["status"] == "published" else None

        found = await eventually(published)
        assert found["external_id"].startswith(f"-{page}_{topic['thread']}_")
        assert [answer["text"] for answer in vk.answers(page)].count("Приём по средам.") == 1
        ours = await _row(system, "external_id = $1", found["external_id"])
        assert ours["publication_id"] == UUID(publication["id"])
        vk.control.delete("/_control/faults")
        pushed = vk.citizen(page, f"А в субботу? {uuid4()}", thread=topic["thread"])
        row = await _row(system, "external_id = $1", f"-{page}_{topic['thread']}_{pushed['id']}")
        vk.post("delete", page=page, id=pushed["id"], thread=topic["thread"], by="author")
        row = await _row(system, "id = $1 AND deleted_at IS NOT NULL", row["id"])
        assert row["deleted_by"] == "unknown"  # in discussions the network does not report who deleted a comment


async def test_suggested_posts_are_stored_and_not_marked_deleted(
    vk: Emulator, database: TestDatabase, keys_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.ingest.networks.vk.reading.wall_reader.RECENT", timedelta(0))
    page = vk.page("vk_suggested")
    _disable_push(vk)
    offered = vk.citizen(page, f"Предлагаю {uuid4()}", "suggested_post")
    later = vk.citizen(page, f"Запись {uuid4()}", "wall_post")
    settings = {"vk_api_url": vk.url, "vk_suggested_post_poll_seconds": "1", **POLLED}
    async with connected(database, keys_dir, **settings) as system:
        await system.connect_page("vk", vk, page)
        row = await _row(system, "external_id = $1", f"-{page}_{offered['id']}")
        assert row["source_kind"] == "suggested_posts_poll"
        await _row(system, "external_id = $1", f"-{page}_{later['id']}")
        vk.post("delete", page=page, id=later["id"], by="community", kind="wall_post")
        await _row(system, "external_id = $1 AND deleted_at IS NOT NULL", f"-{page}_{later['id']}")
        row = await _row(system, "external_id = $1", f"-{page}_{offered['id']}")
        assert row["deleted_at"] is None


async def test_withdrawn_suggested_post_is_marked_deleted(
    vk: Emulator, database: TestDatabase, keys_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.ingest.networks.vk.reading.wall_reader.RECENT", timedelta(0))
    page = vk.page("vk_withdrawn")
    _disable_push(vk)
    stays, withdrawn, published = (
        vk.citizen(page, f"Предлагаю {number} {uuid4()}", "suggested_post") for number in range(3)
    )
    settings = {"vk_api_url": vk.url, "vk_suggested_post_poll_seconds": "1", **POLLED}
    async with connected(database, keys_dir, **settings) as system:
        await system.connect_page("vk", vk, page)
        for one in (stays, withdrawn, published):
            await _row(system, "external_id = $1", f"-{page}_{one['id']}")
        vk.post("delete", page=page, id=withdrawn["id"], by="community", kind="wall_post")
        row = await _row(system, "external_id = $1 AND deleted_at IS NOT NULL", f"-{page}_{withdrawn['id']}")
        assert row["deleted_by"] == "unknown"
        # A published suggestion is another post, with another id.
        post = vk.post("publish_suggested", page=page, id=published["id"])
        row = await _row(system, "external_id = $1", f"-{page}_{post['id']}")
        assert (row["from_community"], row["deleted_at"]) == (True, None)
        await _row(system, "external_id = $1 AND deleted_at IS NOT NULL", f"-{page}_{published['id']}")
        assert (await _row(system, "external_id = $1", f"-{page}_{stays['id']}"))["deleted_at"] is None


async def test_vk_scan_yields_all_items_and_resumes_from_its_cursor(
    vk: Emulator, database: TestDatabase, keys_dir: Path
) -> None:
    page = vk.page("vk_walked")
    topic = vk.post("board", page=page, title="Вопросы", text="Спрашивайте")
    expected = {f"-{page}_{topic['thread']}_{vk.citizen(page, 'В обсуждении', thread=topic['thread'])['id']}"}
    for n in range(12):
        post = vk.citizen(page, f"Запись {n}", "wall_post")
        reply = vk.citizen(page, f"Комментарий {n}", thread=post["thread"])
        expected |= {f"-{page}_{post['id']}", f"-{page}_{reply['id']}"}
    vk.citizen(page, "Сообщение", "message")
    # The scans make a hundred calls, which the usual limits would spread over many seconds.
    unlimited = without_limits(vk, "user_per_second", "group_per_second")
    settings = {"vk_api_url": vk.url, "vk_user_calls_per_second": "100", "vk_group_calls_per_second": "100"}
    async with unlimited, connected(database, keys_dir, **settings) as system:
        page_id = await system.connect_page("vk", vk, page)
        expected.add((await _row(system, "text = $1", "Сообщение"))["external_id"])
        async with vk_adapter(database, system) as (network, accounts):
            ref = next(one for one in accounts.pages("vk") if one.id == page_id)
            since = clock.now() - timedelta(days=1)
            steps = await walk(network, ref, since, {})
            seen = {item.external_id for step in steps for item in step.batch.items}
            assert expected <= seen
            assert [step.progress for step in steps] == sorted(step.progress for step in steps)
            assert steps[-1].progress == 1.0
            # A scan that is stopped and resumed after each step yields the same items.
            for count in range(1, len(steps)):
                before = await walk(network, ref, since, {}, count)
                after = await walk(network, ref, since, before[-1].cursor)
                again = {item.external_id for step in before + after for item in step.batch.items}
                assert expected <= again, count
            late = await walk(network, ref, clock.now() + timedelta(hours=1), {})
            assert [item for step in late for item in step.batch.items] == []
            assert ref.go_live_at < datetime.now(UTC)


@asynccontextmanager
async def _served(system: Connected, port: int) -> AsyncIterator[None]:
    """Serve ingest's app over HTTP on this port, so that the emulator can reach it."""
    app: Any = system.ingest.client._transport.app  # type: ignore[attr-defined]
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, lifespan="off", log_level="warning"))
    task = asyncio.create_task(server.serve())
    try:
        yield
    finally:
        server.should_exit = True
        await task


def _servers(vk: Emulator, page: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = vk.control.get("/_control/callbacks", params={"page": page}).json()["servers"]
    return found


async def test_callback_servers_are_created_monitored_and_repaired(
    vk: Emulator, database: TestDatabase, keys_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callback_servers, "RECHECK_SECONDS", 1.0)
    page, port = vk.page("vk_callback"), free_port()
    settings = {
        "vk_api_url": vk.url,
        "vk_push": "callback",
        "callbacks_url": f"http://127.0.0.1:{port}",
        "vk_callback_check_seconds": "1",
    }
    (token,) = [t["token"] for t in vk.tokens() if t["kind"] == "group" and str(t["page"]) == page]

    def call(method: str, **params: Any) -> Any:
        form = {"access_token": token, "v": "5.199", "group_id": page, **params}
        return vk.control.post(f"/method/{method}", data=form).json()

    stranger = call("groups.addCallbackServer", url="http://127.0.0.1:9/other", title="other", secret_key="x")
    foreign = stranger["response"]["server_id"]
    async with connected(database, keys_dir, **settings) as system, _served(system, port):
        page_id = await system.connect_page("vk", vk, page)

        async def working() -> Any:
            return await system.raw_connection.fetchrow(
                "SELECT * FROM callback_registrations WHERE page_id = $1 AND state = 'active'", page_id
            )

        row = await eventually(working)
        assert row["server_id"] != str(foreign)

        async def pushed() -> bool:
            written = vk.citizen(page, f"Через Callback API {uuid4()}")
            stored = await _row(system, "external_id = $1", f"-{page}_{written['id']}")
            return bool(stored["source_kind"] == "callback")

        await eventually(pushed, "an event by callback: long poll ends a moment later")
        # A server that was removed in the network is registered again, and missed messages are read.
        call("groups.deleteCallbackServer", server_id=row["server_id"])
        between = vk.citizen(page, f"Пока сервера не было {uuid4()}")

        async def renewed() -> Any:
            found = await working()
            return found if found is not None and found["server_id"] != row["server_id"] else None

        again = await eventually(renewed)
        await _row(system, "external_id = $1", f"-{page}_{between['id']}")
        # Event types that were disabled manually are enabled again.
        call("groups.setCallbackSettings", server_id=again["server_id"], wall_reply_new=0)

        async def expected() -> bool:
            answer = call("groups.getCallbackSettings", server_id=again["server_id"])
            return bool(answer["response"]["events"]["wall_reply_new"])

        await eventually(expected)
        # After the confirmation code has changed, the server is confirmed with the new code.
        vk.post("callback_code", page=page)

        async def confirmed() -> bool:
            return [one["status"] for one in _servers(vk, page) if one["id"] == int(again["server_id"])] == ["ok"]

        await eventually(confirmed)
        last = vk.citizen(page, f"После нового кода {uuid4()}")
        await _row(system, "external_id = $1", f"-{page}_{last['id']}")
        assert [one["title"] for one in _servers(vk, page)].count("other") == 1


async def test_server_limit_of_community_is_shown_as_reason(
    vk: Emulator, database: TestDatabase, keys_dir: Path
) -> None:
    page = vk.page("vk_callback_full")
    (token,) = [t["token"] for t in vk.tokens() if t["kind"] == "group" and str(t["page"]) == page]
    for n in range(10):
        form = {
            "access_token": token,
            "v": "5.199",
            "group_id": page,
            "url": f"http://127.0.0.1:9/{n}",
            "title": "x",
        }
        assert "response" in vk.control.post("/method/groups.addCallbackServer", data=form).json()
    settings = {"vk_api_url": vk.url, "vk_push": "callback", "callbacks_url": "http://127.0.0.1:9"}
    async with connected(database, keys_dir, **settings) as system:
        page_id = await system.connect_page("vk", vk, page)

        async def failed() -> Any:
            return await system.raw_connection.fetchrow(
                "SELECT * FROM callback_registrations WHERE page_id = $1 AND state = 'failed'", page_id
            )

        row = await eventually(failed)
        assert "десять серверов" in row["reason"]
        # Without push the page is read by long poll.
        comment = vk.citizen(page, f"По длинному опросу {uuid4()}")
        await _row(system, "external_id = $1", f"-{page}_{comment['id']}")


async def test_event_pushed_by_both_sources_is_stored_once(
    vk: Emulator, database: TestDatabase, keys_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callback_servers, "RECHECK_SECONDS", 1.0)
    page, port = vk.page("vk_both"), free_port()
    settings = {
        "vk_api_url": vk.url,
        "vk_push": "both",
        "callbacks_url": f"http://127.0.0.1:{port}",
        "vk_callback_check_seconds": "1",
    }
    async with connected(database, keys_dir, **settings) as system, _served(system, port):
        page_id = await system.connect_page("vk", vk, page)

        async def working() -> Any:
            return await system.raw_connection.fetchval(
                "SELECT count(*) FROM callback_registrations WHERE page_id = $1 AND state = 'active'", page_id
            )

        await eventually(working)
        await _source(system, page_id, "long_poll", "last_success_at IS NOT NULL")
        written = [vk.citizen(page, f"Комментарий {n}") for n in range(20)]
        for one in written:
            vk.post("edit", page=page, id=one["id"], text=f"Исправлено {one['id']}")
        for one in written:
            edited = f"Исправлено {one['id']}"
            await _row(system, "external_id = $1 AND text = $2", f"-{page}_{one['id']}", edited)

        async def delivered() -> bool:
            servers = _servers(vk, page)
            return bool(servers) and all(server["waiting"] == 0 for server in servers)

        await eventually(delivered)
        rows = await system.raw_connection.fetch("SELECT version FROM messages WHERE kind = 'comment'")
        # A poll may have read a comment only after its edit.
        versions = [row["version"] for row in rows]
        assert (len(versions), set(versions) <= {1, 2}) == (len(written), True)
        assert len(await system.events("message.received")) == await system.raw_connection.fetchval(
            "SELECT count(*) FROM messages"
        )
        assert len(await system.events("message.edited")) == versions.count(2)

        assert "callback" in {row["kind"] for row in await system.raw_connection.fetch("SELECT kind FROM sources")}
