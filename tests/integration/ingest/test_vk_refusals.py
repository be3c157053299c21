"""What VK refuses or does not confirm: one conversation, a late reply, an edit or deletion that has no effect."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.ingest.networks.port import Photo, PhotoTarget, PublishRejected, ReplyToChange
from shared import clock
from tests.conftest import TestDatabase
from tests.integration.ingest.conftest import KEYS, Connected, Emulator, connected
from tests.integration.ingest.vk_adapter import vk_adapter, walk
from tests.support.eventually import eventually
from tests.support.sample_images import jpeg
from tests.support.service_under_test import insert_organisation, service_under_test


async def _paused_methods(system: Connected, page_id: UUID) -> Any:
    """Return the methods that the page's token may not call now."""
    query = "SELECT limited_methods::text FROM network_tokens WHERE page_id = $1"
    return await system.raw_connection.fetchval(query, page_id)


async def _stored(system: Connected, text: str) -> Any:
    async def look() -> Any:
        return await system.raw_connection.fetchrow("SELECT * FROM messages WHERE text = $1", text)

    return await eventually(look, text)


@contextmanager
def _setting(vk: Emulator, name: str, value: Any, usual: Any) -> Iterator[None]:
    vk.post("settings", **{name: value})
    try:
        yield
    finally:
        vk.post("settings", **{name: usual})


@pytest.mark.parametrize("code", [7, 936, 962])
async def test_refused_conversation_does_not_stop_the_others(
    vk: Emulator, database: TestDatabase, keys_dir: Path, code: int
) -> None:
    page = vk.page(f"vk_refused_{code}")
    vk.post("faults", kind="drop", rate=1, method="a_check")
    closed, *others = [vk.citizen(page, f"Пишет {n} {uuid4()}", "message") for n in range(3)]
    vk.post("peer", page=page, peer=closed["author"], code=code)
    settings = {"vk_api_url": vk.url, "vk_conversation_poll_seconds": "1"}
    async with connected(database, keys_dir, **settings) as system:
        page_id = await system.connect_page("vk", vk, page)

        def external_id(one: dict[str, Any]) -> str:
            return f"{page}_{one['author']}_{one['conversation_message_id']}"

        async def all_stored(*written: dict[str, Any]) -> bool:
            return all([await system.stored(external_id(one), "message") for one in written])

        await eventually(lambda: all_stored(*others))

        async def shown() -> Any:
            answer = await system.ingest.client.get(
                f"/api/v1/sources/{page_id}", headers=system.ingest.headers("moderator")
            )
            (source,) = [one for one in answer.json()["sources"] if one["kind"] == "conversations_poll"] or [{}]
            return source if f"(ошибки: {code})" in (source.get("last_error") or "") else None

        source = await eventually(shown)
        assert str(closed["author"]) not in source["last_error"]
        assert (source["last_success_at"] is not None, source["consecutive_failures"]) == (True, 0)
        assert await _paused_methods(system, page_id) == "{}"
        # A scan leaves out the same conversation and completes.
        async with vk_adapter(database, system) as (network, accounts):
            ref = next(one for one in accounts.pages("vk") if one.id == page_id)
            steps = await walk(network, ref, clock.now() - timedelta(days=1), {})
        found = {item.external_id for step in steps for item in step.batch.items}
        assert {external_id(one) for one in others} <= found
        assert external_id(closed) not in found
        assert steps[-1].cursor == {"step": "done"}
        assert await _paused_methods(system, page_id) == "{}"
        vk.post("peer", page=page, peer=closed["author"], code=None)
        later = vk.citizen(page, f"Снова {uuid4()}", "message", author=closed["author"])
        await eventually(lambda: all_stored(closed, later))


