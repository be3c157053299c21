"""Boards, suggested posts, closed and blocked pages, and people who are deleted or refuse messages."""

import re
from typing import Any

import pytest

from tests.contract.conftest import StartEmulator
from tests.contract.vk.emulator_page import VkPage
from tests.support.emulator_process import EmulatorProcess


@pytest.fixture(scope="module")
async def emulator(start_emulator: StartEmulator) -> EmulatorProcess:
    """A network without limits."""
    return await start_emulator("vk", user_per_second=0, group_per_second=0, daily_limits="{}")


@pytest.fixture
async def page(emulator: EmulatorProcess, request: pytest.FixtureRequest) -> VkPage:
    """A new page for each test."""
    return await VkPage.open(emulator, re.sub(r"\W", "_", request.node.name)[:60])


async def _code(page: VkPage, method: str, token: str | None = None, **params: Any) -> int:
    return int((await page.api(method, token, **params))["error"]["error_code"])


async def test_topic_is_created_changed_and_deleted(page: VkPage) -> None:
    control, ts = page.emulator.control, await page.ts()
    topic = await control("board", {"page": page.id, "title": "Отопление", "text": "Пишите сюда"})
    other = await control("board", {"page": page.id, "title": "Дороги", "text": "И сюда"})
    assert (topic["thread"], other["thread"]) == (f"board{topic['id']}", f"board{other['id']}")
    written = await page.citizen("Холодно", thread=topic["thread"])
    beside = await page.citizen("Ямы", thread=other["thread"], attachments=["photo-1_2"])
    assert written["id"] == beside["id"], "each topic numbers its comments separately"
    where = {"page": page.id, "id": written["id"], "thread": topic["thread"]}
    await control("edit", where | {"text": "Очень холодно"})
    await control("delete", where | {"by": "community"})
    await control("restore", where)
    by_hand = {"page": page.id, "thread": topic["thread"], "text": "Вручную", "in_reply_to": written["id"]}
    await control("community", by_hand)
    at = {"group_id": page.id, "topic_id": topic["id"]}
    answer = {"message": "Затопим", "from_group": 1, "guid": "a"}
    first = (await page.api("board.createComment", page.user, **at, **answer))["response"]
    assert first == (await page.api("board.createComment", page.user, **at, **answer))["response"]
    events = (await page.poll(ts))["updates"]
    kinds = ["new"] * 4 + ["edit", "delete", "restore", "new", "new"]
    assert [event["type"] for event in events] == [f"board_post_{kind}" for kind in kinds]
    assert events[5]["object"] == {"topic_owner_id": -page.id, "topic_id": topic["id"], "id": written["id"]}
    assert events[6]["object"]["text"] == "Очень холодно"
    read = (await page.api("board.getComments", page.service, **at, extended=1))["response"]
    assert [item["text"] for item in read["items"]] == ["Пишите сюда", "Очень холодно", "Вручную", "Затопим"]
    assert written["author"] in [profile["id"] for profile in read["profiles"]]
    topics = (await page.api("board.getTopics", page.service, group_id=page.id, preview=3))["response"]
    assert [(item["title"], item["comments"]) for item in topics["items"]] == [("Отопление", 4), ("Дороги", 2)]
    assert topics["items"][0]["last_comment"] == "Затопим"
    answers = (await control(f"answers?page={page.id}", method="GET"))["items"]
    assert [(item["thread"], item["text"], item["by"]) for item in answers] == [
        (topic["thread"], "Вручную", "hand"),
        (topic["thread"], "Затопим", "api"),
    ]
    assert answers[0]["in_reply_to"] == written["id"]


async def test_board_methods_check_tokens_and_closed_topics_refuse_comments(page: VkPage) -> None:
    topic = await page.emulator.control("board", {"page": page.id, "title": "Тема", "text": "Текст"})
    at = {"group_id": page.id, "topic_id": topic["id"]}
    written = await page.citizen("Вопрос", thread=topic["thread"])
    assert await _code(page, "board.getTopics", page.group, group_id=page.id) == 27
    assert await _code(page, "board.createComment", page.group, **at, message="?") == 27
    assert await _code(page, "board.editComment", page.user, **at, comment_id=written["id"], message="?") == 15
    named = {**at, "comment_id": written["id"]}
    assert await page.api("board.deleteComment", None, **named) == {"response": 1}
    assert await _code(page, "board.deleteComment", None, **named) == 104
    assert await page.api("board.restoreComment", page.user, **named) == {"response": 1}
    await page.emulator.control("commenting", {"page": page.id, "thread": topic["thread"], "closed": True})
    assert await _code(page, "board.createComment", page.user, **at, message="?") == 15
    assert await _code(page, "board.getComments", page.service, group_id=page.id, topic_id=99) == 104


