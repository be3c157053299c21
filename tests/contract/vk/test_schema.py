"""Responses and events of the emulator match the network's published schema; skipped without a copy of it."""

import importlib.util
import os
from pathlib import Path
from typing import Any

import pytest

from tests.contract.vk.callback_receiver import receiver
from tests.contract.vk.emulator_page import VkPage

ROOT = Path(__file__).resolve().parents[3]
FOLDER = Path(os.environ.get("GOSPABLIK_VK_SCHEMA", ROOT.parent / "shared" / "reference" / "vk-schema"))


@pytest.fixture(scope="module")
def schema() -> Any:
    """The validator for the schema."""
    if not (FOLDER / "validate.py").is_file():
        pytest.skip("no copy of the VK schema here; GOSPABLIK_VK_SCHEMA names its folder")
    spec = importlib.util.spec_from_file_location("vk_schema_validate", FOLDER / "validate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Schema(FOLDER)


async def test_responses_match_the_published_schema(schema: Any, page: VkPage) -> None:
    post, root = await page.long_thread()
    await page.citizen("С фото", attachments=["photo-1_2", "https://example.invalid/a"])
    await page.citizen("На стену", kind="wall_post")
    written = await page.citizen("Личное", kind="message")
    where = {"owner_id": -page.id, "post_id": post}
    await page.emulator.control("delete", {"page": page.id, "id": root})
    peer = written["author"]
    spoken = {"text": "Соседка пишет", "attachments": ["photo-1_2"], "inner": [{"text": "Ещё раньше"}]}
    place = {"latitude": 51.8, "longitude": 107.6, "title": "Школа"}
    share = {"page": page.id, "author": peer, "place": place}
    await page.emulator.control("share", {**share, "kind": "message", "forwarded": [spoken]})
    await page.emulator.control("share", {**share, "kind": "message", "notice": "chat_pin_message"})
    await page.emulator.control("share", {**share, "kind": "wall_post", "reposted": [spoken]})
    calls: list[tuple[str, str, dict[str, Any]]] = [
        ("wall.get", page.service, {"owner_id": -page.id}),
        ("wall.get", page.user, {"domain": "school1", "extended": 1, "filter": "others"}),
        ("wall.getById", page.service, {"posts": f"-{page.id}_{post}", "extended": 1}),
        ("wall.getComments", page.service, {**where, "thread_items_count": 10, "extended": 1, "need_likes": 1}),
        ("wall.getComments", page.service, {**where, "sort": "desc", "count": 100}),
        ("wall.getComments", page.service, {**where, "comment_id": root}),
        ("wall.getComment", page.user, {"owner_id": -page.id, "comment_id": root + 1, "extended": 1}),
        ("wall.getComment", page.user, {"owner_id": -page.id, "comment_id": root}),
        ("wall.createComment", page.group, {**where, "message": "Ответ"}),
        ("wall.post", page.user, {"owner_id": -page.id, "from_group": 1, "message": "Новость"}),
        ("messages.send", page.group, {"peer_id": peer, "random_id": 0, "message": "Ответ"}),
        ("messages.send", page.group, {"peer_ids": f"{peer},5", "random_id": 0, "message": "Ответ"}),
        ("messages.edit", page.group, {"peer_id": peer, "cmid": 2, "message": "Иначе"}),
        ("messages.delete", page.group, {"peer_id": peer, "cmids": 3, "delete_for_all": 1}),
        ("messages.getConversations", page.group, {"extended": 1}),
        ("messages.getHistory", page.group, {"peer_id": peer, "extended": 1}),
        ("messages.getById", page.group, {"message_ids": written["id"]}),
        ("groups.getById", page.service, {"group_ids": "school1", "fields": "description,members_count,verified"}),
        ("groups.getLongPollServer", page.group, {"group_id": page.id}),
        ("groups.getLongPollSettings", page.group, {"group_id": page.id}),
        ("groups.setLongPollSettings", page.group, {"group_id": page.id, "message_new": 1}),
        ("groups.getTokenPermissions", page.group, {}),
        ("users.get", page.user, {"user_ids": f"{peer},600000001", "fields": "photo_50,sex"}),
        ("stats.get", page.user, {"group_id": page.id, "interval": "week"}),
        ("stats.get", page.user, {"group_id": page.id, "timestamp_to": 1_700_000_000, "extended": 0}),
        ("stats.getPostReach", page.user, {"owner_id": -page.id, "post_ids": f"{post},999999"}),
        ("stats.get", page.service, {"group_id": page.id}),
        ("wall.get", page.group, {"owner_id": -page.id}),
        ("messages.isMessagesFromGroupAllowed", page.group, {"group_id": page.id, "user_id": peer}),
        ("execute", page.user, {"code": "return [API.wall.get({}), 1];"}),
        ("execute", page.user, {"code": "return ["}),
    ]
    for method, token, params in calls:
        body = await page.api(method, token, **params)
        assert schema.check_method(method, body) == [], (method, params)


async def test_responses_about_callbacks_boards_and_closed_pages_match_the_schema(
    schema: Any, page: VkPage
) -> None:
    other = await VkPage.open(page.emulator, "schema2")
    control, group = page.emulator.control, {"group_id": other.id}
    topic = await control("board", {"page": other.id, "title": "Тема", "text": "Текст"})
    at = group | {"topic_id": topic["id"]}
    written = await other.citizen("С фото", thread=topic["thread"], attachments=["photo-1_2"])
    named = at | {"comment_id": written["id"]}
    suggested = await other.citizen("Предложение", kind="suggested_post")
    owner = {"owner_id": -other.id}
    comment = await other.citizen("Вопрос")
    own = await other.api("wall.createComment", None, **owner, post_id=comment["thread"], message="Ответ")
    own_comment = owner | {"comment_id": own["response"]["comment_id"]}
    server = {"url": "http://127.0.0.1:9/none", "title": "test", "secret_key": "s"}
    number = (await other.api("groups.addCallbackServer", None, **group, **server))["response"]["server_id"]
    await control("author", {"id": written["author"], "deactivated": "deleted"})
    calls: list[tuple[str, str, dict[str, Any]]] = [
        ("board.getTopics", other.service, group | {"extended": 1, "preview": 3}),
        ("board.getTopics", other.service, group | {"topic_ids": topic["id"]}),
        ("board.getComments", other.service, at | {"extended": 1, "need_likes": 1}),
        ("board.getComments", other.service, at | {"start_comment_id": written["id"], "sort": "desc"}),
        ("board.createComment", other.user, at | {"message": "Ответ", "from_group": 1}),
        ("board.editComment", other.user, at | {"message": "Иначе", "comment_id": written["id"] + 1}),
        ("board.deleteComment", other.group, named),
        ("board.restoreComment", other.user, named),
        ("wall.get", other.user, owner | {"filter": "suggests", "extended": 1}),
        ("wall.editComment", other.user, own_comment | {"message": "Иначе"}),
        ("wall.deleteComment", other.user, own_comment),
        ("wall.restoreComment", other.user, own_comment),
        ("wall.closeComments", other.group, owner | {"post_id": comment["thread"]}),
        ("wall.openComments", other.group, owner | {"post_id": comment["thread"]}),
        ("wall.edit", other.user, owner | {"post_id": comment["thread"], "message": "Иначе"}),
        ("users.get", other.user, {"user_ids": written["author"]}),
        ("groups.getCallbackServers", other.group, group),
        ("groups.getCallbackConfirmationCode", other.group, group),
        ("groups.setCallbackSettings", other.user, group | {"server_id": number, "message_new": 1}),
        ("groups.getCallbackSettings", other.user, group | {"server_id": number}),
        ("groups.editCallbackServer", other.group, group | server | {"server_id": number}),
        ("groups.deleteCallbackServer", other.group, group | {"server_id": number}),
        ("groups.deleteCallbackServer", other.group, group | {"server_id": number}),
        ("groups.addCallbackServer", other.group, group | server),
        ("wall.delete", other.user, owner | {"post_id": comment["thread"]}),
    ]
    for method, token, params in calls:
        body = await page.api(method, token, **params)
        assert schema.check_method(method, body) == [], (method, params)
    published = await control("publish_suggested", {"page": other.id, "id": suggested["id"]})
    posts = {"posts": f"-{other.id}_{published['id']}", "extended": 1}
    shown = {
        "cover": True,
        "avatar": False,
        "phone": "8 301 221-00-00",
        "address": "ул. Ленина, 1",
        "verified": False,
    }
    for change in (
        {"deactivated": "banned"},
        {"deactivated": None, "is_closed": 1},
        {"is_closed": 0, "wall": 2},
        shown,
        {"cover": False, "phone": "", "address": ""},
    ):
        await control("page", {"page": other.id, **change})
        fields = (
            "wall,can_post,verified,description,contacts,site,has_photo,cover,members_count,activity,can_suggest,"
            "addresses,status"
        )
        fresh = (await control("tokens", {"kind": "user"}))["token"]
        for method, params in (
            ("groups.getById", {"group_id": other.id, "fields": fields}),
            ("wall.getById", posts),
            ("wall.get", owner),
        ):
            body = await page.api(method, fresh, **params)
            assert ("response" in body) is (method != "wall.get" or change.get("deactivated") is None)
            assert schema.check_method(method, body) == [], (method, change)
    await control("author", {"id": written["author"], "deactivated": None})


async def test_events_match_the_published_schema(schema: Any, page: VkPage) -> None:
    ts = await page.ts()
    comment = await page.citizen("Раз", attachments=["photo-1_2"])
    await page.citizen("Два", thread=comment["thread"], in_reply_to=comment["id"])
    where = {"page": page.id, "id": comment["id"]}
    await page.emulator.control("edit", where | {"text": "Иначе"})
    await page.emulator.control("delete", where)
    await page.emulator.control("restore", where)
    await page.citizen("Запись", kind="wall_post")
    message = await page.citizen("Личное", kind="message")
    await page.emulator.control("edit", {"page": page.id, "id": message["id"], "text": "Личное, иначе"})
    await page.api("messages.send", peer_id=message["thread"], random_id=0, reply_to=message["id"], message="Да")
    await page.citizen("Предложение", kind="suggested_post")
    topic = await page.emulator.control("board", {"page": page.id, "title": "Тема", "text": "Текст"})
    in_topic = await page.citizen("Вопрос", thread=topic["thread"])
    there = {"page": page.id, "id": in_topic["id"], "thread": topic["thread"]}
    await page.emulator.control("edit", there | {"text": "Иначе"})
    await page.emulator.control("delete", there)
    await page.emulator.control("restore", there)
    for block in ("no_permission", None):
        await page.emulator.control("privacy", {"page": page.id, "author": message["author"], "block": block})
    answer = await page.poll(ts)
    assert {event["type"] for event in answer["updates"]} == {
        "wall_reply_new",
        "wall_reply_edit",
        "wall_reply_delete",
        "wall_reply_restore",
        "wall_post_new",
        "message_new",
        "message_edit",
        "message_reply",
        "board_post_new",
        "board_post_edit",
        "board_post_delete",
        "board_post_restore",
        "message_deny",
        "message_allow",
    }
    assert schema.check_longpoll(answer) == []


async def test_deliveries_match_the_published_schema(schema: Any, page: VkPage) -> None:
    async with receiver() as server:
        await server.join(
            page, "wall_reply_new", "wall_reply_delete", "board_post_new", "message_new", "wall_post_new"
        )
        comment = await page.citizen("Раз")
        await page.emulator.control("delete", {"page": page.id, "id": comment["id"]})
        await page.emulator.control("board", {"page": page.id, "title": "Тема", "text": "Текст"})
        await page.citizen("Личное", kind="message")
        await page.citizen("Запись", kind="wall_post")
        for body in [*await server.got(5), *server.confirmations]:
            assert schema.check_event(body) == [], body
