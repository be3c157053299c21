"""Closed and blocked groups, deleted users and rejected texts."""

from typing import Any

import pytest

from tests.unit.emulators.ok.signed_client import Network


async def rules(network: Network, **changes: Any) -> dict[str, Any]:
    """Change the page's rules and return the description of the group."""
    answer = await network.control("page", {"page": network.page, **changes})
    info: dict[str, Any] = answer["info"]
    return info


async def settings(network: Network, **changes: Any) -> None:
    """Change settings of the running network."""
    assert await network.control("settings", changes) == changes


def code(answer: Any) -> int | None:
    """Return the error code of a response, or None."""
    return answer.get("error_code") if isinstance(answer, dict) else None


async def stranger(network: Network) -> dict[str, Any]:
    """Return the token of a user who administers only another page."""
    other = await network.control("pages", {"name": "Больница", "screen_name": "clinic"})
    made: dict[str, Any] = await network.control("tokens", {"kind": "user", "page": other["id"]})
    return made


async def test_group_shows_what_the_control_api_set(network: Network) -> None:
    plain = await rules(network)
    assert "main_photo" in plain
    assert not {"cover", "phone", "address", "homepage_url"} & set(plain)
    given = {"phone": "8 301 221-00-00", "address": "ул. Ленина, 1", "site": "https://example.invalid"}
    shown = await rules(network, verified=False, avatar=False, cover=True, screen_name="renamed", **given)
    assert (shown["gos_org"], shown["shortname"], shown["homepage_url"]) == (False, "renamed", given["site"])
    assert {"cover", "phone", "address"} <= set(shown)
    assert "main_photo" not in shown
    other = await network.control("pages", {"name": "Больница", "screen_name": "clinic"})
    await network.control("page", {"page": other["id"], "screen_name": "renamed"}, status=422)
    await rules(network, removed=True)
    answer = await network.call("group.getInfo", uids=f"{network.page},{other['id']}", fields="uid")
    assert answer == [{"uid": other["id"]}], "a deleted group must be left out"
    assert code(await network.call("mediatopic.getTopics", gid=network.page)) == 160


async def test_setting_decides_who_may_comment(network: Network) -> None:
    assert (await rules(network, who_can_comment="ADMINS"))["who_can_comment"] == "ADMINS"
    refused = await network.control(
        "citizen", {"page": network.page, "kind": "comment", "text": "Можно?"}, status=400
    )
    assert refused["error"]["code"] == 456
    assert code(await network.answer("Лично", as_admin="false")) == 456
    assert isinstance(await network.answer("От страницы"), str)
    await rules(network, who_can_comment="NOBODY")
    assert code(await network.answer("От страницы")) == 456
    assert len((await network.comments())["comments"]) == 1
    await rules(network, who_can_comment="EVERYONE")
    await network.citizen("Можно!")


async def test_closed_discussion_accepts_no_comments(network: Network) -> None:
    other = (await network.control("post", {"page": network.page, "text": "Другая тема"}))["thread"]
    place = {"page": network.page, "thread": network.topic}
    await network.control("commenting", {**place, "closed": True})
    refused = await network.control("citizen", {**place, "kind": "comment", "text": "Можно?"}, status=400)
    assert refused["error"]["code"] == 456
    assert code(await network.answer("Ответ")) == 456
    await network.citizen("Здесь можно", thread=other)
    await network.control("commenting", {**place, "closed": False})
    assert isinstance(await network.answer("Ответ"), str)
    await network.control("commenting", {**place, "thread": "1", "closed": True}, status=404)


async def test_closed_group_is_readable_only_by_its_administrators(network: Network) -> None:
    other = await stranger(network)
    assert (await rules(network, closed=True))["private"] is True
    place: dict[str, Any] = {"discussionId": network.topic, "discussionType": "GROUP_TOPIC"}
    calls: tuple[tuple[str, dict[str, Any]], ...] = (
        ("mediatopic.getTopics", {"gid": network.page}),
        ("discussions.getComments", place),
        ("discussions.get", place),
        ("group.getCounters", {"group_id": network.page, "counterTypes": "themes"}),
    )
    for method, params in calls:
        assert code(await network.call(method, other, **params)) == 10, method
        assert code(await network.call(method, **params)) is None, method
    assert (await network.call("mediatopic.getByIds", other, topic_ids=network.topic))["media_topics"] == []
    (info,) = await network.call("group.getInfo", other, uids=network.page, fields="private,role")
    assert info == {"uid": network.page, "private": True}


