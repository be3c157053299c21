"""Two independent clients get injected faults; faults survive a crash."""

import asyncio
import signal
from collections import Counter
from typing import Any

import aiookru
import httpx
import odnoklassniki.api
import pytest
from odnoklassniki.api import Odnoklassniki, OdnoklassnikiError

from tests.contract.ok.ok_emulator import OkProcess
from tests.support.eventually import HANG_SECONDS


async def call(network: OkProcess, user: dict[str, Any], method: str, **params: Any) -> Any:
    """Call a method signed with the session secret; return None if the connection broke."""
    api = aiookru.API(user["token"], user["application_key"], session_secret_key=user["session_secret_key"])
    async with httpx.AsyncClient(base_url=network.url, timeout=HANG_SECONDS) as http:
        api.session.client = http
        try:
            return await api(method, **params)
        except httpx.TransportError:
            return None


async def test_clients_see_an_invalid_token_and_its_replacement(
    network: OkProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(odnoklassniki.api, "API_URL", f"{network.url}/fb.do")
    dead, fresh = (await network.control("tokens", {"kind": "user", "count": 2}))["items"]
    body = {"kind": "persistent", "code": 103, "token": dead["token"], "until": "replaced"}
    await network.control("faults", body)
    for user, expected in ((dead, 103), (fresh, None)):
        assert (await call(network, user, "users.getCurrentUser")).get("error_code") == expected
    sync = [
        Odnoklassniki(item["application_key"], item["application_secret_key"], item["token"])
        for item in (dead, fresh)
    ]
    with pytest.raises(OdnoklassnikiError) as raised:
        await asyncio.to_thread(sync[0].users.getCurrentUser)
    assert raised.value.code == 103
    assert (await asyncio.to_thread(sync[1].users.getCurrentUser))["uid"] == fresh["uid"]
    by_token = (await network.control("calls"))["by_token"]
    assert by_token[dead["token"]]["while_faulty"] == 2
    assert by_token[fresh["token"]]["while_faulty"] == 0
    await network.control("faults", method="DELETE")


async def test_call_with_a_changed_signed_parameter_gets_error_104(network: OkProcess) -> None:
    asked = await network.citizen("Вопрос", thread=network.topic)
    user = network.user
    params = {
        "application_key": user["application_key"],
        "method": "discussions.deleteDiscussionComment",
        "discussionId": network.topic,
        "discussionType": "GROUP_TOPIC",
        "comment_id": asked["id"],
        "mark_as_spam": "true",
        "block_author": "false",
        "format": "json",
    }
    client = Odnoklassniki(user["application_key"], user["application_secret_key"], user["token"])
    signed = {**params, "sig": client._signature(params), "access_token": user["token"]}
    for name in ("block_author", "mark_as_spam", "comment_id", "discussionType"):
        async with network.http.post("/fb.do", data={**signed, name: "true1"}) as response:
            assert response.headers["invocation-error"] == "104", name
    async with network.http.post("/fb.do", data=signed) as response:
        assert await response.json() is True


async def test_clients_read_removed_and_edited_comments(
    network: OkProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(odnoklassniki.api, "API_URL", f"{network.url}/fb.do")
    await network.control("settings", {"removed_shown": "all"})
    topic = (await network.control("post", {"page": network.page, "text": "Обсуждаем"}))["thread"]
    kept, gone = [await network.citizen(text, thread=topic) for text in ("Остаётся", "Исчезает")]
    await network.control("edit", {"page": network.page, "id": kept["id"], "text": "Изменён"})
    await network.control("delete", {"page": network.page, "id": gone["id"], "by": "community"})
    place = {"discussionId": topic, "discussionType": "GROUP_TOPIC"}
    user = network.user
    client = Odnoklassniki(user["application_key"], user["application_secret_key"], user["token"])
    seen = await asyncio.to_thread(client.discussions.getComments, **place, includeRemoved="true")
    also = await call(network, user, "discussions.getComments", **place, includeRemoved="true")
    assert seen == also
    assert [(item["text"], item["type"]) for item in seen["comments"]] == [
        ("Изменён", "ACTIVE_MESSAGE"),
        ("", "REMOVED_MESSAGE"),
    ]
    plain = await call(network, user, "discussions.getComments", **place)
    assert [item["id"] for item in plain["comments"]] == [kept["id"]]
    await network.control("settings", {"removed_shown": "own"})


async def test_faults_survive_a_kill(lone_network: OkProcess) -> None:
    network = lone_network
    network.environment |= {"EMULATOR_CALLS_PER_SECOND": "0", "EMULATOR_CALLS_PER_DAY": "0"}
    await network.start()
    await network.open_page("Школа № 1", "school1")
    kinds = ["timeout", "truncated", "wrong_json", "duplicate", "reorder", "slow", "drop", "lost_response"]
    parts: list[dict[str, Any]] = [{"kind": kind, "seconds": 0.05} for kind in kinds]
    parts += [{"kind": "error", "code": code} for code in (1, 2)]
    await network.control("faults", {"mix": parts, "rate": 0.25, "methods": ["group.getInfo"], "seed": 3})
    token = network.user["token"]
    body = {"kind": "persistent", "code": 11, "token": token, "methods": ["url.getInfo"], "until": "day_end"}
    await network.control("faults", body)
    await network.control("script", {"steps": [{"after_calls": 10_000, "do": {"clear": True}}]})
    await network.control("settings", {"removed_type": "GONE", "webhook_retry_seconds": [0.1]})
    await network.control("page", {"page": network.page, "who_can_comment": "NOBODY"})
    day = (await network.control("next-day", {}))["day"]
    await network.control("faults", body)
    for _ in range(60):
        await call(network, network.user, "group.getInfo", uids=network.page)
    before = [await network.control(path) for path in ("faults", "script", "settings", "calls")]
    await network.end(signal.SIGKILL)
    await network.start()
    assert [await network.control(path) for path in ("faults", "script", "settings", "calls")] == before
    assert before[0]["persistent"][0]["ended"] == "day_end"
    assert (await call(network, network.user, "url.getInfo", url="ok.ru/school1"))["error_code"] == 11
    assert (await network.control("next-day", {}))["day"] == day + 1
    assert (await call(network, network.user, "url.getInfo", url="ok.ru/school1"))["type"] == "GROUP"
    assert (await network.control("faults", method="DELETE"))["items"] == []
    (info,) = await call(network, network.user, "group.getInfo", uids=network.page, fields="who_can_comment")
    assert info["who_can_comment"] == "NOBODY"


@pytest.mark.long
async def test_mix_of_faults_hits_about_a_quarter_of_the_calls(network: OkProcess) -> None:
    parts = [{"kind": kind, "seconds": 0.01} for kind in ("timeout", "truncated", "slow", "drop", "lost_response")]
    parts += [{"kind": "error", "code": code} for code in (1, 2)]
    await network.control("faults", {"mix": parts, "rate": 0.25, "seed": 4})
    seen: Counter[str] = Counter()
    for _ in range(200):
        answer = await call(network, network.user, "users.getCurrentUser")
        seen["broken" if answer is None else str(answer.get("error_code"))] += 1
    assert (await network.control("faults", method="DELETE"))["items"] == []
    assert 25 <= 200 - seen["None"] <= 65
    assert set(seen) == {"None", "broken", "1", "2"}