async def test_suggested_post_is_visible_only_after_publication(page: VkPage) -> None:
    control, ts, wall = page.emulator.control, await page.ts(), {"owner_id": -page.id}
    suggested = await page.citizen("Предлагаю скамейку", kind="suggested_post")
    assert (await page.api("wall.get", page.service, **wall))["response"]["count"] == 1
    assert await _code(page, "wall.get", page.service, **wall, filter="suggests") == 15
    listed = (await page.api("wall.get", page.user, **wall, filter="suggests"))["response"]["items"]
    assert [(item["id"], item["post_type"]) for item in listed] == [(suggested["id"], "suggest")]
    posts = f"-{page.id}_{suggested['id']}"
    assert (await page.api("wall.getById", page.service, posts=posts))["response"]["items"] == []
    comment = {**wall, "post_id": suggested["id"], "message": "?"}
    assert await _code(page, "wall.createComment", None, **comment) == 213
    published = await control("publish_suggested", {"page": page.id, "id": suggested["id"]})
    assert published["id"] != suggested["id"]
    post = (await page.api("wall.get", page.service, **wall, extended=1))["response"]
    assert (post["items"][0]["from_id"], post["items"][0]["signer_id"]) == (-page.id, suggested["author"])
    assert [profile["id"] for profile in post["profiles"]] == [suggested["author"]]
    assert (await page.api("wall.get", page.user, **wall, filter="suggests"))["response"]["count"] == 0
    events = (await page.poll(ts))["updates"]
    assert [event["type"] for event in events] == ["wall_post_new"] * 2
    assert [event["object"]["post_type"] for event in events] == ["suggest", "post"]


CLOSED: list[tuple[dict[str, Any], int, int]] = [
    ({"wall": 0}, 15, 213),
    ({"is_closed": 1}, 15, 0),
    ({"is_closed": 2}, 203, 0),
    ({"deactivated": "banned"}, 19, 19),
    ({"deactivated": "deleted"}, 18, 18),
]


@pytest.mark.parametrize(("change", "reading", "writing"), CLOSED)
async def test_closed_page_returns_an_error(
    page: VkPage, change: dict[str, Any], reading: int, writing: int
) -> None:
    written = await page.citizen("Вопрос")
    changed = await page.emulator.control("page", {"page": page.id, **change})
    assert {name: changed[name] for name in change} == change
    assert await _code(page, "wall.get", page.service, owner_id=-page.id) == reading
    at = {"owner_id": -page.id, "post_id": written["thread"]}
    assert await _code(page, "wall.getComments", page.service, **at) == reading
    named = f"-{page.id}_{written['thread']}"
    assert (await page.api("wall.getById", page.service, posts=named))["response"]["items"] == []
    group = (await page.api("groups.getById", page.service, group_id=page.id, fields="wall"))["response"]["groups"]
    assert {name: group[0][name] for name in change} == change
    async with page.emulator.http.post(
        "/_control/citizen", json={"page": page.id, "kind": "comment", "text": "Ещё"}
    ) as response:
        answer = await response.json()
    assert answer.get("error", {}).get("code", 0) == writing
    back = {"wall": 1, "is_closed": 0, "deactivated": None}
    await page.emulator.control("page", {"page": page.id, **back})
    assert "response" in await page.api("wall.get", page.service, owner_id=-page.id)


async def test_closed_comments_and_forbidden_links_are_refused(page: VkPage) -> None:
    control, written = page.emulator.control, await page.citizen("Вопрос, https://example.invalid")
    at = {"owner_id": -page.id, "post_id": written["thread"]}
    await control("page", {"page": page.id, "links": "forbidden"})
    link = {**at, "message": "Смотрите на example.ru"}
    assert await _code(page, "wall.createComment", None, **link) == 222
    await control("page", {"page": page.id, "links": "allowed", "comments": "closed"})
    assert await _code(page, "wall.createComment", None, **link) == 213
    assert await _code(page, "wall.getComments", page.service, **at) == 212
    post = (await page.api("wall.get", page.service, owner_id=-page.id))["response"]["items"][0]
    assert post["comments"]["can_post"] == 0
    await control("page", {"page": page.id, "comments": "open"})
    assert await page.api("wall.closeComments", None, **at) == {"response": 1}
    assert await _code(page, "wall.createComment", None, **link) == 213
    assert (await page.api("wall.getComments", page.service, **at))["response"]["count"] == 1
    assert await page.api("wall.openComments", page.user, **at) == {"response": 1}
    assert "response" in await page.api("wall.createComment", None, **link)