async def test_group_that_revoked_the_rights_refuses_calls(network: Network) -> None:
    await network.citizen("Вопрос")
    await rules(network, administered=False)
    assert (await network.call("discussions.getList", category="GROUP"))["discussions"] == []
    assert (await network.call("group.getUserGroupsV2"))["groups"] == []
    assert code(await network.answer("Ответ")) == 50
    assert len((await network.comments())["comments"]) == 1
    await rules(network, closed=True)
    assert code(await network.comments()) == 10


async def test_blocked_group_shows_only_its_name(network: Network) -> None:
    private = await network.citizen("Личное", "message")
    assert (await rules(network, deactivated=True))["status"] == "DISABLED"
    (info,) = await network.call("group.getInfo", uids=network.page, fields="status,gos_org")
    assert info["status"] == "DISABLED"
    assert code(await network.call("mediatopic.getTopics", gid=network.page)) == 160
    assert code(await network.comments()) == 456
    assert code(await network.answer("Ответ")) == 456
    assert (await network.call("discussions.getList", category="GROUP"))["discussions"] == []
    assert code(await network.graph("chats")) == 456
    for kind in ("comment", "wall_post", "message"):
        answer = await network.control("citizen", {"page": network.page, "kind": kind, "text": "x"}, status=400)
        assert answer["error"]["code"] == 456
    await rules(network, deactivated=False)
    assert (await network.graph("chats"))["chats"][0]["chat_id"] == private["thread"]


async def test_changed_group_description_is_returned(network: Network) -> None:
    renamed = await network.control("page", {"page": network.page, "name": "Школа № 2"})
    assert renamed["name"] == renamed["info"]["name"] == "Школа № 2"
    changes = {"gos_org": False, "members_count": 12_345, "description": "Новое", "messages_allowed": False}
    assert changes.items() <= (await rules(network, **changes)).items()
    await settings(network, group_info_answer="groups")
    answer = await network.call("group.getInfo", uids=network.page, fields="gos_org,members_count,description")
    changes.pop("messages_allowed")
    assert answer == {"groups": [{"uid": network.page, **changes}]}
    refused = await network.control("citizen", {"page": network.page, "kind": "message", "text": "x"}, status=400)
    assert refused["error"]["code"] == 458


async def test_lists_always_omit_the_same_comments_if_only_a_share_is_shown(network: Network) -> None:
    made = [(await network.citizen(f"Вопрос {number}"))["id"] for number in range(60)]
    ours = await network.answer("Ответ страницы")
    await rules(network, comments_share=0.7)

    async def walked(direction: str) -> list[str]:
        found: list[str] = []
        anchor, more = "FIRST" if direction == "FORWARD" else "LAST", True
        while more:
            page = await network.comments(anchor=anchor, direction=direction, count=7)
            found += [item["id"] for item in page["comments"]]
            anchor, more = page["anchor"], page["has_more"]
        return found

    shown = await walked("FORWARD")
    assert 33 <= len(shown) - 1 <= 51
    assert set(shown) - {ours} < set(made)
    assert shown[-1] == ours
    assert await walked("BACKWARD") == shown[::-1]
    listed = await network.call("discussions.getList", category="GROUP")
    assert listed["discussions"][0]["total_comments_count"] == 61
    hidden = next(ident for ident in made if ident not in shown)
    one = await network.call(
        "discussions.getComment", discussionId=network.topic, discussionType="GROUP_TOPIC", comment_id=hidden
    )
    assert one["comment"]["id"] == hidden
    await rules(network, comments_share=1)
    assert len(await walked("FORWARD")) == 61


async def test_deleted_and_blocked_authors_are_shown_as_in_the_network(network: Network) -> None:
    deleted = await network.citizen("Удалюсь")
    blocked = await network.citizen("Заблокируют", author="570000000099")
    private = await network.citizen("Личное", "message", author=deleted["author"])
    await network.control("person", {"author": deleted["author"], "state": "deleted"})
    await network.control("person", {"author": blocked["author"], "state": "blocked"})
    answer = await network.comments()
    first, second = answer["comments"]
    assert "author_name" not in first
    assert first["author_id"] == deleted["author"]
    assert second["author_name"]
    assert [(user["uid"], user["blocked"]) for user in answer["entities"]["users"]] == [(blocked["author"], True)]
    (message,) = (await network.graph(f"messages/{private['thread']}"))["messages"]
    assert message["sender"] == {"user_id": f"user:{deleted['author']}"}
    sent = await network.graph(f"messages/{private['thread']}", {"message": {"text": "Ответ"}})
    assert code(sent) == 458
    again = {"page": network.page, "kind": "comment", "text": "x", "author": deleted["author"]}
    assert (await network.control("citizen", again, status=400))["error"]["code"] == 25


