"""Direct messages through the Bot API, and webhooks received by a test server."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.contract.ok.ok_emulator import OkProcess
from tests.support.eventually import HANG_SECONDS, eventually


class Receiver:
    """Receives webhooks and responds with the given statuses, then with 200."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.statuses: list[int] = []
        self.hang = False
        self.types: list[str] = []
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        """Receive one webhook."""
        self.types.append(request.headers["Content-Type"])
        await self.events.put(await request.json())
        if self.hang:
            await asyncio.Event().wait()
        return web.Response(status=self.statuses.pop(0) if self.statuses else 200)

    async def next(self) -> dict[str, Any]:
        """Return the next event."""
        return await asyncio.wait_for(self.events.get(), HANG_SECONDS)

    async def all_received(self, network: OkProcess) -> list[dict[str, Any]]:
        """Wait until no delivery is pending; return the events not yet taken."""

        async def none_waits() -> bool:
            return not any(item["waiting"] for item in (await network.control("subscriptions"))["items"])

        await eventually(none_waits, "an empty queue of deliveries")
        return [self.events.get_nowait() for _ in range(self.events.qsize())]


@pytest.fixture
async def receiver(network: OkProcess) -> AsyncIterator[Receiver]:
    """A receiver subscribed by the page's bot."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiver.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        assert await network.graph("subscribe", {"url": receiver.url}) == {"success": True}
        yield receiver
        await network.graph("unsubscribe", {"url": receiver.url})
    finally:
        await runner.cleanup()


async def test_message_is_received_and_answered(network: OkProcess, receiver: Receiver) -> None:
    text = "Здравствуйте! <br> 😀\nКогда приём?\0"
    private = await network.citizen(text, "message")
    event = await receiver.next()
    assert event["webhookType"] == "MESSAGE_CREATED"
    assert event["sender"]["user_id"] == f"user:{private['author']}"
    assert event["recipient"] == {"chat_id": private["thread"]}
    assert event["message"]["mid"] == private["id"]
    assert event["message"]["text"] == text
    assert event["message"]["seq"] > 2**53
    assert receiver.types[0].startswith("application/json")
    chats = (await network.graph("chats", count=1))["chats"]
    assert chats[0]["chat_id"] == private["thread"]
    assert chats[0]["lastEventTime"] == event["timestamp"]
    echo = await network.graph(
        "messages", {"recipient": event["recipient"], "message": {"text": "Завтра.", "reply_to": private["id"]}}
    )
    newest, asked = (await network.graph(f"messages/{private['thread']}"))["messages"]
    assert newest["message"]["mid"] == echo["message_id"]
    assert asked["message"]["text"] == text
    answers = (await network.control(f"answers?page={network.page}"))["items"]
    assert (answers[-1]["thread"], answers[-1]["in_reply_to"]) == (private["thread"], private["id"])
    await network.control("community", {"page": network.page, "thread": private["thread"], "text": "Вручную"})
    assert await receiver.all_received(network) == [], "the group's own message was pushed to it"


async def test_refused_event_is_sent_again_until_accepted(network: OkProcess, receiver: Receiver) -> None:
    receiver.statuses = [500, 204]
    private = await network.citizen("Повторите", "message")
    events = [await receiver.next() for _ in range(3)]
    assert [event["message"]["mid"] for event in events] == [private["id"]] * 3
    assert await receiver.all_received(network) == []


async def test_slow_receiver_gets_the_event_again(network: OkProcess, receiver: Receiver) -> None:
    await network.control("settings", {"webhook_timeout_seconds": 0.3})
    receiver.hang = True
    private = await network.citizen("Долго", "message")
    first = await receiver.next()
    await network.control("settings", {"webhook_timeout_seconds": 60})
    receiver.hang = False
    events = [first, await receiver.next(), *await receiver.all_received(network)]
    assert {event["message"]["mid"] for event in events} == {private["id"]}


async def test_event_survives_a_kill(receiver: Receiver, tmp_path: Path) -> None:
    network = OkProcess(tmp_path / "ok.sqlite3", webhook_retry_seconds="[1.0]")
    try:
        await network.start()
        await network.open_page("Школа № 1", "school1")
        await network.graph("subscribe", {"url": receiver.url})
        receiver.statuses = [503]
        private = await network.citizen("Переживёт", "message")
        await receiver.next()
        await network.end(signal.SIGKILL)
        await network.start()
        assert (await receiver.next())["message"]["mid"] == private["id"]
    finally:
        await network.close()


async def test_always_failing_subscription_is_removed(receiver: Receiver, tmp_path: Path) -> None:
    network = OkProcess(tmp_path / "ok.sqlite3", webhook_retry_seconds="[0.1]", webhook_removed_after_seconds=0.3)
    try:
        await network.start()
        await network.open_page("Школа № 1", "school1")
        await network.graph("subscribe", {"url": receiver.url})
        receiver.statuses = [500] * 1000
        await network.citizen("Не дойдёт", "message")

        async def removed() -> bool:
            return not (await network.graph("subscriptions"))["subscriptions"]

        await eventually(removed, "the end of the subscription")
        assert not receiver.events.empty()
    finally:
        await network.close()


async def test_faults_repeat_and_drop_events(network: OkProcess, receiver: Receiver) -> None:
    await network.control("faults", {"kind": "duplicate", "next": 1, "method": "webhook"})
    twice = await network.citizen("Дважды", "message")
    assert [(await receiver.next())["message"]["mid"] for _ in range(2)] == [twice["id"]] * 2
    await network.control("faults", {"kind": "drop", "next": 1, "method": "webhook"})
    await network.citizen("Ни разу", "message")
    late = await network.citizen("Один раз", "message")
    assert (await receiver.next())["message"]["mid"] == late["id"]
    assert await receiver.all_received(network) == []


async def test_reordered_event_is_delivered_after_a_later_one(network: OkProcess, receiver: Receiver) -> None:
    async def delayed(milliseconds: int) -> str:
        await network.control("settings", {"webhook_reorder_ms": milliseconds})
        await network.control("faults", {"kind": "reorder", "next": 1, "method": "webhook"})
        return str((await network.citizen("Первое", "message"))["id"])

    await delayed(600_000)
    younger = (await network.citizen("Второе", "message"))["id"]
    assert (await receiver.next())["message"]["mid"] == younger
    (subscription,) = (await network.control(f"subscriptions?page={network.page}"))["items"]
    assert subscription["waiting"] >= 1
    assert receiver.events.empty()
    late = await delayed(100)
    assert (await receiver.next())["message"]["mid"] == late


async def test_events_of_other_pages_are_not_sent(network: OkProcess, receiver: Receiver) -> None:
    other = await network.control("pages", {"name": "Больница", "screen_name": "clinic"})
    await network.control("citizen", {"page": other["id"], "kind": "message", "text": "Не вам"})
    assert await receiver.all_received(network) == []


async def test_control_api_shows_and_removes_a_subscription(network: OkProcess, receiver: Receiver) -> None:
    types = ["MESSAGE_CREATED", "CHAT_SYSTEM"]
    await network.graph("subscribe", {"url": receiver.url, "types": types})
    receiver.statuses = [500]
    private = await network.citizen("Раз", "message")
    for _ in range(2):
        await receiver.next()
    assert await receiver.all_received(network) == []
    shown = await network.control(f"subscriptions?page={network.page}&count=2")
    (subscription,) = shown["items"]
    assert (subscription["url"], subscription["types"], subscription["waiting"]) == (receiver.url, types, 0)
    assert subscription["failing_since"] is None
    assert [(item["attempt"], item["status"]) for item in shown["deliveries"]] == [(2, 200), (1, 500)]
    assert shown["deliveries"][0]["event"]["message"]["mid"] == private["id"]
    assert await network.control("subscriptions", {"page": network.page, "drop": True}) == {"dropped": 1}
    await network.citizen("Два", "message")
    assert await receiver.all_received(network) == []
    assert (await network.graph("subscriptions"))["subscriptions"] == []


async def test_chat_changes_are_separate_events(network: OkProcess, receiver: Receiver) -> None:
    await network.graph("subscribe", {"url": receiver.url, "types": ["CHAT_SYSTEM"]})
    private = await network.citizen("Не событие чата", "message")
    place = {"page": network.page, "thread": private["thread"]}
    await network.control("chat", {**place, "title": "Новое имя"})
    await network.control("chat", {**place, "event": "USER_LEFT"})
    renamed, left = await receiver.next(), await receiver.next()
    assert {renamed["webhookType"], left["webhookType"]} == {"CHAT_SYSTEM"}
    by_type = {event["chat"]["type"]: event["chat"] for event in (renamed, left)}
    assert by_type["TITLE_CHANGED"]["title"] == "Новое имя"
    assert by_type["USER_LEFT"]["users"] == [f"user:{private['author']}"]
    assert renamed["recipient"] == {"chat_id": private["thread"]}
    assert (await network.graph(f"chat/{private['thread']}"))["title"] == "Новое имя"


async def test_webhooks_in_the_old_format_have_no_type_field(network: OkProcess, receiver: Receiver) -> None:
    await network.control("settings", {"webhook_type_field": False})
    private = await network.citizen("Старый вид", "message")
    event = await receiver.next()
    await network.control("settings", {"webhook_type_field": True})
    assert "webhookType" not in event
    assert event["message"]["mid"] == private["id"]


async def test_mix_of_faults_repeats_webhooks_but_drops_none(network: OkProcess, receiver: Receiver) -> None:
    await network.control("faults", {"mix": [{"kind": "duplicate"}, {"kind": "drop"}], "rate": 1, "seed": 1})
    made = [(await network.citizen(f"Событие {number}", "message"))["id"] for number in range(12)]
    await network.control("faults", method="DELETE")
    events = [event["message"]["mid"] for event in await receiver.all_received(network)]
    assert set(events) == set(made)
    assert len(made) < len(events) < 2 * len(made)


async def test_failing_subscription_is_removed_after_a_third_of_the_emulated_day(
    receiver: Receiver, tmp_path: Path
) -> None:
    network = OkProcess(tmp_path / "ok.sqlite3", webhook_retry_seconds="[60]", day_seconds=3)
    try:
        await network.start()
        await network.open_page("Школа № 1", "school1")
        await network.graph("subscribe", {"url": receiver.url})
        receiver.statuses = [500]
        await network.citizen("Не дойдёт", "message")
        await receiver.next()

        async def removed() -> bool:
            return not (await network.control("subscriptions"))["items"]

        await eventually(removed, "the end of the subscription after a third of the day")
    finally:
        await network.close()