async def test_page_returns_the_profile_set_by_the_control_api(page: VkPage) -> None:
    profile = {
        "contacts": [{"desc": "Приёмная", "phone": "8 800"}],
        "site": "https://example.invalid",
        "verified": 0,
    }
    await page.emulator.control("page", {"page": page.id, "description": "О нас", "fields": profile})
    fields = "description,contacts,site,verified,has_photo,cover,members_count,activity,can_post,wall"
    answer = await page.api("groups.getById", page.service, group_id=page.id, fields=fields)
    group = answer["response"]["groups"][0]
    assert {name: group[name] for name in profile} == profile
    assert (group["description"], group["has_photo"], group["can_post"]) == ("О нас", 1, 1)
    assert set(fields.split(",")) <= set(group)


async def test_control_api_changes_a_page(page: VkPage) -> None:
    control, page = page.emulator.control, await VkPage.open(page.emulator, "facts1")
    given = {
        "verified": False,
        "avatar": False,
        "cover": True,
        "phone": "8 301 221-00-00",
        "address": "ул. Ленина, 1",
    }
    await control("page", {"page": page.id, "name": "Другое имя", "site": "https://example.invalid", **given})
    fields = "verified,has_photo,cover,contacts,addresses,site"
    shown = (await page.api("groups.getById", page.service, group_id=page.id, fields=fields))["response"][
        "groups"
    ][0]
    assert (shown["name"], shown["site"]) == ("Другое имя", "https://example.invalid")
    assert (shown["verified"], shown["has_photo"], shown["cover"]["enabled"]) == (0, 0, 1)
    assert shown["contacts"][0]["phone"] == "8 301 221-00-00"
    assert shown["addresses"]["main_address"]["address"] == "ул. Ленина, 1"
    await control("page", {"page": page.id, "verified": True, "phone": "", "address": ""})
    shown = (await page.api("groups.getById", page.service, group_id=page.id, fields=fields))["response"][
        "groups"
    ][0]
    assert (shown["verified"], shown["contacts"], shown["addresses"]) == (1, [], {"is_enabled": False})
    assert shown["has_photo"] == 0, "fields that were not given must not change"


async def test_staff_can_edit_and_delete_through_the_api(page: VkPage) -> None:
    ts, written = await page.ts(), await page.citizen("Вопрос")
    at = {"owner_id": -page.id, "comment_id": written["id"]}
    assert await _code(page, "wall.editComment", page.user, **at, message="?") == 211
    assert await _code(page, "wall.deleteComment", page.group, **at) == 27
    assert await page.api("wall.deleteComment", page.user, **at) == {"response": 1}
    assert await page.api("wall.restoreComment", page.user, **at) == {"response": 1}
    own = await page.api("wall.createComment", None, owner_id=-page.id, post_id=written["thread"], message="Ответ")
    own_at = {"owner_id": -page.id, "comment_id": own["response"]["comment_id"]}
    assert await page.api("wall.editComment", page.user, **own_at, message="Иначе") == {"response": 1}
    post = {"owner_id": -page.id, "post_id": written["thread"]}
    assert (await page.api("wall.edit", page.user, **post, message="Новость"))["response"] == {
        "post_id": written["thread"]
    }
    assert await page.api("wall.delete", page.user, **post) == {"response": 1}
    assert await _code(page, "wall.delete", page.user, **post) == 104
    assert await _code(page, "wall.getComments", page.service, **post) == 15
    events = (await page.poll(ts))["updates"]
    assert [event["type"].removeprefix("wall_reply_") for event in events] == [
        "new",
        "delete",
        "restore",
        "new",
        "edit",
    ]
    assert events[1]["object"]["deleter_id"] not in {written["author"], 0}


