"""The emulator as a process: state after SIGKILL, idempotency keys, injected faults."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from tests.contract.conftest import StartEmulator
from tests.contract.vk.emulator_page import VERSION, VkPage
from tests.support.eventually import HANG_SECONDS


async def _everything(page: VkPage) -> dict[str, Any]:
    control = page.emulator.control
    wall = await page.api("wall.get", page.service, owner_id=-page.id)
    return {
        "pages": await control("pages"),
        "tokens": await control("tokens"),
        "answers": await control("answers"),
        "counts": await control("counts"),
        "posts": wall["response"]["items"],
        "events": await page.poll("0"),
    }


@pytest.mark.parametrize("with_signal", [signal.SIGKILL, signal.SIGTERM])
async def test_state_survives_a_restart(start_emulator: StartEmulator, with_signal: signal.Signals) -> None:
    emulator = await start_emulator("vk")
    page = await VkPage.open(emulator)
    written = await page.citizen("До конца <br>\u0000👍\r\n")
    answer = {
        "owner_id": -page.id,
        "post_id": written["thread"],
        "message": "Ответ",
        "guid": "a-1",
        "reply_to_comment": written["id"],
    }
    first = (await page.api("wall.createComment", **answer))["response"]
    held = asyncio.create_task(page.poll(await page.ts(), wait=60))
    await page.polls_held()
    before = await _everything(page)
    await emulator.end(with_signal)
    if with_signal == signal.SIGTERM:
        assert (await held)["updates"] == []
    else:
        with pytest.raises(aiohttp.ClientError):
            await held
    await emulator.start()
    assert await _everything(page) == before
    assert before["events"]["updates"][1]["object"]["text"] == "До конца <br>\u0000👍\r\n"
    assert (await page.api("wall.createComment", **answer))["response"] == first
    assert len((await emulator.control("answers"))["items"]) == 1


async def test_daily_count_survives_a_restart(start_emulator: StartEmulator) -> None:
    emulator = await start_emulator("vk", daily_limits='{"wall.get": 1}', day_seconds=10_000_000_000)
    page = await VkPage.open(emulator)
    assert "response" in await page.api("wall.get", page.service, owner_id=-page.id)
    await emulator.end(signal.SIGKILL)
    await emulator.start()
    refused = await page.api("wall.get", page.service, owner_id=-page.id)
    assert refused["error"]["error_code"] == 29
    assert refused["error"]["error_msg"] == "Rate limit reached"


async def test_call_with_lost_response_takes_effect_once(page: VkPage) -> None:
    written = await page.citizen("Вопрос", kind="message")
    for kind in ("lost_response", "truncated"):
        await page.emulator.control("faults", {"kind": kind, "next": 1, "method": "messages.send"})
        message = {"peer_id": written["thread"], "message": kind, "random_id": 7 + len(kind)}
        with pytest.raises(aiohttp.ClientError):
            await page.api("messages.send", **message)
        assert isinstance((await page.api("messages.send", **message))["response"], int)
    answers = (await page.emulator.control("answers"))["items"]
    assert [item["text"] for item in answers if item["thread"] == written["thread"]] == [
        "lost_response",
        "truncated",
    ]


async def test_fault_before_the_effect_changes_nothing(page: VkPage) -> None:
    written = await page.citizen("Вопрос", kind="message")
    message = {"peer_id": written["thread"], "message": "Ответ", "random_id": 0}
    arm = {"next": 1, "method": "messages.send"}
    await page.emulator.control("faults", arm | {"kind": "drop"})
    with pytest.raises(aiohttp.ClientError):
        await page.api("messages.send", **message)
    await page.emulator.control("faults", arm | {"kind": "timeout", "seconds": 0.2})
    with pytest.raises(aiohttp.ClientError):
        await page.api("messages.send", **message)
    await page.emulator.control("faults", arm | {"kind": "error", "code": 14})
    error = (await page.api("messages.send", **message))["error"]
    assert (error["error_code"], "captcha_sid" in error, "redirect_uri" in error) == (14, True, True)
    assert (await page.emulator.control("faults"))["items"] == []
    answers = (await page.emulator.control("answers"))["items"]
    assert not [item for item in answers if item["thread"] == written["thread"]]


Send = Callable[[VkPage, dict[str, str]], Awaitable[Any]]


async def _query(page: VkPage, params: dict[str, str]) -> Any:
    async with page.emulator.http.get("/method/groups.getById", params=params) as response:
        return await response.json()


async def _form(page: VkPage, params: dict[str, str]) -> Any:
    async with page.emulator.http.post("/method/groups.getById", data=params) as response:
        return await response.json()


async def _multipart(page: VkPage, params: dict[str, str]) -> Any:
    body = aiohttp.FormData(default_to_multipart=True)
    for name, value in params.items():
        body.add_field(name, value)
    async with page.emulator.http.post("/method/groups.getById", data=body) as response:
        return await response.json()


async def _header(page: VkPage, params: dict[str, str]) -> Any:
    rest = {name: value for name, value in params.items() if name != "access_token"}
    headers = {"Authorization": f"Bearer {params['access_token']}"}
    async with page.emulator.http.post("/method/groups.getById", params=rest, headers=headers) as response:
        return await response.json()


@pytest.mark.parametrize("send", [_query, _form, _multipart, _header])
async def test_parameters_are_read_from_query_and_body(page: VkPage, send: Send) -> None:
    params = {"access_token": page.group, "v": VERSION, "fields": "description,wall"}
    group = (await send(page, params))["response"]["groups"][0]
    assert (group["id"], group["wall"]) == (page.id, 1)


async def test_call_without_version_token_or_known_method_is_refused(page: VkPage) -> None:
    url = "/method/users.get"
    async with page.emulator.http.get(url, params={"access_token": page.user}) as response:
        error = (await response.json())["error"]
    assert error["error_code"] == 8
    assert {"key": "method", "value": "users.get"} in error["request_params"]
    assert page.user not in str(error)
    async with page.emulator.http.get(url, params={"v": VERSION}) as response:
        assert (await response.json())["error"]["error_code"] == 5
    assert (await page.api("users.getEverything"))["error"]["error_code"] == 3


@pytest.mark.parametrize(
    ("path", "body", "status", "names"),
    [
        ("citizen", {"page": "school1", "kind": "letter", "text": "?"}, 422, "kind"),
        ("citizen", {"page": "school1", "kind": "comment"}, 422, "text"),
        ("edit", {"page": "school1", "id": "x", "text": "?"}, 422, "id"),
        ("faults", {"kind": "slow"}, 422, "rate"),
        ("citizen", {"page": "nobody", "kind": "comment", "text": "?"}, 404, "nobody"),
        ("citizen", {"page": "school1", "kind": "comment", "text": ""}, 400, "100"),
        ("citizen", {"page": "school1", "kind": "message", "text": "я" * 4_097}, 400, "914"),
    ],
)
async def test_invalid_control_call_is_refused_naming_the_field(
    page: VkPage, path: str, body: dict[str, Any], status: int, names: str
) -> None:
    async with page.emulator.http.post(f"/_control/{path}", json=body) as response:
        assert response.status == status
        answer = await response.json()
    assert set(answer) == ({"error"} if status == 400 else {"detail"})
    assert names in str(answer)


async def test_citizens_write_until_the_rate_is_set_to_zero(start_emulator: StartEmulator) -> None:
    page = await VkPage.open(await start_emulator("vk", citizens_per_minute=12_000))

    async def written() -> int:
        counts = (await page.emulator.control("counts"))["items"]
        return sum(item["count"] for item in counts if item["by"] == "citizens")

    async with asyncio.timeout(HANG_SECONDS):
        while await written() < 20:
            await asyncio.sleep(0.05)
    await page.emulator.control("citizen-rate", {"per_minute": 0})
    silent = await written()
    await asyncio.sleep(0.3)
    assert await written() == silent


async def test_hidden_wall_is_readable_by_its_administrator_only(page: VkPage) -> None:
    hidden = await VkPage.open(page.emulator, "hidden1")
    await page.emulator.control("wall", {"page": hidden.id, "state": "members_only"})
    refused = await page.api("wall.get", page.service, owner_id=-hidden.id)
    assert refused["error"]["error_code"] == 15
    assert "response" in await page.api("wall.get", page.user, owner_id=-hidden.id)
