"""The Callback API of the emulator: confirmation, delivery, resends, pauses, and state after SIGKILL."""

import asyncio
import re
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from aiohttp import web

from tests.contract.conftest import StartEmulator
from tests.contract.vk.callback_receiver import Receiver, reaches, receiver
from tests.contract.vk.emulator_page import VkPage
from tests.support.emulator_process import EmulatorProcess
from tests.support.eventually import eventually, eventually_true
from tests.support.lazy_module import LazyModule

vkbottle = LazyModule("vkbottle")
callbacks = LazyModule("vkbottle.callback")
event_types = LazyModule("vkbottle_types.events")
bot_events = LazyModule("vkbottle_types.events.bot_events")


@pytest.fixture(scope="module")
async def emulator(start_emulator: StartEmulator) -> EmulatorProcess:
    """A network with short resend intervals that pauses a server after five consecutive failures."""
    return await start_emulator(
        "vk",
        user_per_second=0,
        group_per_second=0,
        callback_retry_seconds="[0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]",
        callback_timeout_seconds=60,
        callback_pause_after=5,
        callback_pause_seconds=1,
    )


@pytest.fixture
async def page(emulator: EmulatorProcess, request: pytest.FixtureRequest) -> VkPage:
    """A new page for each test."""
    return await VkPage.open(emulator, re.sub(r"\W", "_", request.node.name)[:60])


@pytest.fixture
async def server() -> AsyncIterator[Receiver]:
    """A receiver that is not yet registered in the network."""
    async with receiver() as made:
        yield made


async def _deliveries(page: VkPage) -> list[dict[str, Any]]:
    shown = await page.emulator.control(f"callbacks?page={page.id}", method="GET")
    deliveries: list[dict[str, Any]] = shown["deliveries"]
    return deliveries


async def test_event_is_the_same_in_push_and_long_poll(page: VkPage, server: Receiver) -> None:
    await server.join(page, "wall_reply_new", "message_new")
    ts = await page.ts()
    await page.citizen("Когда починят свет?")
    await page.citizen("Личное", kind="message")
    comment, message = await server.got(2)
    polled = (await page.poll(ts))["updates"]
    assert [event["event_id"] for event in polled] == [comment["event_id"], message["event_id"]]
    assert [event["object"] for event in polled] == [comment["object"], message["object"]]
    assert comment["secret"] == "s3cret"
    assert "secret" not in polled[0]
    assert (comment["v"], comment["group_id"]) == ("5.199", page.id)
    assert server.retries == [None, None]
    assert comment["type"] == event_types.GroupEventType.WALL_REPLY_NEW.value
    assert bot_events.WallReplyNew(**comment).object.text == "Когда починят свет?"
    parsed = bot_events.MessageNew(**message).object.message
    assert parsed is not None
    assert parsed.text == "Личное"


async def test_server_gets_its_enabled_events_in_its_api_version(page: VkPage, server: Receiver) -> None:
    async with receiver() as old:
        await server.join(page, "message_new", "wall_post_new")
        await old.join(page, "message_new", api_version="5.95")
        await page.citizen("Запись", kind="wall_post")
        await page.citizen("Личное", kind="message")
        new_style = (await server.got(2))[1]
        (old_style,) = await old.got(1)
    assert old_style["event_id"] == new_style["event_id"]
    assert (old_style["v"], old_style["object"]["text"]) == ("5.95", "Личное")
    assert new_style["object"]["message"] == old_style["object"]
    assert [body["type"] for body in server.bodies] == ["wall_post_new", "message_new"]


async def test_server_is_confirmed_again_after_a_code_change(page: VkPage, server: Receiver) -> None:
    number = await server.join(page, "wall_reply_new")
    changed = await page.emulator.control("callback_code", {"page": page.id})
    await reaches(page, number, "failed")
    await page.citizen("Мимо")
    server.code = changed["code"]
    await page.emulator.control("confirm", {"page": page.id})
    shown = await reaches(page, number, "ok")
    assert len(server.confirmations) == 3
    assert (shown["url"], shown["title"], shown["secret_key"]) == (server.url, "test", "s3cret")
    await page.citizen("Дошло")
    assert [body["object"]["text"] for body in await server.got(1)] == ["Дошло"]
    edited: dict[str, Any] = {"server_id": number, "url": server.url, "title": "new", "secret_key": ""}
    assert await page.api("groups.editCallbackServer", None, group_id=page.id, **edited) == {"response": 1}
    await reaches(page, number, "ok")
    await page.citizen("Без секрета")
    assert "secret" not in (await server.got(2))[1]


