"""Three independent VK clients work with the emulator; only the address is changed."""

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, ClassVar

import aiovk
import pytest
import requests
import vk_api
import vk_api.bot_longpoll
from aiovk import TokenSession
from aiovk.exceptions import VkAPIError, VkAuthError
from aiovk.longpoll import BotsLongPoll

from tests.contract.vk.emulator_page import LONG_THREAD, VERSION, VkPage
from tests.support.eventually import HANG_SECONDS
from tests.support.lazy_module import LazyModule

vkbottle = LazyModule("vkbottle")
vkbottle_polling = LazyModule("vkbottle.polling")


class Rewriting(requests.Session):
    """Redirects requests for the real address to the emulator."""

    base: ClassVar[str] = "https://api.vk.ru"

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def request(self, method: Any, url: Any, *args: Any, **kwargs: Any) -> requests.Response:
        return super().request(method, str(url).replace(self.base, self._url), *args, **kwargs)


class Client(ABC):
    """The interface of all clients in the tests."""

    def __init__(self, page: VkPage) -> None:
        self.page = page

    @abstractmethod
    async def call(self, token: str, method: str, **params: Any) -> Any:
        """Return the `response` of a call."""

    @abstractmethod
    async def error(self, token: str, method: str, **params: Any) -> int:
        """Return the error code of a call."""

    @abstractmethod
    async def events(self) -> list[dict[str, Any]]:
        """Return the events of a long poll during which a citizen writes."""


class VkApiClient(Client):
    """The client of vk_api: synchronous, in a thread."""

    @contextmanager
    def _session(self, token: str) -> Iterator[vk_api.VkApi]:
        with Rewriting(self.page.emulator.url) as session:
            yield vk_api.VkApi(token=token, api_version=VERSION, session=session)

    def _call(self, token: str, method: str, params: dict[str, Any]) -> Any:
        with self._session(token) as api:
            return api.method(method, params)

    async def call(self, token: str, method: str, **params: Any) -> Any:
        return await asyncio.to_thread(self._call, token, method, params)

    async def error(self, token: str, method: str, **params: Any) -> int:
        with pytest.raises(vk_api.ApiError) as caught:
            await self.call(token, method, **params)
        return int(caught.value.code)

    async def events(self) -> list[dict[str, Any]]:
        def listen() -> list[dict[str, Any]]:
            with self._session(self.page.group) as api:
                poll = vk_api.bot_longpoll.VkBotLongPoll(api, self.page.id, wait=10)
                started.set()
                with poll.session:
                    return [event.raw for event in poll.check()]

        started = threading.Event()
        listening = asyncio.create_task(asyncio.to_thread(listen))
        assert await asyncio.to_thread(started.wait, HANG_SECONDS)
        await self.page.citizen("Пока опрос ждёт")
        return await listening


class BottleClient(Client):
    """The client of vkbottle."""

    @asynccontextmanager
    async def _api(self, token: str) -> AsyncIterator[Any]:
        api = vkbottle.API(token)
        api.API_URL = f"{self.page.emulator.url}/method/"
        try:
            yield api
        finally:
            await api.http_client.close()

    async def call(self, token: str, method: str, **params: Any) -> Any:
        async with self._api(token) as api:
            return (await api.request(method, params))["response"]

    async def error(self, token: str, method: str, **params: Any) -> int:
        with pytest.raises(vkbottle.VKAPIError) as caught:
            await self.call(token, method, **params)
        return int(caught.value.code)

    async def events(self) -> list[dict[str, Any]]:
        async with self._api(self.page.group) as api:
            polling = vkbottle_polling.BotPolling(api, wait=10)
            server = await polling.get_server()
            assert polling.group_id == self.page.id
            listening = asyncio.create_task(polling.get_event(server))
            await self.page.polls_held()
            await self.page.citizen("Пока опрос ждёт")
            updates: list[dict[str, Any]] = (await listening)["updates"]
            return updates


class AiovkClient(Client):
    """The client of aiovk."""

    @asynccontextmanager
    async def _session(self, token: str) -> AsyncIterator[TokenSession]:
        session = TokenSession(token)
        session.REQUEST_URL = f"{self.page.emulator.url}/method/"
        session.API_VERSION = VERSION
        async with session:
            yield session

    async def call(self, token: str, method: str, **params: Any) -> Any:
        async with self._session(token) as session:
            return await aiovk.API(session)(method, **params)

    async def error(self, token: str, method: str, **params: Any) -> int:
        try:
            await self.call(token, method, **params)
        except VkAuthError:
            return 5
        except VkAPIError as error:
            return int(error.error_code)
        raise AssertionError("the call returned no error")

    async def events(self) -> list[dict[str, Any]]:
        async with self._session(self.page.group) as session:
            poll = BotsLongPoll(session, group_id=self.page.id, wait=10)
            await poll._get_long_poll_server()
            listening = asyncio.create_task(poll.wait())
            await self.page.polls_held()
            await self.page.citizen("Пока опрос ждёт")
            updates: list[dict[str, Any]] = (await listening)["updates"]
            return updates


CLIENTS = (VkApiClient, BottleClient, AiovkClient)


@pytest.fixture(params=CLIENTS, ids=[client.__name__ for client in CLIENTS])
async def client(request: pytest.FixtureRequest, page: VkPage) -> Client:
    """One of the clients; the tests run with each."""
    made: Client = request.param(page)
    return made


