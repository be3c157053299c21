"""The control API: citizens and staff write, edit and delete; texts are kept exactly."""

import csv
import io
from datetime import datetime
from typing import Any

import pytest

from tests.unit.emulators.ok.signed_client import Network

HOSTILE = [
    "первая строка\nвторая\r\nтретья\rчетвёртая",
    "<br>&amp;&lt;script&gt;alert('x')</script>",
    "👩‍👩‍👧‍👦 🏳️‍🌈 ❤️",
    "й и\u0306 е\u0308 Z͑ͫ̓ͪ̂ͫ̽͏̴̙",
    "до\0после",
    "{group:70000000000001}Школа{group} @school1 [id1|Имя]",
    '"кавычки", запятые, ; и табуляция\t',
    "\u202eперевёрнуто\u202c\u200b\ufeff",
    "   пробелы по краям   ",
    "'; DROP TABLE comments; --",
    "%00 %D0%AF + & = ?",
    "\U0001f600" * 100,
]


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_texts_are_returned_unchanged(network: Network, text: str) -> None:
    await network.citizen(text)
    wall = await network.citizen(text, "wall_post")
    private = await network.citizen(text, "message")
    assert (await network.comments())["comments"][0]["text"] == text
    topics = await network.call("mediatopic.getByIds", topic_ids=wall["id"])
    assert topics["media_topics"][0]["media"][0]["text"] == text
    messages = await network.graph(f"messages/{private['thread']}")
    assert messages["messages"][0]["message"]["text"] == text
    answer = await network.answer(text)
    echo = await network.graph(
        "messages", {"recipient": {"chat_id": private["thread"]}, "message": {"text": text}}
    )
    found = {item["id"]: item["text"] for item in (await network.control("answers"))["items"]}
    assert found == {answer: text, echo["message_id"]: text}


async def test_feed_keeps_every_byte_and_spreads_over_pages(network: Network) -> None:
    other = (await network.control("pages", {"name": "Больница", "screen_name": "clinic"}))["id"]
    table = io.StringIO(newline="")
    writer = csv.writer(table)
    writer.writerow(["id", "text"])
    writer.writerows(enumerate(HOSTILE))
    response = await network.http.post(
        "/_control/feed", content=table.getvalue().encode(), params={"detail": 1, "kind": "wall_post"}
    )
    answer = response.json()
    assert (answer["accepted"], answer["refused"]) == (len(HOSTILE), 0)
    assert {item["page"] for item in answer["items"]} == {network.page, other}
    for item in answer["items"]:
        topics = await network.call("mediatopic.getByIds", topic_ids=item["id"])
        assert topics["media_topics"][0]["media"][0]["text"] == HOSTILE[item["row"]]


async def test_page_is_created_once(network: Network) -> None:
    again = await network.control("pages", {"name": "Другое имя", "screen_name": "school1"})
    assert again["id"] == network.page
    assert again["name"] == "Школа № 1"
    items = (await network.control("pages"))["items"]
    assert [(item["id"], item["screen_name"]) for item in items] == [(network.page, "school1")]


async def test_comment_goes_to_the_newest_post_of_the_community(network: Network) -> None:
    await network.citizen("Запись жителя", "wall_post")
    post = await network.control("post", {"page": "school1", "text": "Новость"})
    await network.citizen("Запись жителя позже", "wall_post")
    made = await network.citizen("Комментарий", author="570000000003")
    assert made["thread"] == post["thread"]
    assert made["author"] == "570000000003"
    stranger = await network.citizen("Ещё", author="user:123456", thread=post["thread"])
    assert stranger["author"] == "123456"


async def test_answers_by_hand_and_through_the_api_are_listed_and_counted(network: Network) -> None:
    asked = await network.citizen("Вопрос")
    private = await network.citizen("Личный вопрос", "message")
    for thread, reply in ((asked["thread"], asked["id"]), (private["thread"], private["id"])):
        await network.control(
            "community", {"page": network.page, "thread": thread, "text": "Вручную", "in_reply_to": reply}
        )
    await network.answer("Через API", reply_to_comment_id=asked["id"])
    items = (await network.control(f"answers?page={network.page}"))["items"]
    assert [(item["thread"], item["in_reply_to"], item["by"]) for item in items] == [
        (asked["thread"], asked["id"], "hand"),
        (private["thread"], private["id"], "hand"),
        (asked["thread"], asked["id"], "api"),
    ]
    assert all(datetime.fromisoformat(item["at"]).tzinfo is not None for item in items)
    counts = {(item["kind"], item["by"]): item["count"] for item in (await network.control("counts"))["items"]}
    assert counts == {
        ("wall_post", "community"): 1,
        ("comment", "citizens"): 1,
        ("comment", "community"): 2,
        ("message", "citizens"): 1,
        ("message", "community"): 1,
    }


