"""Private messages over HTTP, and webhooks received by a server of our own."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.contract.ok.process import OkProcess
from tests.contract.process import free_port


class Receiver:
    """Takes webhooks and answers with the statuses it is told, then with 200."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.statuses: list[int] = []
        self.pauses: list[float] = []
        self.types: list[str] = []
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        """One webhook."""
        self.types.append(request.headers["Content-Type"])
        await self.events.put(await request.json())
        if self.pauses:
            await asyncio.sleep(self.pauses.pop(0))
        return web.Response(status=self.statuses.pop(0) if self.statuses else 200)

    async def next(self, seconds: float = 5) -> dict[str, Any]:
        """The next event."""
        return await asyncio.wait_for(self.events.get(), seconds)

    async def silent(self, seconds: float = 1.5) -> bool:
        """Whether nothing comes."""
        await asyncio.sleep(seconds)
        return self.events.empty()


@pytest.fixture
async def receiver(network: OkProcess) -> AsyncIterator[Receiver]:
    """A receiver that the page's bot has subscribed."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiver.take)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    receiver.url = f"http://127.0.0.1:{port}/hook"
    try:
        assert await network.graph("subscribe", {"url": receiver.url}) == {"success": True}
        yield receiver
        await network.graph("unsubscribe", {"url": receiver.url})
    finally:
        await runner.cleanup()


async def test_a_message_arrives_and_is_answered(network: OkProcess, receiver: Receiver) -> None:
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
    answers = (await network.door(f"answers?page={network.page}"))["items"]
    assert (answers[-1]["thread"], answers[-1]["in_reply_to"]) == (private["thread"], private["id"])
    await network.door("community", {"page": network.page, "thread": private["thread"], "text": "Вручную"})
    assert await receiver.silent(), "the group's own words came back"


async def test_a_refused_event_comes_again_until_accepted(network: OkProcess, receiver: Receiver) -> None:
    receiver.statuses = [500, 204]
    private = await network.citizen("Повторите", "message")
    events = [await receiver.next() for _ in range(3)]
    assert [event["message"]["mid"] for event in events] == [private["id"]] * 3
    assert await receiver.silent()


async def test_a_slow_receiver_gets_the_event_again(network: OkProcess, receiver: Receiver) -> None:
    receiver.pauses = [0.8]
    private = await network.citizen("Долго", "message")
    events = [await receiver.next() for _ in range(2)]
    assert [event["message"]["mid"] for event in events] == [private["id"]] * 2
    assert await receiver.silent()


async def test_an_event_outlives_a_kill_of_the_network(receiver: Receiver, tmp_path: Path) -> None:
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


async def test_a_subscription_that_always_fails_is_removed(receiver: Receiver, tmp_path: Path) -> None:
    network = OkProcess(tmp_path / "ok.sqlite3", webhook_retry_seconds="[0.1]", webhook_removed_after_seconds=0.3)
    try:
        await network.start()
        await network.open_page("Школа № 1", "school1")
        await network.graph("subscribe", {"url": receiver.url})
        receiver.statuses = [500] * 1000
        await network.citizen("Не дойдёт", "message")
        for _ in range(100):
            if not (await network.graph("subscriptions"))["subscriptions"]:
                break
            await asyncio.sleep(0.1)
        else:
            pytest.fail("the subscription stays")
        assert 2 <= receiver.events.qsize() < 100
    finally:
        await network.close()


async def test_faults_repeat_and_drop_events(network: OkProcess, receiver: Receiver) -> None:
    await network.door("faults", {"kind": "duplicate", "next": 1, "method": "webhook"})
    twice = await network.citizen("Дважды", "message")
    assert [(await receiver.next())["message"]["mid"] for _ in range(2)] == [twice["id"]] * 2
    await network.door("faults", {"kind": "drop", "next": 1, "method": "webhook"})
    await network.citizen("Ни разу", "message")
    late = await network.citizen("Один раз", "message")
    assert (await receiver.next())["message"]["mid"] == late["id"]
    assert await receiver.silent()


async def test_other_pages_do_not_reach_the_subscriber(network: OkProcess, receiver: Receiver) -> None:
    other = await network.door("pages", {"name": "Больница", "screen_name": "clinic"})
    await network.door("citizen", {"page": other["id"], "kind": "message", "text": "Не вам"})
    assert await receiver.silent()