async def test_community_edits_and_deletes_its_messages_within_the_time_limit(page: VkPage) -> None:
    control, written = page.emulator.control, await page.citizen("Вопрос", kind="message")
    ts, peer = await page.ts(), written["author"]
    sent = await page.api("messages.send", peer_ids=peer, random_id=1, message="Ответ")
    cmid = sent["response"][0]["conversation_message_id"]
    where = {"peer_id": peer, "cmid": cmid, "group_id": page.id}
    assert await page.api("messages.edit", **where, message="Иначе") == {"response": 1}
    assert [event["type"] for event in (await page.poll(ts))["updates"]] == ["message_reply", "message_edit"]
    assert await _code(page, "messages.edit", None, **where | {"cmid": written["conversation_message_id"]}) == 100
    gone = {"peer_id": peer, "cmids": cmid, "delete_for_all": 1, "group_id": page.id}
    try:
        await control("settings", {"message_edit_seconds": 0, "message_delete_seconds": 0})
        assert await _code(page, "messages.edit", None, **where, message="Поздно") == 909
        (refused,) = (await page.api("messages.delete", None, **gone))["response"]
        assert (refused["response"], refused["error"]["code"]) == (0, 924)
    finally:
        await control("settings", {"message_edit_seconds": 86_400, "message_delete_seconds": 86_400})
    (deleted,) = (await page.api("messages.delete", None, **gone))["response"]
    assert (deleted["conversation_message_id"], deleted["response"]) == (cmid, 1)
    history = (await page.api("messages.getHistory", None, peer_id=peer))["response"]["items"]
    assert [item["text"] for item in history] == ["Вопрос"]


async def test_messages_to_deactivated_or_blocking_people_are_refused(page: VkPage) -> None:
    control, written = page.emulator.control, await page.citizen("Вопрос", kind="message")
    author, send = written["author"], {"random_id": 0, "message": "Ответ"}
    await page.citizen("И на стене", author=author)
    try:
        for block, code in (("blacklist", 900), ("no_permission", 901), ("privacy", 902)):
            await control("privacy", {"page": page.id, "author": author, "block": block})
            assert await _code(page, "messages.send", None, peer_id=author, **send) == code
            listed = await page.api("messages.send", None, peer_ids=f"{author}", **send)
            assert listed["response"][0]["error"]["code"] == code
            asked = {"group_id": page.id, "user_id": author}
            allowed = await page.api("messages.isMessagesFromGroupAllowed", None, **asked)
            assert allowed == {"response": {"is_allowed": 0}}
        await control("privacy", {"page": page.id, "author": author, "block": None})
        assert isinstance((await page.api("messages.send", None, peer_id=author, **send))["response"], int)
        for how in ("banned", "deleted"):
            await control("author", {"id": author, "deactivated": how})
            assert await _code(page, "messages.send", None, peer_id=author, **send) == 18
            read = await page.api(
                "wall.getComments", page.service, owner_id=-page.id, post_id=1, extended=1, count=100
            )
            (profile,) = read["response"]["profiles"]
            assert (profile["id"], profile["deactivated"]) == (author, how)
        assert profile["first_name"] == "DELETED"
        assert (await page.api("users.get", page.service, user_ids=author))["response"][0]["deactivated"] == how
    finally:
        await control("author", {"id": author, "deactivated": None})


async def test_long_thread_and_message_without_text_are_returned(page: VkPage) -> None:
    root = await page.citizen("Корень")
    for number in range(250):
        await page.citizen(f"Ответ {number}", thread=root["thread"], in_reply_to=root["id"])
    where = {"owner_id": -page.id, "post_id": root["thread"]}
    top = (await page.api("wall.getComments", page.service, **where, thread_items_count=10))["response"]
    assert (top["count"], top["current_level_count"], top["items"][0]["thread"]["count"]) == (251, 1, 250)
    texts: list[str] = []
    for offset in range(0, 300, 100):
        piece = await page.api(
            "wall.getComments", page.service, **where, comment_id=root["id"], count=100, offset=offset
        )
        texts += [item["text"] for item in piece["response"]["items"]]
    assert texts == [f"Ответ {number}" for number in range(250)]
    post = (await page.api("wall.get", page.service, owner_id=-page.id))["response"]["items"][0]
    assert post["comments"]["count"] == 251
    message = await page.citizen("", kind="message", attachments=["photo-1_2", "doc-1_3"])
    history = await page.api("messages.getHistory", None, peer_id=message["author"])
    item = history["response"]["items"][0]
    assert (item["text"], [part["type"] for part in item["attachments"]]) == ("", ["photo", "doc"])


