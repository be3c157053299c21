"""The Bot API: chats, messages, sending."""

import base64

from tests.unit.emulators.ok.signed_client import Network


async def test_info_returns_group_of_token(network: Network) -> None:
    assert await network.graph("info") == {"name": "Школа № 1", "group_id": f"group:{network.page}"}
    for token, code in (("wrong", 103), ("", 103), (network.user["token"], 103)):
        response = await network.http.get("/graph/me/info", params={"access_token": token})
        assert response.status_code == 200
        assert response.json()["error_code"] == code
        assert response.headers["invocation-error"] == str(code)


async def test_new_bot_token_invalidates_the_old_one(network: Network) -> None:
    fresh = await network.control("tokens", {"kind": "group", "page": network.page})
    assert (await network.graph("info"))["error_code"] == 102
    network.bot = fresh["token"]
    assert (await network.graph("info"))["group_id"] == f"group:{network.page}"


async def test_chats_are_paged_by_marker(network: Network) -> None:
    authors = [f"5700000000{number:02d}" for number in range(1, 8)]
    made = [(await network.citizen("Вопрос", "message", author=author))["thread"] for author in authors]
    await network.citizen("Ещё вопрос", "message", author=authors[2])
    expected = [made[2], *[chat for chat in made[::-1] if chat != made[2]]]
    found: list[str] = []
    query: dict[str, str] = {}
    while True:
        page = await network.graph("chats", count=3, **query)
        found += [chat["chat_id"] for chat in page["chats"]]
        if "marker" not in page:
            break
        assert base64.b64decode(page["marker"]).startswith(b"-")
        query = {"marker": page["marker"]}
    assert found == expected
    chat = await network.graph(f"chat/{made[0]}")
    assert chat == await network.graph("chat", chat_id=made[0])
    assert chat["participants"] == {f"user:{authors[0]}": chat["lastEventTime"]}
    assert chat["owner_id"] == f"user:{authors[0]}"
    for bad in ("0", "101", "x"):
        assert (await network.graph("chats", count=bad))["error_code"] == 2001
    assert (await network.graph("chats", marker="!"))["error_code"] == 100


async def test_messages_between_two_times_are_newest_first(network: Network) -> None:
    private = await network.citizen("Первое", "message", author="570000000001")
    for text in ("Второе", "Третье"):
        await network.citizen(text, "message", thread=private["thread"])
    newest_first = (await network.graph(f"messages/{private['thread']}"))["messages"]
    assert [item["message"]["text"] for item in newest_first] == ["Третье", "Второе", "Первое"]
    assert newest_first[0]["message"]["seq"] > 2**53
    assert newest_first[0]["sender"]["user_id"] == "user:570000000001"
    assert newest_first[0]["message"]["mid"].startswith(private["thread"].replace("chat:", "mid:") + ".")
    latest, earliest = newest_first[0]["timestamp"], newest_first[-1]["timestamp"]
    window = {"chat_id": private["thread"], "count": 2, "from": latest, "to": earliest}
    assert len((await network.graph("messages", **window))["messages"]) == 2
    assert (await network.graph("messages", **{**window, "from": 1, "to": 2}))["error_code"] == 2001
    early = {**window, "from": earliest - 1, "to": 0}
    assert (await network.graph("messages", **early))["messages"] == []
    assert (await network.graph("messages/chat:C0"))["error_code"] == 705


async def test_message_is_sent_for_every_form_of_recipient(network: Network) -> None:
    private = await network.citizen("Вопрос", "message", author="570000000001")
    chat, text = private["thread"], {"message": {"text": "Ответ", "reply_to": private["id"]}}
    for path, recipient in (
        ("messages", {"chat_id": chat}),
        ("messages/", {"user_id": "user:570000000001"}),
        ("messages", {"user_id": "570000000001"}),
        (f"messages/{chat}", {"chat_id": chat}),
        (f"messages/{chat}", None),
    ):
        body = {**text, "recipient": recipient} if recipient else text
        echo = await network.graph(path, body)
        newest = (await network.graph(f"messages/{chat}", count=1))["messages"][0]
        assert echo["message_id"] == newest["message"]["mid"]
        assert echo["recipient"] == (recipient or {"chat_id": chat})
        assert newest["sender"]["user_id"] == f"group:{network.page}"
        assert newest["message"]["reply_to"] == private["id"]
    many = {"recipient": {"user_ids": ["user:570000000001", "570000000002"]}, "message": {"text": "Всем"}}
    assert await network.graph("messages", many) == {"success": [True, False], "chat_ids": [chat, None]}
    image = {"type": "IMAGE", "payload": {"url": "https://example.invalid/1.png"}}
    await network.graph("messages", {"recipient": {"chat_id": chat}, "message": {"attachment": image}})
    newest = (await network.graph(f"messages/{chat}", count=1))["messages"][0]
    assert newest["message"]["attachments"] == [image]
    seen = await network.graph("messages", {"recipient": {"chat_id": chat}, "sender_action": "mark_seen"})
    assert seen == {"success": True}