async def test_message_without_the_permission_of_its_recipient_is_refused(network: Network) -> None:
    person = {"page": network.page, "author": "570000000011"}
    to = {"recipient": {"user_id": "user:570000000011"}, "message": {"text": "Здравствуйте"}}
    assert code(await network.graph("messages", to)) == 458
    await network.control("permission", {**person, "allowed": True})
    echo = await network.graph("messages", to)
    assert echo["message_id"].startswith("mid:")
    await network.control("permission", {**person, "allowed": False})
    assert code(await network.graph("messages", to)) == 458
    many = {"recipient": {"user_ids": ["570000000011"]}, "message": {"text": "Всем"}}
    assert await network.graph("messages", many) == {"success": [False], "chat_ids": [None]}
    await network.citizen("Снова я", "message", author="570000000011")
    assert code(await network.graph("messages", to)) is None


async def test_censored_and_repeated_texts_are_refused(network: Network) -> None:
    private = await network.citizen("Вопрос", "message")
    await settings(network, censor_words=["Дурак"], antispam_repeats=2)
    assert code(await network.answer("сам ДУРАК!")) == 454
    assert code(await network.graph(f"messages/{private['thread']}", {"message": {"text": "дурак"}})) == 454
    kept = await network.answer("Спасибо за обращение")
    edit = {"discussionId": network.topic, "discussionType": "GROUP_TOPIC", "comment_id": kept}
    assert code(await network.call("discussions.editDiscussionComment", **edit, comment="Дурак")) == 454
    assert isinstance(await network.answer("Спасибо за обращение"), str)
    assert code(await network.answer("Спасибо за обращение")) == 511
    assert isinstance(await network.answer("Спасибо за вопрос"), str)


async def test_settings_decide_how_removed_comments_are_shown(network: Network) -> None:
    gone = await network.citizen("Исчезает", attachments=["https://example.invalid/1.jpg"])
    await network.citizen("Остаётся")
    place: dict[str, Any] = {
        "discussionId": network.topic,
        "discussionType": "GROUP_TOPIC",
        "comment_id": gone["id"],
    }
    params: dict[str, Any] = {"mark_as_spam": "true", "block_author": "true"}
    assert await network.call("discussions.deleteDiscussionComment", **place, **params) is True
    await settings(network, removed_type="DELETED", removed_shown="all")
    removed, kept = (await network.comments(includeRemoved="true"))["comments"]
    assert (removed["id"], removed["type"], removed["text"]) == (gone["id"], "DELETED", "")
    assert "attachments" not in removed
    assert kept["type"] == "ACTIVE_MESSAGE"
    await settings(network, removed_text=True)
    assert (await network.comments(includeRemoved="true"))["comments"][0]["text"] == "Исчезает"
    await settings(network, removed_shown="none")
    assert len((await network.comments(includeRemoved="true"))["comments"]) == 1
    again = {"page": network.page, "kind": "comment", "text": "x", "author": gone["author"]}
    assert (await network.control("citizen", again, status=400))["error"]["code"] == 456


async def test_only_own_comments_that_others_removed_are_shown_by_default(network: Network) -> None:
    place: dict[str, Any] = {"discussionId": network.topic, "discussionType": "GROUP_TOPIC"}
    theirs = await network.citizen("Чужой")
    by_author, by_group = [await network.answer(text, as_admin="false") for text in ("Мой", "И этот мой")]
    await network.control("delete", {"page": network.page, "id": by_author, "by": "author"})
    for ident in (theirs["id"], by_group):
        assert await network.call("discussions.deleteDiscussionComment", **place, comment_id=ident) is True
    shown = (await network.comments(includeRemoved="true"))["comments"]
    assert [(item["id"], item["type"]) for item in shown] == [(by_group, "REMOVED_MESSAGE")]


@pytest.mark.parametrize(
    "fields",
    ["comment.*,date_ms", "date", "comment.CREATED_MS", "media_topic.*", "comment.*,comment.DATE_MS,reply.*"],
)
async def test_unknown_field_refuses_the_whole_call(network: Network, fields: str) -> None:
    await network.citizen("Вопрос")
    assert code(await network.comments(fields=fields)) == 220
    await settings(network, field_error=100)
    assert code(await network.comments(fields=fields)) == 100