async def _wrong(_: dict[str, Any]) -> web.Response:
    return web.Response(text="\ufeffok")


async def _redirect(_: dict[str, Any]) -> web.Response:
    return web.Response(status=302, headers={"Location": "/elsewhere"}, text="ok")


async def _slow(_: dict[str, Any]) -> web.Response:
    await asyncio.Event().wait()
    return web.Response(text="ok")


@pytest.mark.parametrize("answer", [_wrong, _redirect, _slow])
async def test_event_without_ok_in_time_is_sent_again(page: VkPage, server: Receiver, answer: Any) -> None:
    async def second_time(body: dict[str, Any]) -> web.Response:
        if len(server.bodies) > 1:
            return web.Response(text="ok")
        await page.emulator.control("settings", {"callback_timeout_seconds": 60})  # for the next attempts
        given: web.Response = await answer(body)
        return given

    server.answer = second_time
    await server.join(page, "wall_reply_new")
    if answer is _slow:
        await page.emulator.control("settings", {"callback_timeout_seconds": 2})
    await page.citizen("Раз")
    await page.citizen("Два")
    bodies = await server.got(3)
    assert [body["object"]["text"] for body in bodies] == ["Раз", "Раз", "Два"]
    assert bodies[0] == bodies[1]
    assert server.retries == [None, "1", None]


async def test_server_can_delay_a_resend_and_remove_itself(page: VkPage, server: Receiver) -> None:
    moments: list[datetime] = []
    later = datetime.max.replace(tzinfo=UTC)

    async def ask(_: dict[str, Any]) -> web.Response:
        nonlocal later
        moments.append(datetime.now(UTC))
        if len(moments) == 1:
            later = moments[0].replace(microsecond=0) + timedelta(seconds=3)
            return web.Response(status=503, headers={"Retry-After": format_datetime(later, usegmt=True)})
        return web.Response(text="ok" if len(moments) == 2 else "remove")

    server.answer = ask
    await server.join(page, "wall_reply_new")
    await page.citizen("Раз")
    await page.citizen("Два")
    await server.got(3)
    assert moments[1] >= later
    assert server.retries == [None, "1", None]

    async def removed() -> bool:
        return not (await page.api("groups.getCallbackServers", group_id=page.id))["response"]["count"]

    await eventually(removed, "the removal of the server")
    assert [item["outcome"] for item in await _deliveries(page)] == ["ok", "later", "ok", "removed"]


async def test_consecutive_failures_pause_a_server_until_a_delivery_succeeds(
    page: VkPage, server: Receiver
) -> None:
    async def broken(_: dict[str, Any]) -> web.Response:
        return web.Response(status=500, text="no")

    server.answer = broken
    number = await server.join(page, "wall_reply_new")
    await page.citizen("Раз")
    await reaches(page, number, "failed")
    shown = await page.emulator.control(f"callbacks?page={page.id}", method="GET")
    assert shown["servers"][0]["paused_until"] is not None
    await server.got(8)
    server.answer = None
    await page.citizen("Два")
    await server.got(9)
    await reaches(page, number, "ok")
    outcomes = [item["outcome"] for item in await _deliveries(page)]
    assert outcomes == ["ok", *["failed"] * 7, "given_up", "ok"]


async def test_faults_repeat_and_reorder_deliveries(page: VkPage, server: Receiver) -> None:
    await server.join(page, "wall_reply_new")
    await page.emulator.control("faults", {"kind": "duplicate", "next": 1, "method": "callback"})
    await page.citizen("Раз")
    first, again = await server.got(2)
    assert first == again

    async def delayed(text: str, seconds: float) -> None:
        await page.emulator.control("settings", {"callback_reorder_seconds": seconds})
        await page.emulator.control("faults", {"kind": "reorder", "next": 1, "method": "callback"})
        await page.citizen(text)

    await delayed("Два", 600)
    await page.citizen("Три")
    assert (await server.got(3))[2]["object"]["text"] == "Три"
    await delayed("Четыре", 0.1)
    assert (await server.got(4))[3]["object"]["text"] == "Четыре"