async def test_invalid_message_is_refused(network: Network) -> None:
    private = await network.citizen("Вопрос", "message", author="570000000001")
    to = {"recipient": {"chat_id": private["thread"]}}
    for body, code in (
        ({**to, "message": {"text": ""}}, 100),
        ({**to, "message": {"text": "я" * 4001}}, 100),
        ({**to, "message": {"text": "x", "reply_to": "mid:C1.1"}}, 140),
        ({**to, "message": "x"}, 2001),
        (to, 2001),
        ({"message": {"text": "x"}}, 2001),
        ({"recipient": {"user_id": "570000000009"}, "message": {"text": "x"}}, 458),
        ({"recipient": {"chat_id": "chat:C1"}, "message": {"text": "x"}}, 705),
        ({**to, "sender_action": "dance"}, 2001),
        ([], 2001),
    ):
        assert (await network.graph("messages", body))["error_code"] == code, body
    response = await network.http.post(
        "/graph/me/messages", params={"access_token": network.bot}, content=b'{"message": {"text": "x"}}'
    )
    assert response.json()["error_code"] == 2001
    assert len((await network.graph(f"messages/{private['thread']}"))["messages"]) == 1


async def test_chats_are_hidden_from_other_groups(network: Network) -> None:
    private = await network.citizen("Вопрос", "message")
    await network.open_page("Больница", "clinic")
    assert (await network.graph("chats"))["chats"] == []
    assert (await network.graph(f"messages/{private['thread']}"))["error_code"] == 705


async def test_subscriptions_are_added_listed_and_removed(network: Network) -> None:
    url = "https://hooks.invalid/ok?secret=1"
    assert await network.graph("subscribe", {"url": url}) == {"success": True}
    assert await network.graph("subscribe", {"url": url, "types": ["MESSAGE_CREATED"]}) == {"success": True}
    (subscription,) = (await network.graph("subscriptions"))["subscriptions"]
    assert subscription["url"] == url
    assert await network.graph("unsubscribe", {"url": url}) == {"success": True}
    assert await network.graph("unsubscribe", {"url": url}) == {"success": False}
    assert (await network.graph("subscriptions"))["subscriptions"] == []
    for body in ({}, {"url": "ftp://x.invalid"}, {"url": "http://[x"}, {"url": url, "types": ["NEWS"]}):
        assert (await network.graph("subscribe", body))["error_code"] == 2001


async def test_subscriptions_end_with_the_token_if_configured(network: Network) -> None:
    url = "https://hooks.invalid/ok"
    await network.graph("subscribe", {"url": url})
    network.bot = (await network.control("tokens", {"kind": "group", "page": network.page}))["token"]
    assert len((await network.graph("subscriptions"))["subscriptions"]) == 1
    await network.control("settings", {"subscriptions_end_with_token": True})
    network.bot = (await network.control("tokens", {"kind": "group", "page": network.page}))["token"]
    assert (await network.graph("subscriptions"))["subscriptions"] == []


async def test_exceeded_limits_are_refused(network: Network) -> None:
    network.world.settings.bot_calls_per_day = 2
    codes = [(await network.graph("info")).get("error_code") for _ in range(3)]
    assert codes == [None, None, 11]
    network.world.settings.bot_calls_per_day = 0
    network.world.settings.bot_calls_per_second = 1
    codes = [(await network.graph("chats")).get("error_code") for _ in range(2)]
    assert codes == [None, 8]
