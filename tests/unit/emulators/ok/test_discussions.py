"""Discussions, comments and topics of the REST API."""

import base64
import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from emulators.ok.settings import OkSettings
from emulators.ok.state.network_state import SETTINGS, OkState
from tests.unit.emulators.ok.signed_client import Network


async def walk(network: Network, method: str, key: str, **params: Any) -> list[dict[str, Any]]:
    """Return all items of a paged method: read pages until one is empty or has no anchor."""
    items: list[dict[str, Any]] = []
    for _ in range(50):
        page = await network.call(method, **params)
        items += page[key]
        if not page[key] or not page.get("anchor") or page.get("has_more") is False:
            return items
        params["anchor"] = page["anchor"]
    raise AssertionError("the paging does not end")


async def test_list_shows_topics_of_all_administered_groups_by_latest_activity(network: Network) -> None:
    other = (await network.control("pages", {"name": "Больница", "screen_name": "clinic"}))["id"]
    wall = await network.citizen("Когда откроют каток?", "wall_post")
    await network.citizen("Спасибо!", thread=network.topic)
    answer = await network.call("discussions.getList", category="GROUP", types="GROUP_TOPIC")
    first, second, third = answer["discussions"]
    assert first["object_id"] == network.topic
    assert first["object_type"] == "GROUP_TOPIC"
    assert first["total_comments_count"] == first["new_comments_count"] == 1
    assert first["ref_objects"] == [{"id": network.page, "type": "GROUP"}]
    assert (second["object_id"], second["total_comments_count"]) == (wall["thread"], 0)
    assert second["owner_uid"] == wall["author"]
    assert third["ref_objects"][0]["id"] == third["owner_uid"] == other
    assert {group["uid"] for group in answer["entities"]["groups"]} == {network.page, other}
    again = await network.call("discussions.getList", category="GROUP", anchor=answer["anchor"])
    assert again == {"discussions": []}


async def test_list_is_paged_by_anchor_in_both_directions(network: Network) -> None:
    posts = [(await network.citizen(f"Вопрос {number}", "wall_post"))["id"] for number in range(7)]
    expected = [*posts[::-1], network.topic]
    found = await walk(network, "discussions.getList", "discussions", category="GROUP", count=3)
    assert [item["object_id"] for item in found] == expected
    page = await network.call("discussions.getList", category="GROUP", count=5)
    await network.citizen("Ещё", thread=posts[0])
    newer = await network.call(
        "discussions.getList", category="GROUP", count=5, anchor=page["anchor"], direction="BACKWARD"
    )
    assert posts[0] in [item["object_id"] for item in newer["discussions"]]


async def test_list_shows_only_groups_that_the_user_administers(network: Network) -> None:
    other = (await network.control("pages", {"name": "Больница", "screen_name": "clinic"}))["id"]
    user = await network.control("tokens", {"kind": "user", "page": other})
    answer = await network.call("discussions.getList", user, category="GROUP")
    assert [item["owner_uid"] for item in answer["discussions"]] == [other]
    denied = await network.call(
        "discussions.addDiscussionComment",
        user,
        entityId=network.topic,
        entityType="GROUP_TOPIC",
        comment="x",
        as_admin="true",
    )
    assert denied["error_code"] == 50
    groups = await network.call("group.getUserGroupsV2", user)
    assert groups == {"groups": [{"groupId": other, "userId": user["uid"]}]}


async def test_comments_marked_as_read_are_no_longer_new(network: Network) -> None:
    for number in range(3):
        await network.citizen(f"Комментарий {number}")
    await network.comments(mark_as_read="true")
    seen = await network.call("discussions.get", discussionId=network.topic, discussionType="GROUP_TOPIC")
    assert seen["discussion"]["new_comments_count"] == 0
    fresh = await network.citizen("Новый")
    unread = await network.comments(anchor="UNREAD")
    assert [item["id"] for item in unread["comments"]] == [fresh["id"]]
    assert unread["has_more"] is False


async def test_comments_are_paged_from_both_ends_and_around_an_anchor(network: Network) -> None:
    texts = [f"Комментарий {number}" for number in range(25)]
    made = [(await network.citizen(text))["id"] for text in texts]
    place: dict[str, Any] = {"discussionId": network.topic, "discussionType": "GROUP_TOPIC"}
    forward = await walk(network, "discussions.getComments", "comments", **place, anchor="FIRST", count=10)
    backward = await walk(
        network, "discussions.getComments", "comments", **place, anchor="LAST", direction="BACKWARD", count=10
    )
    assert [item["id"] for item in forward] == made
    assert [item["id"] for item in backward] == made[::-1]
    last = await network.comments(anchor="FIRST", count=100)
    added = await network.citizen("Позже")
    later = await network.comments(anchor=last["anchor"])
    assert [item["id"] for item in later["comments"]] == [added["id"]]
    first_page = await network.comments(count=12)
    around = await network.comments(anchor=first_page["anchor"], direction="AROUND", count=6)
    assert [item["id"] for item in around["comments"]] == made[8:14]


