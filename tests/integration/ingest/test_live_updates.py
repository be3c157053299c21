"""Edits, deletions, missed events, revoked tokens and database outages with emulated networks."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from services.ingest.networks.ok.reading import discussion_reader
from tests.conftest import TestDatabase
from tests.integration.ingest.conftest import Connected, Emulator, connected
from tests.support.eventually import eventually, eventually_true
from tests.support.service_under_test import insert_organisation


async def _row(system: Connected, condition: str, *values: Any) -> Any:
    async def look() -> Any:
        return await system.raw_connection.fetchrow(f"SELECT * FROM messages WHERE {condition}", *values)

    return await eventually(look)


async def test_vk_edits_and_deletions_are_stored(vk: Emulator, database: TestDatabase, keys_dir: Path) -> None:
    page = vk.page("vk_changes")
    async with connected(database, keys_dir, vk_api_url=vk.url) as system:
        await system.connect_page("vk", vk, page)
        first, second = (vk.citizen(page, f"Комментарий {n} {uuid4()}") for n in range(2))
        name = f"-{page}_{first['id']}"
        await _row(system, "external_id = $1", name)
        vk.post("edit", page=page, id=first["id"], text="Исправлено")
        row = await _row(system, "external_id = $1 AND text = 'Исправлено'", name)
        assert row["version"] == 2
        vk.post("delete", page=page, id=first["id"], by="author")
        vk.post("delete", page=page, id=second["id"], by="community")
        row = await _row(system, "external_id = $1 AND deleted_at IS NOT NULL", name)
        assert (row["deleted_by"], row["text"]) == ("author", "Исправлено")
        row = await _row(system, "external_id = $1 AND deleted_at IS NOT NULL", f"-{page}_{second['id']}")
        assert row["deleted_by"] == "community"


async def test_ok_edits_and_deletions_are_found_by_polling(
    ok: Emulator, database: TestDatabase, keys_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discussion_reader, "RECENT", timedelta(0))
    page = ok.page("ok_changes")
    async with connected(database, keys_dir, ok_api_url=ok.url, ok_topic_poll_seconds="1") as system:
        await system.connect_page("ok", ok, page)
        written = ok.citizen(page, f"Комментарий {uuid4()}")
        name = f"{written['thread']}/{written['id']}"
        await _row(system, "external_id = $1", name)
        ok.post("edit", page=page, id=written["id"], text="Исправлено")
        await _row(system, "external_id = $1 AND text = 'Исправлено'", name)
        ok.post("delete", page=page, id=written["id"], by="community")
        row = await _row(system, "external_id = $1 AND deleted_at IS NOT NULL", name)
        assert (row["deleted_by"], row["text"]) == ("unknown", "Исправлено")


@pytest.mark.parametrize("loss", ["key_expired", "history_trimmed", "history_lost"])
async def test_vk_polling_stores_messages_missed_by_push(
    vk: Emulator, database: TestDatabase, keys_dir: Path, loss: str
) -> None:
    page = vk.page(f"vk_gap_{loss}")
    texts = [f"До {uuid4()}", *(f"В разрыве {uuid4()}" for _ in range(3)), f"После {uuid4()}"]
    settings = {"vk_api_url": vk.url, "vk_long_poll_wait_seconds": "1"}
    async with connected(database, keys_dir, **settings) as system:
        await system.connect_page("vk", vk, page)
        vk.citizen(page, texts[0])
        await _row(system, "text = $1", texts[0])
        # Citizens write while calls of Long Poll fail, and the pending events are lost.
        vk.post("faults", kind="drop", rate=1, method="a_check")
        await eventually_true(lambda: not vk.control.get("/_control/longpoll").json()["held"], "no held call")
        for text, kind in zip(texts[1:4], ("comment", "wall_post", "message"), strict=True):
            vk.citizen(page, text, kind)
        vk.post("longpoll", page=page, event=loss)
        vk.control.delete("/_control/faults")
        vk.citizen(page, texts[4])
        for text in texts:
            await _row(system, "text = $1", text)
        assert await system.raw_connection.fetchval(
            "SELECT count(*) FROM messages WHERE NOT from_community"
        ) == len(texts)


async def test_vk_comment_under_an_old_post_is_found_after_push_lost_it(
    vk: Emulator, database: TestDatabase, keys_dir: Path
) -> None:
    page = vk.page("vk_gap_old_post")
    old = vk.citizen(page, "Старая запись", "wall_post")
    vk.citizen(page, "До", thread=old["thread"])
    for number in range(100):
        vk.citizen(page, f"Запись {number}", "wall_post")
    async with connected(database, keys_dir, vk_api_url=vk.url, vk_long_poll_wait_seconds="1") as system:
        await system.connect_page("vk", vk, page)

        async def polled() -> bool:
            # The states of threads without comments are stored last.
            count = await system.raw_connection.fetchval("SELECT count(*) FROM threads WHERE marker IS NOT NULL")
            return bool(count >= 101)

        await eventually(polled, "a complete poll of the wall")
        vk.post("faults", kind="drop", rate=1, method="a_check")
        await eventually_true(lambda: not vk.control.get("/_control/longpoll").json()["held"], "no held call")
        text = f"Под старой записью {uuid4()}"
        vk.citizen(page, text, thread=old["thread"])
        vk.post("longpoll", page=page, event="history_lost")
        vk.control.delete("/_control/faults")
        row = await _row(system, "text = $1", text)
        assert row["source_kind"] == "wall_poll"


def _method(vk: Emulator, page: str, name: str, **params: Any) -> Any:
    """Call a method of the network with the community's token; return the response."""
    token = next(one["token"] for one in vk.tokens() if one["kind"] == "group" and str(one["page"]) == page)
    form = {"access_token": token, "v": "5.199", "group_id": page, **params}
    return vk.control.post(f"/method/{name}", data=form).json()["response"]