async def test_wall_is_read(client: Client, page: VkPage) -> None:
    posted = await page.citizen("Запись гражданина на стене <br> & ё 👍", kind="wall_post")
    wall = await client.call(page.service, "wall.get", owner_id=-page.id, count=100, extended=1)
    assert wall["count"] == len(wall["items"])
    newest = wall["items"][0]
    assert (newest["id"], newest["text"]) == (posted["id"], "Запись гражданина на стене <br> & ё 👍")
    assert posted["author"] in [profile["id"] for profile in wall["profiles"]]
    assert wall["groups"][0]["id"] == page.id


async def test_thread_with_more_than_ten_replies_is_read(client: Client, page: VkPage) -> None:
    post, root = await page.long_thread()
    where = {"owner_id": -page.id, "post_id": post}
    top = await client.call(page.service, "wall.getComments", **where, count=100, thread_items_count=10)
    thread = next(item for item in top["items"] if item["id"] == root)["thread"]
    assert (thread["count"], len(thread["items"])) == (LONG_THREAD, 10)
    texts: list[str] = []
    while len(texts) < LONG_THREAD:
        piece = await client.call(
            page.service, "wall.getComments", **where, comment_id=root, count=10, offset=len(texts)
        )
        assert piece["current_level_count"] == LONG_THREAD
        assert all(item["parents_stack"] == [root] for item in piece["items"])
        texts += [item["text"] for item in piece["items"]]
    assert texts == [f"Ответ {number}" for number in range(LONG_THREAD)]


async def test_long_poll_returns_an_event(client: Client, page: VkPage) -> None:
    events = await client.events()
    assert [event["type"] for event in events] == ["wall_reply_new"]
    assert events[0]["object"]["text"] == "Пока опрос ждёт"
    assert events[0]["group_id"] == page.id
    assert len(events[0]["event_id"]) == 40


async def test_message_is_sent(client: Client, page: VkPage) -> None:
    written = await page.citizen("Здравствуйте", kind="message")
    answer = await client.call(
        page.group, "messages.send", peer_id=written["author"], random_id=0, message="Добрый день!"
    )
    assert isinstance(answer, int)
    listed = await client.call(
        page.group, "messages.send", peer_ids=f"{written['author']},1", random_id=0, message="Ещё раз"
    )
    assert [item.get("error", {}).get("code") for item in listed] == [None, 901]
    history = await client.call(page.group, "messages.getHistory", peer_id=written["author"])
    assert [item["text"] for item in history["items"]] == ["Ещё раз", "Добрый день!", "Здравствуйте"]


async def test_board_is_read_and_written(client: Client, page: VkPage) -> None:
    topic = await page.emulator.control("board", {"page": page.id, "title": "Дороги", "text": "Пишите"})
    where = {"group_id": page.id, "topic_id": topic["id"]}
    await page.citizen("Ямы на мосту", thread=topic["thread"])
    answer = await client.call(page.user, "board.createComment", **where, message="Засыплем", from_group=1)
    assert answer == 3
    read = await client.call(page.service, "board.getComments", **where, count=100)
    assert [(item["id"], item["text"]) for item in read["items"]] == [
        (1, "Пишите"),
        (2, "Ямы на мосту"),
        (3, "Засыплем"),
    ]
    topics = await client.call(page.service, "board.getTopics", group_id=page.id, order=2)
    assert (topics["items"][0]["id"], topics["items"][0]["comments"]) == (topic["id"], 3)
    assert await client.error(page.group, "board.createComment", **where, message="?") == 27


async def test_wrong_tokens_and_a_closed_wall_get_error_codes(client: Client, page: VkPage) -> None:
    wall = {"owner_id": -page.id}
    assert await client.error("vk1.a.wrong", "wall.get", **wall) == 5
    dead = await page.emulator.control("tokens", {"kind": "service"})
    await page.emulator.control("tokens/revoke", {"token": dead["token"]})
    assert await client.error(dead["token"], "wall.get", **wall) == 5
    assert await client.error(page.group, "wall.get", **wall) == 27
    assert await client.error(page.service, "messages.getConversations", group_id=page.id) == 28
    closed = await VkPage.open(page.emulator, "closed1")
    await page.emulator.control("wall", {"page": closed.id, "state": "disabled"})
    assert await client.error(page.service, "wall.get", owner_id=-closed.id) == 15


async def test_call_over_the_daily_limit_gets_error_29(client: Client, page: VkPage) -> None:
    token = (await page.emulator.control("tokens", {"kind": "service"}))["token"]
    posts = f"-{page.id}_1"
    assert (await client.call(token, "wall.getById", posts=posts))["items"][0]["id"] == 1
    assert await client.error(token, "wall.getById", posts=posts) == 29


@pytest.mark.parametrize("made", [BottleClient, AiovkClient])
async def test_call_over_the_limit_per_second_gets_error_6(made: type[Client], strict_page: VkPage) -> None:
    client = made(strict_page)
    token = (await strict_page.emulator.control("tokens", {"kind": "service"}))["token"]
    for _ in range(2):
        await client.call(token, "users.get", user_ids=1)
    assert await client.error(token, "users.get", user_ids=1) == 6


async def test_vk_api_repeats_calls_over_the_limit_per_second(strict_page: VkPage) -> None:
    token = (await strict_page.emulator.control("tokens", {"kind": "service"}))["token"]

    def call_four_times() -> list[int]:
        with Rewriting(strict_page.emulator.url) as session:
            api = vk_api.VkApi(token=token, api_version=VERSION, session=session)
            return [api.method("users.get", {"user_ids": 5})[0]["id"] for _ in range(4)]

    assert await asyncio.to_thread(call_four_times) == [5, 5, 5, 5]
    calls = (await strict_page.emulator.control("calls"))["items"]
    assert next(item for item in calls if item["method"] == "users.get")["refused"] > 0