async def test_texts_are_edited_and_deleted(network: Network) -> None:
    comment = await network.citizen("Было")
    wall = await network.citizen("Было", "wall_post")
    private = await network.citizen("Было", "message")
    for made in (comment, wall, private):
        await network.control("edit", {"page": network.page, "id": made["id"], "text": "Стало"})
    assert (await network.comments())["comments"][0]["text"] == "Стало"
    assert (await network.graph(f"messages/{private['thread']}"))["messages"][0]["message"]["text"] == "Стало"
    for made in (comment, wall, private):
        await network.control("delete", {"page": network.page, "id": made["id"], "by": "community"})
        await network.control("delete", {"page": network.page, "id": made["id"]}, status=404)
    assert (await network.comments())["comments"] == []
    assert (await network.graph(f"messages/{private['thread']}"))["messages"] == []
    assert len((await network.call("mediatopic.getTopics", gid=network.page))["media_topics"]) == 1


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("citizen", {"page": "nobody", "kind": "comment", "text": "x"}, 404),
        ("citizen", {"page": "school1", "kind": "comment", "text": "x", "thread": "150000000999999"}, 404),
        ("citizen", {"page": "school1", "kind": "comment", "text": "x", "thread": "chat:C1"}, 404),
        ("citizen", {"page": "school1", "kind": "message", "text": "x", "thread": "chat:C1"}, 404),
        ("citizen", {"page": "school1", "kind": "comment", "text": "x", "in_reply_to": "bm8="}, 404),
        ("citizen", {"page": "school1", "kind": "comment", "text": "я" * 3001}, 400),
        ("citizen", {"page": "school1", "kind": "message", "text": "я" * 4001}, 400),
        ("citizen", {"page": "school1", "kind": "wall_post", "text": "я" * 20001}, 400),
        ("citizen", {"page": "school1", "kind": "comment", "text": ""}, 400),
        ("citizen", {"page": "school1", "kind": "shout", "text": "x"}, 422),
        ("citizen", {"page": "school1", "kind": "comment", "text": "x", "author": "Иван"}, 422),
        ("community", {"page": "school1", "thread": "chat:C1", "text": "x"}, 404),
        ("edit", {"page": "school1", "id": "mid:C1.1", "text": "x"}, 404),
        ("tokens", {"kind": "service"}, 422),
        ("tokens/revoke", {"token": "never issued"}, 404),
    ],
)
async def test_invalid_requests_are_rejected(
    network: Network, path: str, body: dict[str, Any], status: int
) -> None:
    answer = await network.control(path, body, status=status)
    assert "code" in answer["error"] if status == 400 else answer["detail"]
    assert (await network.comments())["comments"] == []


async def test_lone_surrogate_is_rejected(network: Network) -> None:
    body = b'{"page": "school1", "kind": "comment", "text": "\\ud800"}'
    response = await network.http.post(
        "/_control/citizen", content=body, headers={"Content-Type": "application/json"}
    )
    assert response.status_code == 422


async def test_attachments_are_returned_in_the_format_of_the_network(network: Network) -> None:
    url = "https://example.invalid/1.jpg"
    image = {"type": "IMAGE", "payload": {"url": url}}
    for given in ([url], [{"type": "image", "url": url}], [image]):
        private = await network.citizen("", "message", attachments=given)
        shown = (await network.graph(f"messages/{private['thread']}"))["messages"][0]["message"]
        assert shown["attachments"] == [image]
        wall = await network.citizen("Фото", "wall_post", attachments=given)
        topic = (await network.call("mediatopic.getByIds", topic_ids=wall["id"]))["media_topics"][0]
        assert topic["media"][1]["photos"][0]["pic640x480"] == url
    for bad in ([1], [{"type": "IMAGE"}], [{"payload": url}]):
        body = {"page": network.page, "kind": "message", "text": "x", "attachments": bad}
        await network.control("citizen", body, status=422)


async def test_edit_with_the_thread_of_another_message_is_refused(network: Network) -> None:
    comment = await network.citizen("Было")
    private = await network.citizen("Личное", "message")
    for written in (comment, private):
        change = {"page": network.page, "id": written["id"], "text": "Стало"}
        other = private["thread"] if written is comment else comment["thread"]
        await network.control("edit", {**change, "thread": other}, status=404)
        await network.control("edit", {**change, "thread": written["thread"]})
    assert (await network.comments())["comments"][0]["text"] == "Стало"
    assert (await network.graph(f"messages/{private['thread']}"))["messages"][0]["message"]["text"] == "Стало"


async def test_suggested_post_is_refused(network: Network) -> None:
    body = {"page": network.page, "kind": "suggested_post", "text": "Предлагаю"}
    assert (await network.control("citizen", body, status=422))["detail"][0]["loc"][-1] == "kind"