async def test_vk_long_poll_enables_its_events(vk: Emulator, database: TestDatabase, keys_dir: Path) -> None:
    page = vk.page("vk_switched_off")
    old = vk.citizen(page, "Старая запись", "wall_post")
    for number in range(100):
        vk.citizen(page, f"Запись {number}", "wall_post")
    _method(vk, page, "groups.setLongPollSettings", enabled=0, message_new=0)
    settings = {"vk_api_url": vk.url, "vk_long_poll_wait_seconds": "1"}
    async with connected(database, keys_dir, **settings) as system:
        await system.connect_page("vk", vk, page)

        async def pushed(kind: str) -> bool:
            text = f"{kind} {uuid4()}"
            vk.citizen(page, text, kind)
            return bool((await _row(system, "text = $1", text))["source_kind"] == "long_poll")

        await eventually(lambda: pushed("message"), "a message by long poll")

        async def polled() -> bool:
            count = await system.raw_connection.fetchval("SELECT count(*) FROM threads WHERE marker = '0'")
            return bool(count >= 101)

        await eventually(polled, "a complete poll of the wall")
        # Comments that were written while their event was off are found, also under old posts.
        _method(vk, page, "groups.setLongPollSettings", wall_reply_new=0)
        text = f"Без события {uuid4()}"
        vk.citizen(page, text, thread=old["thread"])
        vk.post("longpoll", page=page, event="key_expired")
        assert (await _row(system, "text = $1", text))["source_kind"] == "wall_poll"
        assert _method(vk, page, "groups.getLongPollSettings")["events"]["wall_reply_new"] == 1


async def test_vk_long_poll_continues_if_its_events_cannot_be_enabled(
    vk: Emulator, database: TestDatabase, keys_dir: Path
) -> None:
    page = vk.page("vk_may_not_switch")
    _method(vk, page, "groups.setLongPollSettings", wall_reply_new=0)
    vk.post("faults", kind="error", code=15, rate=1, method="groups.setLongPollSettings")
    async with connected(database, keys_dir, vk_api_url=vk.url, vk_long_poll_wait_seconds="1") as system:
        page_id = await system.connect_page("vk", vk, page)

        async def pushed() -> bool:
            text = f"Сообщение {uuid4()}"
            vk.citizen(page, text, "message")
            return bool((await _row(system, "text = $1", text))["source_kind"] == "long_poll")

        await eventually(pushed, "a message by long poll")

        async def shown() -> Any:
            return await system.raw_connection.fetchval(
                "SELECT last_error FROM sources WHERE page_id = $1 AND kind = 'long_poll'"
                " AND consecutive_failures > 0",
                page_id,
            )

        reason = await eventually(shown, "the reason")
        assert reason.startswith("Сеть не даёт проверить и включить события")
        assert "error 15" in reason