async def test_page_size_is_capped_and_checked(network: Network) -> None:
    topic = network.world.discussions.topic(network.topic)
    for number in range(103):
        network.world.discussions.add_comment(topic, "user:1", f"{number}")
    answer = await network.comments(count=500)
    assert len(answer["comments"]) == 100
    assert answer["has_more"] is True
    for bad in ("0", "-1", "x", "٣"):
        assert (await network.comments(count=bad))["error_code"] == 100
    for bad in ("nonsense", base64.b64encode(b"1:2:3").decode(), base64.b64encode(b"9" * 40).decode()):
        assert (await network.comments(anchor=bad))["error_code"] == 100


async def test_comment_has_the_documented_fields(network: Network) -> None:
    before = datetime.now(tz=ZoneInfo("UTC"))
    asked = await network.citizen("Где автобус?")
    comment = await network.answer("Выехал.", reply_to_comment_id=asked["id"])
    assert isinstance(comment, str)
    plain = (await network.comments())["comments"][1]
    assert "date_ms" not in plain
    answer = await network.comments(fields="comment.id,comment.date_ms,user.*")
    question, shown = answer["comments"]
    assert question["author_ref"] == f"user:{question['author_id']}"
    assert "author_type" not in question
    assert shown["author_type"] == "GROUP"
    assert shown["author_id"] == network.page
    assert shown["type"] == "ACTIVE_MESSAGE"
    assert shown["reply_to_comment_id"] == asked["id"]
    assert shown["reply_to_id"] == asked["author"]
    assert [user["uid"] for user in answer["entities"]["users"]] == [asked["author"]]
    parts = base64.b64decode(shown["id"]).decode()
    assert re.fullmatch(rf"{shown['date_ms']}:-\d+:{shown['date_ms']}:{network.topic}:1", parts)
    wall = datetime.strptime(shown["date"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=ZoneInfo("Europe/Moscow"))
    assert int(wall.timestamp()) == shown["date_ms"] // 1000
    assert abs(wall - before).total_seconds() < 1_800  # in any other time zone the difference would be larger
    one = await network.call(
        "discussions.getComment", discussionId=network.topic, discussionType="GROUP_TOPIC", comment_id=shown["id"]
    )
    assert one["comment"]["text"] == "Выехал."


async def test_removed_comments_are_shown_only_on_request(network: Network) -> None:
    kept = await network.citizen("Остаётся")
    gone = await network.citizen("Исчезает")
    await network.control("delete", {"page": network.page, "id": gone["id"]})
    await network.control("settings", {"removed_shown": "all"})
    answer = await network.comments()
    assert [item["id"] for item in answer["comments"]] == [kept["id"]]
    shown = await network.comments(includeRemoved="true")
    assert [item["type"] for item in shown["comments"]] == ["ACTIVE_MESSAGE", "REMOVED_MESSAGE"]
    place: dict[str, Any] = {"discussionId": network.topic, "discussionType": "GROUP_TOPIC"}
    for ident, code in ((gone["id"], 702), ("bm8=", 700)):
        found = await network.call("discussions.getComment", **place, comment_id=ident)
        assert found["error_code"] == code
        assert (await network.answer("Ответ", reply_to_comment_id=ident))["error_code"] == code
    listed = await network.call("discussions.getList", category="GROUP")
    assert listed["discussions"][0]["total_comments_count"] == 1


async def test_invalid_answers_get_the_error_codes_of_the_network(network: Network) -> None:
    assert (await network.answer(""))["error_code"] == 100
    assert (await network.answer("я" * 3001))["error_code"] == 100
    assert isinstance(await network.answer("я" * 3000), str)
    assert (await network.answer("x", entityId="150000000009999"))["error_code"] == 300
    assert (await network.answer("x", entityId="abc"))["error_code"] == 106
    assert (await network.answer("x", entityType="NOTHING"))["error_code"] == 100
    assert (await network.call("discussions.dance"))["error_code"] == 3


async def test_comment_response_is_an_object_if_configured(network: Network) -> None:
    network.world.settings.comment_answer = "object"
    made = await network.answer("Готово")
    assert made["comment"]["text"] == "Готово"
    assert made["comment"]["date_ms"] > 0


async def test_own_comment_is_edited_only_within_the_edit_window(network: Network) -> None:
    comment = await network.answer("Черновик")
    place: dict[str, Any] = {"discussionId": network.topic, "discussionType": "GROUP_TOPIC", "comment_id": comment}
    assert await network.call("discussions.editDiscussionComment", **place, comment="Чистовик") is True
    network.world.settings.edit_window_seconds = -1
    late = await network.call("discussions.editDiscussionComment", **place, comment="Поздно")
    assert late["error_code"] == 704
    theirs = await network.citizen("Чужой")
    place["comment_id"] = theirs["id"]
    assert (await network.call("discussions.editDiscussionComment", **place, comment="x"))["error_code"] == 701
    assert await network.call("discussions.deleteDiscussionComment", **place) is True
    assert [item["text"] for item in (await network.comments())["comments"]] == ["Чистовик"]


async def test_topics_are_paged_and_found_by_id(network: Network) -> None:
    posts = [(await network.citizen(f"Запись {number}", "wall_post"))["id"] for number in range(5)]
    found = await walk(network, "mediatopic.getTopics", "media_topics", gid=network.page, count=2)
    assert [item["id"] for item in found] == [*posts[::-1], network.topic]
    assert found[0]["author_ref"].startswith("user:")
    assert found[-1]["author_ref"] == found[-1]["owner_ref"] == f"group:{network.page}"
    assert found[0]["media"][0]["text"] == "Запись 4"
    await network.control("delete", {"page": network.page, "id": posts[0]})
    ids = ",".join(posts[:2])
    assert (await network.call("mediatopic.getByIds", topic_ids=ids))["error_code"] == 100
    by_ids = await network.call("mediatopic.getByIds", topic_ids=ids, media_limit=3, fields="media_topic.*")
    assert [item["id"] for item in by_ids["media_topics"]] == [posts[1]]
    assert by_ids["media_topics"][0]["discussion_summary"]["comments_count"] == 0
    gone = await network.comments(discussionId=posts[0])
    assert gone["error_code"] == 300


async def test_groups_and_addresses_are_found(network: Network) -> None:
    info = await network.call("group.getInfo", uids=f"{network.page},999", fields="*")
    assert isinstance(info, list)
    assert len(info) == 1
    assert info[0]["gos_org"] is True
    assert info[0]["shortname"] == "school1"
    assert info[0]["role"] == "ADMIN"
    few = await network.call("group.getInfo", uids=network.page, fields="gos_org,members_count")
    assert set(few[0]) == {"uid", "gos_org", "members_count"}
    for address in ("https://ok.ru/school1", "ok.ru/school1", f"https://ok.ru/group/{network.page}"):
        found = await network.call("url.getInfo", url=address)
        assert (found["objectIdStr"], found["type"]) == (network.page, "GROUP")
    topic = await network.call("url.getInfo", url=f"https://ok.ru/group/{network.page}/topic/{network.topic}")
    assert topic["objectIdStr"] == network.topic
    assert await network.call("url.getInfo", url="https://ok.ru/nobody") == {"type": "UNKNOWN"}


async def test_exceeded_limits_are_refused_and_counted(network: Network) -> None:
    network.world.settings.calls_per_day = 3
    for _ in range(3):
        assert isinstance(await network.call("group.getInfo", uids=network.page), list)
    assert (await network.call("group.getInfo", uids=network.page))["error_code"] == 11
    left = await network.call("users.getCallsLeft", uid=network.user["uid"], methods="group.getInfo,url.getInfo")
    assert left == [
        {"name": "group.getInfo", "callsLeft": 0, "available": False},
        {"name": "url.getInfo", "callsLeft": 3, "available": True},
    ]
    network.world.settings.calls_per_day = 0
    network.world.settings.calls_per_second = 1
    codes = [(await network.raw({"method": "users.getCurrentUser"})).headers.get("invocation-error") for _ in "12"]
    assert codes == [None, "8"]
    counted = {item["method"]: item for item in (await network.control("calls"))["items"]}
    assert counted["group.getInfo"]["accepted"] == 3
    assert counted["group.getInfo"]["refused"] == 1
    assert counted["group.getInfo"]["kind"] == "user"


@pytest.mark.parametrize(("former", "now"), [(True, "all"), (False, "none")])
def test_former_values_of_removed_shown_are_understood(tmp_path: Path, *, former: bool, now: str) -> None:
    settings = OkSettings(data=tmp_path / "ok.sqlite3")
    world = OkState(settings)
    world.store.set_value(SETTINGS, json.dumps({"removed_shown": former}))
    world.store.close()
    restarted = OkState(OkSettings(data=tmp_path / "ok.sqlite3"))
    assert restarted.settings.removed_shown == now
    restarted.store.close()


def test_former_removed_shown_in_the_environment_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMULATOR_REMOVED_SHOWN", "true")
    assert OkSettings().removed_shown == "all"
