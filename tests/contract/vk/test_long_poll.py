"""Bots Long Poll of the emulator: order, loss, keys, restarts and many concurrent polls."""

import asyncio

import psutil
import pytest

from tests.contract.conftest import StartEmulator
from tests.contract.vk.emulator_page import VkPage
from tests.support.emulator_process import EmulatorProcess


async def test_own_comment_is_pushed_before_the_response(page: VkPage) -> None:
    written = await page.citizen("Вопрос")
    ts = await page.ts()
    await page.emulator.control(
        "faults", {"kind": "slow", "next": 1, "method": "wall.createComment", "seconds": 5}
    )
    answering = asyncio.create_task(
        page.api(
            "wall.createComment",
            owner_id=-page.id,
            post_id=written["thread"],
            reply_to_comment=written["id"],
            message="Ответ по существу",
        )
    )
    pushed = await page.poll(ts, wait=10)
    assert not answering.done()
    event = pushed["updates"][0]
    assert (event["type"], event["object"]["from_id"]) == ("wall_reply_new", -page.id)
    response = (await answering)["response"]
    assert response == {"comment_id": event["object"]["id"], "parents_stack": [written["id"]]}


async def test_changes_of_a_comment_are_pushed_as_events(page: VkPage) -> None:
    ts = await page.ts()
    written = await page.citizen("Как есть")
    where = {"page": page.id, "id": written["id"]}
    await page.emulator.control("edit", where | {"text": "Как стало"})
    await page.emulator.control("delete", where | {"by": "community"})
    await page.emulator.control("restore", where)
    await page.emulator.control("delete", where)
    events = (await page.poll(ts))["updates"]
    assert [event["type"].removeprefix("wall_reply_") for event in events] == [
        "new",
        "edit",
        "delete",
        "restore",
        "delete",
    ]
    assert [event["object"].get("text") for event in events[:2]] == ["Как есть", "Как стало"]
    by_staff, by_author = events[2]["object"], events[4]["object"]
    assert by_author == {
        "owner_id": -page.id,
        "id": written["id"],
        "deleter_id": written["author"],
        "post_id": written["thread"],
    }
    assert by_staff["deleter_id"] != written["author"]
    assert len({event["event_id"] for event in events}) == 5


async def test_messages_of_both_sides_are_pushed_as_events(page: VkPage) -> None:
    ts = await page.ts()
    written = await page.citizen("Добрый день", kind="message")
    by_hand = {"page": page.id, "thread": written["thread"], "text": "Слушаем вас"}
    await page.emulator.control("community", by_hand)
    await page.api("messages.send", peer_id=written["thread"], random_id=77, message="И ещё")
    incoming, hand, api = (await page.poll(ts))["updates"]
    assert incoming["object"]["message"]["text"] == "Добрый день"
    assert incoming["object"]["client_info"]["keyboard"] is True
    assert (hand["type"], hand["object"]["text"]) == ("message_reply", "Слушаем вас")
    assert hand["object"]["admin_author_id"] > 0
    assert "admin_author_id" not in api["object"]
    assert api["object"]["random_id"] == 77


async def test_lost_events_are_reported_as_failed(page: VkPage) -> None:
    await page.citizen("Раз")
    late = str(int(await page.ts()) - 1)
    await page.emulator.control("longpoll", {"page": page.id, "event": "history_trimmed"})
    last = int(await page.ts())
    assert await page.poll(late) == {"failed": 1, "ts": last}
    assert await page.poll("999999") == {"failed": 1, "ts": last}
    assert await page.poll("мимо") == {"failed": 1, "ts": last}
    server = (await page.api("groups.getLongPollServer", group_id=page.id))["response"]
    params = {"act": "a_check", "key": server["key"], "ts": server["ts"], "wait": "5"}
    for event, failed in (("key_expired", 2), ("history_lost", 3)):
        params["key"] = (await page.api("groups.getLongPollServer", group_id=page.id))["response"]["key"]
        held = asyncio.create_task(_post(page.emulator, server["server"], params))
        await page.polls_held()
        await page.emulator.control("longpoll", {"page": page.id, "event": event})
        assert await held == {"failed": failed}


async def _post(emulator: EmulatorProcess, url: str, params: dict[str, str]) -> object:
    async with emulator.http.post(url, params=params) as response:
        return await response.json()


async def test_long_poll_returns_only_enabled_events(start_emulator: StartEmulator) -> None:
    page = await VkPage.open(await start_emulator("vk", user_per_second=0, group_per_second=0))
    assert (await page.api("groups.setLongPollSettings", group_id=page.id, wall_reply_new=0))["response"] == 1
    settings = (await page.api("groups.getLongPollSettings", group_id=page.id))["response"]
    assert settings["is_enabled"] is True
    assert (settings["events"]["wall_reply_new"], settings["events"]["message_new"]) == (0, 1)
    ts = await page.ts()
    await page.citizen("Без события")
    await page.citizen("С событием", kind="message")
    assert [event["type"] for event in (await page.poll(ts))["updates"]] == ["message_new"]
    await page.api("groups.setLongPollSettings", group_id=page.id, enabled=0)
    refused = await page.api("groups.getLongPollServer", group_id=page.id)
    assert refused["error"]["error_code"] == 100


@pytest.mark.parametrize("fault", ["duplicate", "reorder"])
async def test_faults_duplicate_or_reorder_events(page: VkPage, fault: str) -> None:
    ts = await page.ts()
    for number in range(6):
        await page.citizen(f"Сообщение {number}")
    right = [event["event_id"] for event in (await page.poll(ts))["updates"]]
    await page.emulator.control("faults", {"kind": fault, "next": 1, "method": "a_check"})
    wrong = [event["event_id"] for event in (await page.poll(ts))["updates"]]
    assert wrong != right
    assert set(wrong) == set(right)


async def test_many_concurrent_polls_use_little_cpu(start_emulator: StartEmulator) -> None:
    emulator = await start_emulator("vk", group_per_second=0)
    pages = [await VkPage.open(emulator, f"page{number}") for number in range(120)]
    marks = [await page.ts() for page in pages]
    held = [asyncio.create_task(page.poll(ts, wait=90)) for page, ts in zip(pages, marks, strict=True)]
    await pages[0].polls_held(len(pages))
    process = psutil.Process(emulator.pid)
    before = process.cpu_times()
    await asyncio.sleep(1)
    after = process.cpu_times()
    assert not any(task.done() for task in held)
    assert after.user + after.system - before.user - before.system < 0.2
    for page in pages:
        await page.citizen("Проснись")
    answers = await asyncio.gather(*held)
    assert all(len(answer["updates"]) == 1 for answer in answers)