async def test_vk_long_poll_uses_changed_organisation_and_go_live_time(
    vk: Emulator, database: TestDatabase, keys_dir: Path
) -> None:
    page = vk.page("vk_moved_page")
    async with connected(database, keys_dir, vk_api_url=vk.url) as system:
        page_id = await system.connect_page("vk", vk, page)
        change = "UPDATE pages SET go_live_at = $2 WHERE id = $1"
        await system.raw_connection.execute(change, page_id, datetime(2099, 1, 1, tzinfo=UTC))

        async def pushed(text: str, **expected: Any) -> None:
            # A message that was written while the pages are reloaded has the former values.
            async def look() -> bool:
                written = f"{text} {uuid4()}"
                vk.citizen(page, written, "message")
                row = await _row(system, "text = $1", written)
                return bool(row["source_kind"] == "long_poll" and expected.items() <= dict(row).items())

            await eventually(look, f"a message with {expected}", seconds=60)

        await pushed("До запуска", history=True, organisation_id=system.organisation)
        organisation = await insert_organisation(database)
        change = "UPDATE pages SET go_live_at = $2, organisation_id = $3 WHERE id = $1"
        await system.raw_connection.execute(change, page_id, datetime(2020, 1, 1, tzinfo=UTC), organisation)
        await pushed("После запуска", history=False, organisation_id=organisation)


async def test_vk_thread_of_several_pages_is_read_completely(
    vk: Emulator, database: TestDatabase, keys_dir: Path
) -> None:
    page = vk.page("vk_long_thread")
    root = vk.citizen(page, "Корень")
    replies = [f"Ответ {n} {uuid4()}" for n in range(130)]
    for text in replies:
        vk.citizen(page, text, thread=root["thread"], in_reply_to=root["id"])
    async with connected(database, keys_dir, vk_api_url=vk.url) as system:
        await system.connect_page("vk", vk, page)
        await _row(system, "text = $1", replies[-1])
        rows = await system.raw_connection.fetch("SELECT text, reply_to FROM messages WHERE reply_to IS NOT NULL")
        assert sorted(row["text"] for row in rows) == sorted(replies)
        assert {row["reply_to"] for row in rows} == {f"-{page}_{root['id']}"}


@pytest.mark.parametrize("network", ["vk", "ok"])
async def test_revoked_token_is_recorded_and_a_new_one_reads_missed_messages(
    request: pytest.FixtureRequest, database: TestDatabase, keys_dir: Path, network: str
) -> None:
    emulator: Emulator = request.getfixturevalue(network)
    page = emulator.page("dead_token")
    async with connected(database, keys_dir, **{f"{network}_api_url": emulator.url}) as system:
        page_id = await system.connect_page(network, emulator, page)
        emulator.citizen(page, f"До {network}", "message")
        await _row(system, "text = $1", f"До {network}")
        mine = [one for one in emulator.tokens() if one["kind"] == "group" and str(one["page"]) == page]
        for one in mine:
            emulator.post("tokens/revoke", token=one["token"])
        emulator.citizen(page, f"Во время {network}", "message")
        if network == "vk":
            emulator.post("longpoll", page=page, event="history_lost")

        async def revoked() -> bool:
            return "revoked" in [
                row["state"]
                for row in await system.raw_connection.fetch("SELECT state FROM network_tokens WHERE kind='group'")
            ]

        await eventually(revoked)
        fresh = emulator.post("tokens", kind="group", page=page)
        expected = {"network": network, "kind": "group", "page_id": str(page_id), "token": fresh["token"]}
        answer = await system.ingest.client.post(
            "/api/v1/sources/tokens", json=expected, headers=system.ingest.headers("operations")
        )
        assert answer.status_code == 201
        assert fresh["token"] not in answer.text
        await _row(system, "text = $1", f"Во время {network}")


async def test_worker_resumes_after_database_outage(
    vk: Emulator, ok: Emulator, database: TestDatabase, keys_dir: Path
) -> None:
    pages = {"vk": vk.page("vk_lost_database"), "ok": ok.page("ok_lost_database")}
    emulators = {"vk": vk, "ok": ok}
    async with connected(database, keys_dir, vk_api_url=vk.url, ok_api_url=ok.url) as system:
        for network, page in pages.items():
            await system.connect_page(network, emulators[network], page)
            emulators[network].citizen(page, f"До {network}")
            await _row(system, "text = $1", f"До {network}")
        await system.raw_connection.execute("ALTER ROLE ingest NOLOGIN")
        await system.raw_connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'ingest'"
        )
        expected = []
        for network, page in pages.items():
            for kind in ("comment", "wall_post", "message"):
                expected.append(f"Без базы {network} {kind}")
                emulators[network].citizen(page, expected[-1], kind)
        try:

            async def noticed() -> bool:
                return (await system.ingest.client.get("/health/ready")).status_code != 200

            await eventually(noticed, "a service that is not ready")
        finally:
            await system.raw_connection.execute("ALTER ROLE ingest LOGIN")
        for text in expected:
            await _row(system, "text = $1", text)
        count = await system.raw_connection.fetchval(
            "SELECT count(*) FROM messages WHERE text = ANY($1::text[])", expected
        )
        assert count == len(expected)