async def test_error_7_is_a_refusal_of_one_conversation_unless_the_token_lacks_the_right(
    vk: Emulator, database: TestDatabase, keys_dir: Path
) -> None:
    page = vk.page("vk_right")
    (token,) = [t["token"] for t in vk.tokens() if t["kind"] == "group" and str(t["page"]) == page]
    peer = vk.citizen(page, f"Когда? {uuid4()}", "message")["author"]
    vk.post("community", page=page, thread=peer, text="Завтра", kind="message")
    raw_connection = await database.connect()
    organisation = await insert_organisation(database)
    settings = KEYS | {"vk_api_url": vk.url}
    async with service_under_test("ingest", database, keys_dir, process="api", **settings) as ingest:
        system = Connected(ingest, database, raw_connection, organisation)
        page_id = await system.connect_page("vk", vk, page)
        async with vk_adapter(database, system) as (network, accounts):
            ref = next(one for one in accounts.pages("vk") if one.id == page_id)
            key, external_id = f"vk:{page}_{peer}", f"{page}_{peer}_2"
            reply = ReplyToChange(page=ref, kind="message", thread_key=key, external_id=external_id)
            vk.post("peer", page=page, peer=peer, code=7)
            for change in (network.edit_reply(reply, "Иначе"), network.delete_reply(reply)):
                with pytest.raises(PublishRejected) as caught:
                    await change
                assert (caught.value.code, caught.value.permanent) == ("vk:7", True)
                assert "исключено из беседы" in caught.value.message
            assert await _paused_methods(system, page_id) == "{}"
            vk.post("peer", page=page, peer=peer, code=None)
            # Photos need a different right, which a token that may list conversations can lack.
            upload = "photos.getMessagesUploadServer"
            vk.post("faults", kind="persistent", code=7, token=token, methods=[upload])
            target = PhotoTarget(page=ref, kind="message", thread_key=key)
            with pytest.raises(PublishRejected) as caught:
                await network.upload_photo(target, Photo("image/jpeg", jpeg()))
            assert (caught.value.code, caught.value.permanent) == ("vk:7", False)
            assert set(json.loads(await _paused_methods(system, page_id))) == {upload}
            methods = ["messages.edit", "messages.getConversations"]
            vk.post("faults", kind="persistent", code=7, token=token, methods=methods)
            with pytest.raises(PublishRejected) as caught:
                await network.edit_reply(reply, "Иначе")
            assert (caught.value.code, caught.value.permanent) == ("vk:7", False)
            assert set(json.loads(await _paused_methods(system, page_id))) == {upload, *methods}
    await raw_connection.close()
    assert [one["text"] for one in vk.answers(page)] == ["Завтра"]


async def _ended(system: Connected, publication_id: str) -> Any:
    async def look() -> Any:
        found = await system.publication(publication_id)
        return found if found["status"] in {"published", "failed"} else None

    return await eventually(look)


async def test_reply_after_the_reply_window_fails_at_once_with_a_reason(
    vk: Emulator, database: TestDatabase, keys_dir: Path
) -> None:
    page, text = vk.page("vk_late"), f"Когда починят? {uuid4()}"
    async with connected(database, keys_dir, vk_api_url=vk.url) as system:
        await system.connect_page("vk", vk, page)
        vk.citizen(page, text, "message")
        row = await _stored(system, text)
        with _setting(vk, "reply_window_seconds", 0.001, 0):
            asked = await system.answer(row["id"], "Починим завтра.")
            found = await _ended(system, asked["id"])
        assert (found["status"], found["failure"]["code"]) == ("failed", "vk:950")
        assert found["failure"]["message"].startswith("Срок ответа истёк")
        assert vk.answers(page) == []


@pytest.mark.parametrize("text", ["Починим сегодня.", None])
@pytest.mark.parametrize("kind", ["comment", "message"])
async def test_change_that_the_network_does_not_confirm_is_read_back_and_repeated(
    vk: Emulator, database: TestDatabase, keys_dir: Path, kind: str, text: str | None
) -> None:
    page, question = vk.page(f"vk_unconfirmed_{kind}_{text is None}"), f"Когда починят? {uuid4()}"
    settings = {"vk_api_url": vk.url, "vk_call_timeout_seconds": "1"}
    async with connected(database, keys_dir, **settings) as system:
        await system.connect_page("vk", vk, page)
        vk.citizen(page, question, kind)
        row = await _stored(system, question)
        asked = await system.answer(row["id"], "Починим завтра.")
        assert (await _ended(system, asked["id"]))["status"] == "published"
        change_id = uuid4()
        with _setting(vk, "changes_take_effect", value=False, usual=True):
            answer = await system.ingest.client.post(
                f"/internal/publications/{asked['id']}/changes",
                json={"id": str(change_id), "text": text, "on_behalf_of": "someone"},
                headers=system.ingest.service_headers("appeals"),
            )
            assert answer.status_code == 201, answer.text

            async def change(*statuses: str, attempts: int = 0) -> Any:
                query = "SELECT status, attempts FROM publication_changes WHERE id = $1"
                found = await system.raw_connection.fetchrow(query, change_id)
                return found if found["status"] in statuses and found["attempts"] >= attempts else None

            # Read back, found unchanged and called again.
            await eventually(lambda: change("queued", "sending", "uncertain", attempts=2))
            assert [one["text"] for one in vk.answers(page)] == ["Починим завтра."]
        await eventually(lambda: change("done"))
        assert [one["text"] for one in vk.answers(page)] == ([] if text is None else [text])


