"""VK content beyond plain text: shared texts, geotags, service messages, long branches, short result pages."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from services.ingest.intake.ingest import BatchResult
from services.ingest.networks.vk.vk_payloads import parse_comment, parse_post
from shared import clock
from tests.conftest import TestDatabase
from tests.integration.ingest.conftest import Emulator, connected
from tests.integration.ingest.ingest_harness import build_harness
from tests.integration.ingest.vk_adapter import vk_adapter, walk
from tests.support.eventually import eventually

POLLED = {"vk_calls_per_day": '{"wall.get": 50000}', "vk_conversation_poll_seconds": "1"}


async def test_forwarded_and_reposted_words_are_stored_and_service_messages_are_not(
    vk: Emulator, database: TestDatabase, keys_dir: Path
) -> None:
    page, mark = vk.page("vk_shared"), uuid4()
    place = {"latitude": 51.8, "longitude": 107.6}
    spoken = [{"text": f"Соседка пишет {mark}", "attachments": ["photo-1_2"], "inner": [{"text": "Ещё раньше"}]}]
    reposted = [{"text": f"Яма у школы {mark}"}]
    async with connected(database, keys_dir, vk_api_url=vk.url, **POLLED) as system:
        page_id = await system.connect_page("vk", vk, page)

        def share(kind: str, **more: Any) -> dict[str, Any]:
            return vk.post("share", page=page, kind=kind, **more)

        message = share("message", forwarded=spoken, place=place)
        post = share("wall_post", text="Смотрите", reposted=reposted)
        peer = message["author"]
        share("message", author=peer, notice="chat_invite_user")
        last = vk.citizen(page, f"После {mark}", "message", author=peer)

        def external_id(one: dict[str, Any]) -> str:
            return f"{page}_{peer}_{one['conversation_message_id']}"

        await eventually(lambda: system.stored(external_id(last), "message"))
        row = await eventually(lambda: system.stored(external_id(message), "message"))
        assert row["text"] == f"Переслано:\nСоседка пишет {mark}\n\nПереслано:\nЕщё раньше"
        shown = await system.ingest.client.get(
            f"/api/v1/messages/{row['id']}", headers=system.ingest.headers("moderator")
        )
        assert [one["type"] for one in shown.json()["attachments"]] == ["geo", "photo"]
        stored_post = await eventually(lambda: system.stored(f"-{page}_{post['id']}", "wall_post"))
        assert stored_post["text"] == f"Смотрите\n\nРепост записи:\nЯма у школы {mark}"

        async def polled() -> Any:
            return await system.raw_connection.fetchval(
                "SELECT count(*) = 2 FROM sources WHERE page_id = $1 AND last_success_at IS NOT NULL"
                " AND kind IN ('wall_poll', 'conversations_poll')",
                page_id,
            )

        await eventually(polled)
        async with vk_adapter(database, system) as (network, accounts):
            ref = next(one for one in accounts.pages("vk") if one.id == page_id)
            steps = await walk(network, ref, clock.now() - timedelta(days=1), {})
        # All sources give the same text, and none stores the service message.
        texts = {item.external_id: item.text for step in steps for item in step.batch.items}
        assert texts[external_id(message)] == row["text"]
        assert texts[f"-{page}_{post['id']}"] == stored_post["text"]
        assert await system.raw_connection.fetchval("SELECT count(*) FROM messages WHERE kind = 'message'") == 2
        assert await system.events("message.edited") == []
        assert await system.raw_connection.fetchval("SELECT count(*) FROM quarantine") == 0


async def test_stored_repost_is_completed_without_an_edit(database: TestDatabase, keys_dir: Path) -> None:
    original: dict[str, Any] = {
        "id": 1,
        "owner_id": 5,
        "from_id": 5,
        "text": "Яма у школы",
        "attachments": [{"type": "photo"}],
    }
    post: dict[str, Any] = {
        "id": 6,
        "from_id": 700001,
        "date": int(clock.now().timestamp()),
        "text": "Смотрите!",
    }
    async with build_harness(database, keys_dir) as harness:

        async def read(**changes: Any) -> BatchResult:
            item = parse_post(post | changes, harness.page, happened="observed")
            return await harness.take(item, observed_at=clock.now())

        async def stored() -> tuple[str, int, bool]:
            row = await harness.row("-101_6")
            return row["text"], row["version"], row["edited_at"] is not None

        former = parse_post(post | {"copy_history": [original]}, harness.page)
        await harness.take(replace(former, text=post["text"], attachments=()))
        result = await read(copy_history=[original])
        assert (result.edited, result.events) == (0, [])
        complete = "Смотрите!\n\nРепост записи:\nЯма у школы"
        assert await stored() == (complete, 1, False)
        shown = await harness.get_json((await harness.row("-101_6"))["id"])
        assert [one["type"] for one in shown["attachments"]] == ["photo"]
        # An edit or deletion of the reposted post is not an edit by the citizen.
        for others in ([original | {"text": "Ямы нет"}], [original | {"text": ""}], None):
            result = await read(copy_history=others)
            assert (result.edited, result.events) == (0, [])
            assert await stored() == (complete, 1, False)
        assert (await read(text="Смотрите все", copy_history=[original])).edited == 1
        assert await stored() == ("Смотрите все\n\nРепост записи:\nЯма у школы", 2, True)
        assert await harness.events() == ["message.received", "message.edited"]


async def test_edit_back_to_the_payload_of_our_edited_reply_is_an_edit(
    database: TestDatabase, keys_dir: Path
) -> None:
    comment = {"id": 7, "post_id": 3, "from_id": -101, "date": int(clock.now().timestamp()), "text": "Завтра"}
    async with build_harness(database, keys_dir) as harness:
        await harness.take(parse_comment(comment, harness.page))
        for ours in ("Послезавтра", "Зав"):  # our own edit leaves the payload as it is
            await harness.raw_connection.execute("UPDATE messages SET text = $1", ours)
            item = parse_comment(comment, harness.page, happened="observed")
            assert (await harness.take(item, observed_at=clock.now() + timedelta(hours=1))).edited == 1


async def test_long_branch_is_read_completely_whichever_replies_the_network_embeds(
    vk: Emulator, database: TestDatabase, keys_dir: Path
) -> None:
    page = vk.page("vk_branch")
    vk.post("faults", kind="drop", rate=1, method="a_check")
    vk.post("settings", thread_items="newest")
    try:
        root = vk.citizen(page, "Вопрос")
        replies = [
            vk.citizen(page, f"Ответ {n}", thread=root["thread"], in_reply_to=root["id"]) for n in range(23)
        ]
        async with connected(database, keys_dir, vk_api_url=vk.url, **POLLED) as system:
            await system.connect_page("vk", vk, page)

            async def all_stored() -> bool:
                return all([await system.stored(f"-{page}_{one['id']}") for one in (root, *replies)])

            await eventually(all_stored)
    finally:
        vk.post("settings", thread_items="oldest")


async def test_short_result_pages_do_not_end_the_reading_of_a_wall(
    vk: Emulator, database: TestDatabase, keys_dir: Path
) -> None:
    page = vk.page("vk_short")
    vk.post("faults", kind="drop", rate=1, method="a_check")
    written = {f"-{page}_{vk.citizen(page, f'Запись {n}', 'wall_post')['id']}" for n in range(8)}
    vk.post("settings", wall_page_size=3)
    try:
        async with connected(database, keys_dir, vk_api_url=vk.url, **POLLED) as system:
            page_id = await system.connect_page("vk", vk, page)

            async def all_stored() -> bool:
                return all([await system.stored(one, "wall_post") for one in written])

            await eventually(all_stored)
            async with vk_adapter(database, system) as (network, accounts):
                ref = next(one for one in accounts.pages("vk") if one.id == page_id)
                steps = await walk(network, ref, clock.now() - timedelta(days=1), {})
            assert written <= {item.external_id for step in steps for item in step.batch.items}
    finally:
        vk.post("settings", wall_page_size=100)