async def test_only_calls_about_the_refused_conversation_are_refused(page: VkPage) -> None:
    control = page.emulator.control
    closed, other = [(await page.citizen("Здравствуйте", kind="message"))["author"] for _ in range(2)]
    sent: dict[str, Any] = {"message": "Ответ", "random_id": 0}
    number = (await page.api("messages.send", peer_ids=closed, **sent))["response"][0]["conversation_message_id"]
    await control("peer", {"page": page.id, "peer": closed, "code": 936})
    at = {"group_id": page.id, "peer_id": closed}
    assert await _code(page, "messages.getHistory", **at) == 936
    assert await _code(page, "messages.edit", **at, cmid=number, message="Иначе") == 936
    assert await _code(page, "messages.delete", **at, cmids=number, delete_for_all=1) == 936
    answers = (await page.api("messages.send", peer_ids=f"{closed},{other}", **sent))["response"]
    assert [one.get("error", {}).get("code") for one in answers] == [936, None]
    shown = (await page.api("messages.getConversations", group_id=page.id))["response"]
    assert shown["count"] == 2
    code = f"return [API.messages.getHistory({{peer_id:{closed}}}),API.messages.getHistory({{peer_id:{other}}})];"
    batch = await page.api("execute", code=code)
    assert (batch["response"][0], batch["execute_errors"][0]["error_code"]) == (False, 936)
    assert batch["response"][1]["count"] == 2
    unknown = {"page": page.id, "peer": closed, "code": 424_242}
    async with page.emulator.http.post("/_control/peer", json=unknown) as response:
        assert (response.status, (await response.json())["detail"][0]["loc"][-1]) == (422, "code")
    await control("peer", {"page": page.id, "peer": closed, "code": None})
    assert "response" in await page.api("messages.getHistory", **at)


async def test_messages_after_the_time_to_reply_get_error_950(page: VkPage) -> None:
    control = page.emulator.control
    written = await page.citizen("Здравствуйте", kind="message")
    await control("settings", {"reply_window_seconds": 0.001})
    try:
        sent: dict[str, Any] = {"peer_ids": written["author"], "message": "Ответ", "random_id": 0}
        (answer,) = (await page.api("messages.send", **sent))["response"]
        assert answer["error"]["code"] == 950
    finally:
        await control("settings", {"reply_window_seconds": 0})
    (answer,) = (await page.api("messages.send", **sent))["response"]
    assert answer["conversation_message_id"] == 2


async def test_changes_that_do_not_take_effect_return_0(page: VkPage) -> None:
    control = page.emulator.control
    post = (await control("post", {"page": page.id, "text": "Новость"}))["id"]
    own: dict[str, Any] = {"owner_id": -page.id}
    comment = (await page.api("wall.createComment", **own, post_id=post, message="Ответ"))["response"][
        "comment_id"
    ]
    topic = await control("board", {"page": page.id, "title": "Тема", "text": "Текст"})
    at: dict[str, Any] = {"group_id": page.id, "topic_id": topic["id"]}
    said = (await page.api("board.createComment", page.user, **at, message="Ответ", from_group=1))["response"]
    peer = (await page.citizen("Здравствуйте", kind="message"))["author"]
    await page.api("messages.send", peer_ids=peer, message="Ответ", random_id=0)
    calls: list[tuple[str, str, dict[str, Any]]] = [
        ("wall.editComment", page.user, {**own, "comment_id": comment, "message": "Иначе"}),
        ("wall.deleteComment", page.user, {**own, "comment_id": comment}),
        ("board.editComment", page.user, {**at, "comment_id": said, "message": "Иначе"}),
        ("board.deleteComment", page.user, {**at, "comment_id": said}),
        ("messages.edit", page.group, {"peer_id": peer, "cmid": 2, "message": "Иначе"}),
        ("messages.delete", page.group, {"peer_id": peer, "cmids": 2, "delete_for_all": 1}),
    ]
    await control("settings", {"changes_take_effect": False})
    try:
        answers = [(await page.api(method, token, **params))["response"] for method, token, params in calls]
        assert answers[:5] == [0] * 5
        assert answers[5][0]["response"] == 0
        shown = (await control(f"answers?page={page.id}", method="GET"))["items"]
        assert [item["text"] for item in shown].count("Ответ") == 3
    finally:
        await control("settings", {"changes_take_effect": True})
    answers = [(await page.api(method, token, **params))["response"] for method, token, params in calls]
    assert answers[:5] == [1] * 5
    assert answers[5][0]["response"] == 1