async def test_refused_topic_does_not_stop_the_others(
    vk: Emulator, database: TestDatabase, keys_dir: Path
) -> None:
    page = vk.page("vk_refused_topic")
    vk.post("faults", kind="drop", rate=1, method="a_check")
    topics = [vk.post("board", page=page, title=f"Тема {n}", text="Спрашивайте") for n in range(3)]
    asked = [vk.citizen(page, f"Когда приём? {uuid4()}", thread=topic["thread"]) for topic in topics]
    # The topic that was changed last is read first by a poll; by a scan, the one with the lowest id.
    closed = (topics[0], topics[-1])
    for topic in closed:
        vk.post("topic", page=page, thread=topic["thread"], code=15)
    external_ids = [f"-{page}_{topic['thread']}_{one['id']}" for topic, one in zip(topics, asked, strict=True)]
    settings = {"vk_api_url": vk.url, "vk_board_poll_seconds": "1"}
    async with connected(database, keys_dir, **settings) as system:
        page_id = await system.connect_page("vk", vk, page)
        await eventually(lambda: system.stored(external_ids[1]))

        async def shown() -> Any:
            query = "SELECT * FROM sources WHERE page_id = $1 AND kind = 'board_poll' AND last_error IS NOT NULL"
            return await system.raw_connection.fetchrow(query, page_id)

        source = await eventually(shown)
        assert source["last_error"] == "ВКонтакте не показывает обсуждений: 2 (ошибки: 15). Остальные прочитаны."
        assert (source["last_success_at"] is not None, source["consecutive_failures"]) == (True, 0)
        async with vk_adapter(database, system) as (network, accounts):
            ref = next(one for one in accounts.pages("vk") if one.id == page_id)
            steps = await walk(network, ref, clock.now() - timedelta(days=1), {})
        found = {item.external_id for step in steps for item in step.batch.items}
        assert found.intersection(external_ids) == {external_ids[1]}
        for topic in closed:
            vk.post("topic", page=page, thread=topic["thread"], code=None)
            vk.citizen(page, f"А в субботу? {uuid4()}", thread=topic["thread"])

        async def all_stored() -> bool:
            return all([await system.stored(one) for one in external_ids])

        await eventually(all_stored)
        deleted = "SELECT count(*) FROM messages WHERE page_id = $1 AND deleted_at IS NOT NULL"
        assert await system.raw_connection.fetchval(deleted, page_id) == 0


async def test_short_result_pages_do_not_end_the_reading_of_topics_and_conversations(
    vk: Emulator, database: TestDatabase, keys_dir: Path
) -> None:
    page = vk.page("vk_short_lists")
    vk.post("faults", kind="drop", rate=1, method="a_check")
    topics = [vk.post("board", page=page, title=f"Тема {n}", text="Спрашивайте") for n in range(3)]
    asked = [vk.citizen(page, f"Когда приём? {uuid4()}", thread=topic["thread"]) for topic in topics]
    comments = [f"-{page}_{topic['thread']}_{one['id']}" for topic, one in zip(topics, asked, strict=True)]
    written = [vk.citizen(page, f"Пишет {n} {uuid4()}", "message") for n in range(3)]
    written += [vk.citizen(page, f"Ещё {n}", "message", author=written[0]["author"]) for n in range(4)]
    messages = [f"{page}_{one['author']}_{one['conversation_message_id']}" for one in written]
    methods = ("board.getTopics", "messages.getConversations", "messages.getHistory")
    settings = {"vk_api_url": vk.url, "vk_board_poll_seconds": "1", "vk_conversation_poll_seconds": "1"}
    with _setting(vk, "page_sizes", dict.fromkeys(methods, 2), {}):
        async with connected(database, keys_dir, **settings) as system:
            page_id = await system.connect_page("vk", vk, page)

            async def all_stored() -> bool:
                stored = [await system.stored(one) for one in comments]
                return all([*stored, *[await system.stored(one, "message") for one in messages]])

            await eventually(all_stored)
            async with vk_adapter(database, system) as (network, accounts):
                ref = next(one for one in accounts.pages("vk") if one.id == page_id)
                steps = await walk(network, ref, clock.now() - timedelta(days=1), {})
            assert {*comments, *messages} <= {item.external_id for step in steps for item in step.batch.items}
