"""What the emulator emits obeys the network's own published schema, where a copy of it lies."""

import importlib.util
import os
from pathlib import Path
from typing import Any

import pytest

from tests.contract.vk.page import VkPage

ROOT = Path(__file__).resolve().parents[3]
FOLDER = Path(os.environ.get("GOSPABLIK_VK_SCHEMA", ROOT.parent / "shared" / "reference" / "vk-schema"))


@pytest.fixture(scope="module")
def schema() -> Any:
    """The validator that lies beside the schema."""
    if not (FOLDER / "validate.py").is_file():
        pytest.skip("no copy of the VK schema here; GOSPABLIK_VK_SCHEMA names its folder")
    spec = importlib.util.spec_from_file_location("vk_schema_validate", FOLDER / "validate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Schema(FOLDER)


async def test_answers(schema: Any, page: VkPage) -> None:
    post, root = await page.long_thread()
    await page.citizen("С фото", attachments=["photo-1_2", "https://example.invalid/a"])
    await page.citizen("На стену", kind="wall_post")
    written = await page.citizen("Личное", kind="message")
    where = {"owner_id": -page.id, "post_id": post}
    await page.emulator.door("delete", {"page": page.id, "id": root})
    peer = written["author"]
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
        ("messages.getConversations", page.group, {"extended": 1}),
        ("messages.getHistory", page.group, {"peer_id": peer, "extended": 1}),
        ("messages.getById", page.group, {"message_ids": written["id"]}),
        ("groups.getById", page.service, {"group_ids": "school1", "fields": "description,members_count,verified"}),
        ("groups.getLongPollServer", page.group, {"group_id": page.id}),
        ("groups.getLongPollSettings", page.group, {"group_id": page.id}),
        ("groups.setLongPollSettings", page.group, {"group_id": page.id, "message_new": 1}),
        ("groups.getTokenPermissions", page.group, {}),
        ("users.get", page.user, {"user_ids": f"{peer},600000001", "fields": "photo_50,sex"}),
        ("wall.get", page.group, {"owner_id": -page.id}),
    ]
    for method, token, params in calls:
        body = await page.api(method, token, **params)
        assert schema.check_method(method, body) == [], (method, params)


async def test_events(schema: Any, page: VkPage) -> None:
    ts = await page.ts()
    comment = await page.citizen("Раз", attachments=["photo-1_2"])
    await page.citizen("Два", thread=comment["thread"], in_reply_to=comment["id"])
    where = {"page": page.id, "id": comment["id"]}
    await page.emulator.door("edit", where | {"text": "Иначе"})
    await page.emulator.door("delete", where)
    await page.emulator.door("restore", where)
    await page.citizen("Запись", kind="wall_post")
    message = await page.citizen("Личное", kind="message")
    await page.emulator.door("edit", {"page": page.id, "id": message["id"], "text": "Личное, иначе"})
    await page.api("messages.send", peer_id=message["thread"], random_id=0, reply_to=message["id"], message="Да")
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
    }
    assert schema.check_longpoll(answer) == []