async def test_fields_are_known_in_any_case_until_a_setting_removes_them(network: Network) -> None:
    await network.citizen("Вопрос")
    for fields in ("comment.DATE_MS", "comment.date_ms,user.*", "comment.*"):
        (shown,) = (await network.comments(fields=fields))["comments"]
        assert shown["date_ms"] > 0
    await settings(network, unknown_fields=["comment.DATE_MS", "media_topic.*"])
    assert code(await network.comments(fields="comment.*,comment.date_ms")) == 220
    (shown,) = (await network.comments(fields="comment.*"))["comments"]
    assert "date_ms" not in shown
    assert code(await network.call("mediatopic.getTopics", gid=network.page, fields="media_topic.*")) == 220


@pytest.mark.parametrize("method", ["mediatopic.getTopics", "mediatopic.getByIds"])
async def test_topics_have_summaries_and_entities_only_on_request(network: Network, method: str) -> None:
    params: dict[str, Any] = {"gid": network.page} if method.endswith("Topics") else {"topic_ids": network.topic}
    plain = await network.call(method, **params)
    assert set(plain["media_topics"][0]) == {"id", "created_ms", "author_ref", "owner_ref", "media"}
    assert "entities" not in plain
    full = await network.call(method, **params, fields="media_topic.*,user.*,group.*")
    assert full["media_topics"][0]["discussion_summary"]["comments_count"] == 0
    assert {"like_summary", "reshare_summary"} <= set(full["media_topics"][0])
    assert full["entities"]["groups"][0]["uid"] == network.page
    few = await network.call(method, **params, fields="media_topic.ID,media_topic.LIKE_SUMMARY")
    assert "like_summary" in few["media_topics"][0]
    assert "discussion_summary" not in few["media_topics"][0]


@pytest.mark.parametrize("form", ["omitted", "null", "null_answer"])
async def test_empty_lists_have_the_configured_form(network: Network, form: str) -> None:
    await settings(network, empty_lists=form)
    answers = {
        "comments": await network.comments(),
        "discussions": await network.call("discussions.getList", category="MY"),
        "media_topics": await network.call("mediatopic.getByIds", topic_ids="150000000009999"),
        "chats": await network.graph("chats"),
        "subscriptions": await network.graph("subscriptions"),
    }
    for name, answer in answers.items():
        match form:
            case "omitted":
                assert name not in answer, name
            case "null":
                assert answer[name] is None, name
            case _:
                assert answer is None, name
    await network.citizen("Вопрос")
    assert len((await network.comments())["comments"]) == 1


@pytest.mark.parametrize(("answer", "expected"), [("false", False), ("zero", 0), ("object", {"success": False})])
async def test_changes_without_effect_say_so_without_an_error(
    network: Network, answer: str, expected: object
) -> None:
    comment = await network.answer("Черновик")
    place: dict[str, Any] = {"discussionId": network.topic, "discussionType": "GROUP_TOPIC", "comment_id": comment}
    await settings(network, changes_answer=answer)
    edited = await network.call("discussions.editDiscussionComment", **place, comment="Чистовик")
    deleted = await network.call("discussions.deleteDiscussionComment", **place)
    assert [edited, deleted] == [expected, expected]
    assert [item["text"] for item in (await network.comments())["comments"]] == ["Черновик"]


async def test_settings_select_formats_of_earlier_versions(network: Network) -> None:
    await network.citizen("Вопрос")
    await settings(network, comment_date_ms=False, comment_answer="comment", empty_text=False)
    (shown,) = (await network.comments(fields="comment.*"))["comments"]
    assert "date_ms" not in shown
    assert len(shown["date"]) == len("2026-01-01 00:00:00")
    assert (await network.answer("Ответ"))["text"] == "Ответ"
    private = await network.citizen("", "message", attachments=["https://example.invalid/1.jpg"])
    (message,) = (await network.graph(f"messages/{private['thread']}"))["messages"]
    assert "text" not in message["message"]
    assert message["message"]["attachments"][0]["type"] == "IMAGE"


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("settings", {"port": 1}, "port"),
        ("settings", {"nonsense": 1}, "nonsense"),
        ("settings", {"comment_answer": "id", "removed_type": None}, "removed_type"),
        ("settings", {"antispam_repeats": -1}, "antispam_repeats"),
        ("page", {"page": "school1", "comments_share": 1.5}, "comments_share"),
        ("page", {"page": "school1", "who_can_comment": "x"}, "who_can_comment"),
        ("person", {"author": "x", "state": "deleted"}, "author"),
        ("chat", {"page": "school1", "thread": "chat:C1", "event": "USER_LEFT", "title": "x"}, "title"),
        ("subscriptions", {"page": "school1", "drop": False}, "drop"),
    ],
)
async def test_invalid_request_is_refused_naming_the_field(
    network: Network, path: str, body: dict[str, Any], field: str
) -> None:
    answer = await network.control(path, body, status=422)
    assert answer["detail"][0]["loc"][-1] == field
    assert network.world.settings.comment_answer == "id"