async def test_embedded_replies_and_short_pages_follow_the_settings(page: VkPage) -> None:
    control = page.emulator.control
    post, root = await page.long_thread()
    where: dict[str, Any] = {"owner_id": -page.id, "post_id": post}
    branch = (await page.api("wall.getComments", page.service, **where, comment_id=root, count=100))["response"]
    ids = [item["id"] for item in branch["items"]]
    embedded = {}
    for which in ("newest", "oldest"):
        await control("settings", {"thread_items": which})
        read = await page.api("wall.getComments", page.service, **where, thread_items_count=10)
        embedded[which] = [one["id"] for one in read["response"]["items"][0]["thread"]["items"]]
    assert embedded == {"newest": ids[-10:], "oldest": ids[:10]}
    await page.citizen("На стену", kind="wall_post")
    await control("settings", {"wall_page_size": 1})
    try:
        answer = (await page.api("wall.get", page.service, owner_id=-page.id, count=100))["response"]
        assert (len(answer["items"]), answer["count"] > 1) == (1, True)
    finally:
        await control("settings", {"wall_page_size": 100})


async def test_shared_content_is_pushed_and_returned(page: VkPage) -> None:
    control, ts = page.emulator.control, await page.ts()
    share: dict[str, Any] = {"page": page.id, "place": {"latitude": 51.8, "longitude": 107.6}}
    spoken = [{"text": "Соседка пишет", "inner": [{"text": "Ещё раньше"}]}]
    written = await control("share", share | {"kind": "message", "forwarded": spoken})
    notice = {"page": page.id, "kind": "message", "author": written["author"], "notice": "chat_invite_user"}
    await control("share", notice)
    post = await control("share", share | {"kind": "wall_post", "reposted": [{"text": "Яма"}]})
    message, joined, shown = [one["object"] for one in (await page.poll(ts))["updates"]]
    forwarded = message["message"]["fwd_messages"]
    assert (forwarded[0]["text"], forwarded[0]["fwd_messages"][0]["text"]) == ("Соседка пишет", "Ещё раньше")
    assert message["message"]["geo"]["coordinates"] == {"latitude": 51.8, "longitude": 107.6}
    assert joined["message"]["action"] == {"type": "chat_invite_user"}
    assert (shown["copy_history"][0]["text"], shown["geo"]["coordinates"]) == ("Яма", "51.8 107.6")
    history = (await page.api("messages.getHistory", peer_id=written["author"]))["response"]
    assert history["items"] == [joined["message"], message["message"]]
    read = (await page.api("wall.getById", page.service, posts=f"-{page.id}_{post['id']}"))["response"]
    assert read["items"][0]["copy_history"] == shown["copy_history"]
    for kind, name in (("wall_post", "forwarded"), ("message", "reposted")):
        wrong = share | {"kind": kind, name: spoken}
        async with page.emulator.http.post("/_control/share", json=wrong) as response:
            assert (response.status, (await response.json())["detail"][0]["loc"][-1]) == (422, name)


async def test_calls_about_one_topic_are_refused_alone_and_short_lists_follow_the_settings(page: VkPage) -> None:
    control = page.emulator.control
    topics = [await control("board", {"page": page.id, "title": f"Тема {n}", "text": "Пишите"}) for n in range(2)]
    refused, other = topics
    await control("topic", {"page": page.id, "thread": refused["thread"], "code": 15})
    comments = [
        await page.api("board.getComments", page.service, group_id=page.id, topic_id=one["id"]) for one in topics
    ]
    assert [one.get("error", {}).get("error_code") for one in comments] == [15, None]
    listed = await page.api("board.getTopics", page.service, group_id=page.id)
    assert {one["id"] for one in listed["response"]["items"]} >= {refused["id"], other["id"]}
    await control("settings", {"page_sizes": {"board.getTopics": 1}})
    try:
        short = (await page.api("board.getTopics", page.service, group_id=page.id, count=100))["response"]
        assert (len(short["items"]), short["count"] > 1) == (1, True)
    finally:
        await control("settings", {"page_sizes": {}})
    await control("topic", {"page": page.id, "thread": refused["thread"], "code": None})
    again = await page.api("board.getComments", page.service, group_id=page.id, topic_id=refused["id"])
    assert again["response"]["count"] == 1
