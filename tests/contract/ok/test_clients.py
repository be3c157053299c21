"""Two independent OK clients work with the emulator; only the address is changed."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiookru
import httpx
import odnoklassniki.api
import pytest
from odnoklassniki.api import Odnoklassniki, OdnoklassnikiError

from tests.contract.ok.ok_emulator import OkProcess


class SyncClient:
    """The client of the package `odnoklassniki`, in a thread."""

    def __init__(self, network: OkProcess) -> None:
        user = network.user
        self.api = Odnoklassniki(user["application_key"], user["application_secret_key"], user["token"])

    async def call(self, method: str, **params: Any) -> Any:
        """Return the response of a method, or raise the client's error."""
        function = self.api
        for part in method.split("."):
            function = getattr(function, part)
        return await asyncio.to_thread(function, **params)


class AsyncClient:
    """The client of the package `aiookru`."""

    def __init__(self, network: OkProcess, **secret: str) -> None:
        user = network.user
        self.api = aiookru.API(user["token"], user["application_key"], **secret)
        self.api.session.client = httpx.AsyncClient(base_url=network.url)

    async def call(self, method: str, **params: Any) -> Any:
        """Return the response of a method; this client does not raise for errors of the network."""
        return await self.api(method, **params)


@pytest.fixture(params=["odnoklassniki", "aiookru by application secret", "aiookru by session secret"])
async def client(
    request: pytest.FixtureRequest, network: OkProcess, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[SyncClient | AsyncClient]:
    """One of the clients; the tests run with each."""
    if request.param == "odnoklassniki":
        monkeypatch.setattr(odnoklassniki.api, "API_URL", f"{network.url}/fb.do")
        yield SyncClient(network)
        return
    name = "application_secret_key" if "application" in request.param else "session_secret_key"
    made = AsyncClient(network, **{name: network.user[name]})
    yield made
    await made.api.session.client.aclose()


async def test_group_and_topics_are_read(network: OkProcess, client: SyncClient | AsyncClient) -> None:
    wall = await network.citizen("Когда откроют каток?", "wall_post")
    (info,) = await client.call("group.getInfo", uids=network.page, fields="gos_org,shortname,members_count")
    assert info["gos_org"] is True
    assert info["shortname"] == "school1"
    topics = await client.call("mediatopic.getTopics", gid=network.page, count=1)
    (newest,) = topics["media_topics"]
    assert newest["id"] == wall["thread"]
    assert newest["author_ref"] == f"user:{wall['author']}"
    assert newest["media"][0]["text"] == "Когда откроют каток?"
    older = await client.call("mediatopic.getTopics", gid=network.page, count=1, anchor=topics["anchor"])
    assert older["media_topics"][0]["id"] != newest["id"]
    me = await client.call("users.getCurrentUser")
    assert me["uid"] == network.user["uid"]


async def test_long_discussion_is_read_by_pages(network: OkProcess, client: SyncClient | AsyncClient) -> None:
    topic = (await network.control("post", {"page": network.page, "text": "Обсуждаем"}))["thread"]
    texts = [f"Комментарий {number}" for number in range(130)]
    await network.comment_many(texts)
    listed = await client.call("discussions.getList", category="GROUP", types="GROUP_TOPIC", count=1)
    assert listed["discussions"][0]["object_id"] == topic
    assert listed["discussions"][0]["total_comments_count"] == 130
    place = {"discussionId": topic, "discussionType": "GROUP_TOPIC", "count": 100, "direction": "FORWARD"}
    found: list[str] = []
    anchor, more = "FIRST", True
    while more:
        page = await client.call("discussions.getComments", **place, anchor=anchor, fields="comment.*,user.*")
        assert len(page["comments"]) <= 100
        assert all(comment["date_ms"] > 0 for comment in page["comments"])
        known = {user["uid"] for user in page["entities"]["users"]}
        assert {comment["author_id"] for comment in page["comments"]} <= known
        found += [comment["text"] for comment in page["comments"]]
        anchor, more = page["anchor"], page["has_more"]
    assert found == texts


async def test_reply_is_published_as_the_group(network: OkProcess, client: SyncClient | AsyncClient) -> None:
    asked = await network.citizen("Почему нет отопления? <br> &amp; 😡\nЖдём.")
    comment = await client.call(
        "discussions.addDiscussionComment",
        entityId=asked["thread"],
        entityType="GROUP_TOPIC",
        comment="Тепло дадут сегодня 🙏 a+b&c=d",
        reply_to_comment_id=asked["id"],
        as_admin="true",
    )
    assert isinstance(comment, str), comment
    answers = (await network.control(f"answers?page={network.page}"))["items"]
    assert {"id": comment, "thread": asked["thread"], "in_reply_to": asked["id"], "by": "api"}.items() <= answers[
        -1
    ].items()
    assert answers[-1]["text"] == "Тепло дадут сегодня 🙏 a+b&c=d"
    shown = await client.call(
        "discussions.getComment", discussionId=asked["thread"], discussionType="GROUP_TOPIC", comment_id=comment
    )
    assert shown["comment"]["author_type"] == "GROUP"


async def test_call_signed_with_a_wrong_secret_gets_error_104(
    network: OkProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(odnoklassniki.api, "API_URL", f"{network.url}/fb.do")
    user = network.user
    wrong = Odnoklassniki(user["application_key"], "ANOTHERSECRET", user["token"])
    with pytest.raises(OdnoklassnikiError) as raised:
        await asyncio.to_thread(wrong.users.getCurrentUser)
    assert raised.value.code == 104
    async with network.http.get(
        "/fb.do", params={"application_key": user["application_key"], "access_token": user["token"], "sig": "0"}
    ) as response:
        assert response.status == 200
        assert response.headers["invocation-error"] == "104"
        assert response.content_type == "application/json"
        assert set(await response.json()) == {"error_code", "error_msg", "error_data"}


async def test_call_with_a_revoked_token_gets_error_102(network: OkProcess) -> None:
    fresh = await network.control("tokens", {"kind": "user"})
    api = aiookru.API(
        fresh["token"], fresh["application_key"], application_secret_key=fresh["application_secret_key"]
    )
    async with httpx.AsyncClient(base_url=network.url) as http:
        api.session.client = http
        assert (await api("users.getCurrentUser"))["uid"] == fresh["uid"]
        await network.control("tokens/revoke", {"token": fresh["token"]})
        assert (await api("users.getCurrentUser"))["error_code"] == 102


async def test_calls_over_the_limits_get_errors_8_and_11(
    lone_network: OkProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lone_network.start()
    await lone_network.open_page("Школа № 1", "school1")
    monkeypatch.setattr(odnoklassniki.api, "API_URL", f"{lone_network.url}/fb.do")
    client = SyncClient(lone_network)

    async def code() -> int | None:
        try:
            await client.call("users.getCurrentUser")
        except OdnoklassnikiError as error:
            return int(error.code)
        return None

    assert [await code() for _ in range(3)] == [None, None, 8]
    await lone_network.control("settings", {"calls_per_second": 0})
    assert [await code() for _ in range(4)] == [None, None, None, 11]