async def test_paging_misses_no_discussion_while_comments_are_added(network: Network) -> None:
    state = network.world.discussions
    posts = [state.add_topic(network.page, "user:570000000001", f"Вопрос {number}") for number in range(330)]
    found: list[str] = []
    params: dict[str, Any] = {"category": "GROUP", "count": 100}
    while True:
        page = await network.call("discussions.getList", **params)
        if not page["discussions"]:
            break
        found += [item["object_id"] for item in page["discussions"]]
        params["anchor"] = page["anchor"]
        # A discussion with a new comment moves before the anchor: this pass still returns all other discussions.
        await network.citizen("Свежее", thread=found[-1])
    assert found == [*posts[::-1], network.topic]
    topics: list[str] = []
    params = {"gid": network.page, "count": 100}
    while True:
        page = await network.call("mediatopic.getTopics", **params)
        topics += [item["id"] for item in page["media_topics"]]
        if not page["has_more"]:
            break
        params["anchor"] = page["anchor"]
    assert topics == found


async def test_paging_by_marker_misses_no_chat_while_messages_arrive(network: Network) -> None:
    made = [
        (await network.citizen("Вопрос", "message", author=f"5710000{number:05d}"))["thread"]
        for number in range(230)
    ]
    found: list[str] = []
    query: dict[str, str] = {}
    while True:
        page = await network.graph("chats", count=100, **query)
        found += [chat["chat_id"] for chat in page["chats"]]
        if "marker" not in page:
            break
        query = {"marker": page["marker"]}
        await network.citizen("Ещё", "message", thread=found[0])
    assert found == made[::-1]


async def test_profile_address_of_a_deleted_person_is_unknown(network: Network) -> None:
    author = (await network.citizen("Вопрос"))["author"]
    found = await network.call("url.getInfo", url=f"https://ok.ru/profile/{author}")
    assert (found["objectIdStr"], found["type"]) == (author, "PROFILE")
    await network.control("person", {"author": author, "state": "deleted"})
    assert await network.call("url.getInfo", url=f"https://ok.ru/profile/{author}") == {"type": "UNKNOWN"}


async def test_stranger_cannot_delete_or_edit_a_comment(network: Network) -> None:
    other = await stranger(network)
    asked = await network.citizen("Вопрос")
    target = {"discussionId": network.topic, "discussionType": "GROUP_TOPIC", "comment_id": asked["id"]}
    assert code(await network.call("discussions.deleteDiscussionComment", other, **target)) == 50
    assert code(await network.call("discussions.editDiscussionComment", other, **target, comment="x")) == 701
    assert (await network.comments())["comments"][0]["text"] == "Вопрос"


async def test_edited_comment_is_new_until_marked_as_read_and_is_deleted_once(network: Network) -> None:
    asked = await network.citizen("Вопрос")
    place: dict[str, Any] = {"discussionId": network.topic, "discussionType": "GROUP_TOPIC"}
    target = {**place, "comment_id": asked["id"]}
    await network.control("edit", {"page": network.page, "id": asked["id"], "text": "Вопрос точнее"})
    listed = await network.call("discussions.getList", category="GROUP")
    seen = next(item for item in listed["discussions"] if item["object_id"] == network.topic)
    assert (seen["total_comments_count"], seen["new_comments_count"]) == (1, 1)
    assert await network.call("discussions.markAsRead", **place) is True
    listed = await network.call("discussions.getList", category="GROUP")
    again = next(item for item in listed["discussions"] if item["object_id"] == network.topic)
    assert again["new_comments_count"] == 0
    assert again["last_activity_date"] == seen["last_activity_date"]
    await network.control("delete", {"page": network.page, "id": asked["id"], "by": "author"})
    assert code(await network.call("discussions.deleteDiscussionComment", **target)) == 702