async def test_queue_survives_a_kill(start_emulator: StartEmulator, server: Receiver) -> None:
    emulator = await start_emulator("vk", callback_timeout_seconds=60, group_per_second=0)
    page = await VkPage.open(emulator)

    async def hang(_: dict[str, Any]) -> web.Response:
        await asyncio.Event().wait()
        return web.Response(text="late")

    server.answer = hang
    await server.join(page, "wall_reply_new")
    for number in range(5):
        await page.citizen(f"Вопрос {number}")
    (first,) = await server.got(1)
    await emulator.end(signal.SIGKILL)
    server.answer = None
    await emulator.start()
    bodies = await server.got(6)
    assert bodies[1] == first
    assert server.retries[:2] == [None, "1"]
    assert [body["object"]["text"] for body in bodies[1:]] == [f"Вопрос {number}" for number in range(5)]


async def test_invalid_servers_are_refused(page: VkPage, server: Receiver) -> None:
    async def code(method: str, token: str | None = None, **params: Any) -> int:
        error = (await page.api(f"groups.{method}", token, group_id=page.id, **params))["error"]
        return int(error["error_code"])

    good = {"url": server.url, "title": "test"}
    assert await code("addCallbackServer", **(good | {"title": "длиннее четырнадцати"})) == 100
    assert await code("addCallbackServer", **good, secret_key="x" * 51) == 100
    assert await code("addCallbackServer", **(good | {"url": "ftp://example.invalid"})) == 100
    assert await code("addCallbackServer", page.service, **good) == 28
    for _ in range(10):
        assert "response" in await page.api("groups.addCallbackServer", group_id=page.id, **good)
    assert await code("addCallbackServer", **good) == 2000
    assert await code("deleteCallbackServer", server_id=999_999) == 104
    items = (await page.api("groups.getCallbackServers", page.user, group_id=page.id))["response"]["items"]
    done = await page.api("groups.deleteCallbackServer", group_id=page.id, server_id=items[0]["id"])
    assert done == {"response": 1}
    assert "response" in await page.api("groups.addCallbackServer", group_id=page.id, **good)


async def test_vkbottle_registers_and_handles_events(page: VkPage, server: Receiver) -> None:
    api = vkbottle.API(page.group)
    api.API_URL = f"{page.emulator.url}/method/"
    received: list[str | None] = []
    try:
        callback = callbacks.BotCallback(url=server.url, title="vkbottle", api=api, group_id=page.id)
        bot = vkbottle.Bot(api=api, callback=callback)

        async def on_comment(event: Any) -> None:
            received.append(event.object.text)

        async def on_message(message: Any) -> None:
            received.append(message.text)

        comment = event_types.GroupEventType.WALL_REPLY_NEW
        bot.on.raw_event(comment, dataclass=bot_events.WallReplyNew)(on_comment)
        bot.on.message()(on_message)

        async def process(body: dict[str, Any]) -> web.Response:
            assert body["secret"] == callback.get_secret_key()
            await bot.process_event(body)
            return web.Response(text="ok")

        server.code, server.answer = await callback.get_callback_confirmation_code(), process
        number = await callback.add_callback_server()
        assert await callback.find_server_id() == number
        await reaches(page, number, "ok")
        await callback.set_callback_settings(number, {"wall_reply_new": True, "message_new": True})
        wanted = [name for name, on in (await callback.get_callback_settings(number)).items() if on]
        assert sorted(wanted) == ["message_new", "wall_reply_new"]
        await page.citizen("Комментарий")
        await page.citizen("Сообщение", kind="message")
        await eventually_true(lambda: len(received) == 2, "two handled events")
        assert received == ["Комментарий", "Сообщение"]
        await callback.delete_callback_server(number)
        assert await callback.get_callback_servers() == []
    finally:
        await api.http_client.close()


async def test_settings_changed_at_run_time_take_effect_and_survive_a_kill(
    start_emulator: StartEmulator, server: Receiver
) -> None:
    emulator = await start_emulator("vk", group_per_second=0)
    page = await VkPage.open(emulator)
    changes = {"callback_retry_seconds": [0.1], "comment_length": 5}
    assert await emulator.control("settings", changes) == changes
    for wrong in ({"port": 1}, {"no_such": 1}, {"callback_timeout_seconds": "soon"}):
        async with emulator.http.post("/_control/settings", json=wrong) as response:
            assert response.status == 422
            assert (await response.json())["detail"][0]["loc"] == ["body", *wrong]
    await emulator.end(signal.SIGKILL)
    await emulator.start()
    assert (await emulator.control("settings"))["comment_length"] == 5

    async def broken(_: dict[str, Any]) -> web.Response:
        return web.Response(status=500)

    server.answer = broken
    await server.join(page, "wall_reply_new")
    await page.citizen("Пять!")
    await server.got(2)
    assert server.retries == [None, "1"]
