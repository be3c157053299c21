"""The emulator's state after a crash, and faults as a plain client gets them."""

import asyncio
import signal
from typing import Any

import aiookru
import httpx
import pytest

from tests.contract.ok.ok_emulator import OkProcess
from tests.support.eventually import HANG_SECONDS, eventually


async def call(network: OkProcess, method: str, **params: Any) -> Any:
    """Call a REST method as the administrator."""
    user = network.user
    api = aiookru.API(user["token"], user["application_key"], session_secret_key=user["session_secret_key"])
    async with httpx.AsyncClient(base_url=network.url, timeout=HANG_SECONDS) as http:
        api.session.client = http
        return await api(method, **params)


async def httpx_get(network: OkProcess, path: str) -> httpx.Response:
    """Send a GET of the page's bot without retries."""
    async with httpx.AsyncClient(base_url=network.url, timeout=HANG_SECONDS) as http:
        return await http.get(path, params={"access_token": network.bot})


async def answer(network: OkProcess, text: str) -> Any:
    """Comment as the page on its newest topic."""
    return await call(
        network,
        "discussions.addDiscussionComment",
        entityId=network.topic,
        entityType="GROUP_TOPIC",
        comment=text,
        as_admin=1,
    )


async def test_state_survives_a_kill(lone_network: OkProcess) -> None:
    network = lone_network
    await network.start()
    await network.open_page("Школа № 1", "school1")
    wall = await network.citizen("Запись", "wall_post")
    private = await network.citizen("Личное", "message")
    comment = await network.citizen("Комментарий\0с нулём")
    await network.graph("subscribe", {"url": "http://127.0.0.1:9/"})
    written = await answer(network, "Ответ")
    tokens = await network.control("tokens")
    assert await network.end(signal.SIGKILL) == -signal.SIGKILL
    await network.start()
    assert await network.control("tokens") == tokens
    assert (await network.control("answers"))["items"][0]["id"] == written
    await network.control("settings", {"calls_per_second": 0})
    comments = await call(
        network, "discussions.getComments", discussionId=network.topic, discussionType="GROUP_TOPIC"
    )
    assert [(item["id"], item["text"]) for item in comments["comments"]] == [
        (comment["id"], "Комментарий\0с нулём"),
        (written, "Ответ"),
    ]
    topics = await call(network, "mediatopic.getTopics", gid=network.page)
    assert topics["media_topics"][0]["id"] == wall["id"]
    messages = await network.graph(f"messages/{private['thread']}")
    assert messages["messages"][0]["message"]["mid"] == private["id"]
    assert (await network.graph("subscriptions"))["subscriptions"][0]["url"] == "http://127.0.0.1:9/"
    counted = {item["method"]: item["accepted"] for item in (await network.control("calls"))["items"]}
    assert counted["discussions.addDiscussionComment"] == 1
    later = await network.citizen("После")
    assert later["id"] not in {comment["id"], written}


async def test_call_with_lost_response_takes_effect(network: OkProcess) -> None:
    await network.control(
        "faults", {"kind": "lost_response", "next": 1, "method": "discussions.addDiscussionComment"}
    )
    with pytest.raises(httpx.TransportError):
        await answer(network, "Ответ, о котором никто не узнал")
    texts = [item["text"] for item in (await network.control("answers"))["items"]]
    assert texts.count("Ответ, о котором никто не узнал") == 1
    assert isinstance(await answer(network, "Следующий"), str)


async def test_dropped_call_has_no_effect(network: OkProcess) -> None:
    await network.control("faults", {"kind": "drop", "next": 1})
    with pytest.raises(httpx.TransportError):
        await answer(network, "Не дошло")
    texts = [item["text"] for item in (await network.control("answers"))["items"]]
    assert "Не дошло" not in texts


async def test_injected_errors_and_broken_responses_are_returned(network: OkProcess) -> None:
    await network.control("faults", {"kind": "error", "next": 1, "code": 454})
    refused = await answer(network, "Слово")
    assert refused["error_msg"].startswith("CENSOR_MATCH : ")
    await network.control("faults", {"kind": "error", "next": 1})
    assert (await answer(network, "Слово"))["error_code"] == 2
    await network.control("faults", {"kind": "truncated", "next": 1})
    with pytest.raises(httpx.RemoteProtocolError):
        await call(network, "group.getInfo", uids=network.page)
    await network.control("faults", {"kind": "wrong_json", "next": 1})
    assert await call(network, "users.getCurrentUser") != (await call(network, "users.getCurrentUser"))
    await network.control(
        "faults", {"kind": "timeout", "next": 1, "seconds": 0.3, "method": "graph.user.info.get"}
    )
    started = asyncio.get_running_loop().time()
    with pytest.raises(httpx.RemoteProtocolError):
        # httpx, because aiohttp retries a GET whose connection was dropped.
        await httpx_get(network, "/graph/me/info")
    assert asyncio.get_running_loop().time() - started >= 0.3
    assert (await network.graph("info"))["group_id"] == f"group:{network.page}"
    assert (await network.control("faults"))["items"] == []


async def test_emulator_stops_at_a_signal(lone_network: OkProcess) -> None:
    await lone_network.start()
    assert await lone_network.end() in {0, -signal.SIGTERM}


async def test_citizens_write_until_the_rate_is_set_to_zero(network: OkProcess) -> None:
    async def written() -> int:
        items = (await network.control("counts"))["items"]
        return sum(item["count"] for item in items if item["by"] == "citizens")

    before = await written()
    await network.control("citizen-rate", {"per_minute": 6000})

    async def ten_more() -> bool:
        return await written() >= before + 10

    await eventually(ten_more, "ten messages of citizens")
    await network.control("citizen-rate", {"per_minute": 0})
    after = await written()
    await asyncio.sleep(0.3)  # at 6,000 per minute, thirty messages would be written
    assert await written() == after
