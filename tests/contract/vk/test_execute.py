"""The method `execute` of the emulator, called by independent clients and a plain HTTP client."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
import vk_api
from vk_api.execute import VkFunction
from vk_api.requests_pool import VkRequestsPool, vk_request_one_param_pool
from vk_api.tools import VkTools

from tests.contract.conftest import StartEmulator
from tests.contract.vk.emulator_page import VERSION, VkPage
from tests.contract.vk.test_clients import AiovkClient, BottleClient, Client, Rewriting


@pytest.fixture(scope="module")
async def limited(start_emulator: StartEmulator) -> VkPage:
    """A page of a network with five calls of wall.getComments per day."""
    emulator = await start_emulator(
        "vk",
        user_per_second=2,
        group_per_second=0,
        daily_limits='{"wall.getComments": 5}',
        day_seconds=10_000_000_000,
    )
    return await VkPage.open(emulator)


async def _with_vk_api(page: VkPage, work: Callable[[vk_api.VkApi], Any]) -> Any:
    def run() -> Any:
        with Rewriting(page.emulator.url) as session:
            return work(vk_api.VkApi(token=page.user, api_version=VERSION, session=session))

    return await asyncio.to_thread(run)


async def test_request_pools_of_vk_api_return_all_results(page: VkPage) -> None:
    posts = [(await page.citizen(f"Запись {number}", kind="wall_post"))["id"] for number in range(3)]
    for post in posts:
        await page.citizen(f"Под записью {post} «ё» 👍", thread=post)
    where = {"owner_id": -page.id}

    def one_method(api: vk_api.VkApi) -> list[Any]:
        with VkRequestsPool(api) as pool:
            made = [pool.method("wall.getComments", where | {"post_id": post}) for post in [*posts, 99_999]]
        assert made[-1].error["error_code"] == 15
        return [request.result["items"][0]["text"] for request in made[:-1]]

    def many_methods(api: vk_api.VkApi) -> list[Any]:
        with VkRequestsPool(api) as pool:
            made = [
                pool.method("users.get", {"user_ids": [5, 6]}),
                pool.method("wall.getById", {"posts": f"-{page.id}_{posts[0]}"}),
                pool.method("groups.getTokenPermissions", {}),
            ]
        assert made[2].error["error_code"] == 27
        return [request.result for request in made[:2]]

    def one_parameter(api: vk_api.VkApi) -> Any:
        return vk_request_one_param_pool(api, "wall.getComments", "post_id", posts, default_values=where)

    def all_items(api: vk_api.VkApi) -> Any:
        return VkTools(api).get_all("wall.get", 2, where)

    def own_function(api: vk_api.VkApi) -> Any:
        count = VkFunction(args=("values",), code="return API.wall.get(%(values)s).count;")
        return count(api, where)

    assert await _with_vk_api(page, one_method) == [f"Под записью {post} «ё» 👍" for post in posts]
    users, wall = await _with_vk_api(page, many_methods)
    assert ([user["id"] for user in users], wall["items"][0]["id"]) == ([5, 6], posts[0])
    results, errors = await _with_vk_api(page, one_parameter)
    assert (sorted(results), errors) == (posts, {})
    total = await _with_vk_api(page, own_function)
    everything = await _with_vk_api(page, all_items)
    assert (everything["count"], len(everything["items"])) == (total, total)


@pytest.mark.parametrize("made", [BottleClient, AiovkClient])
async def test_asynchronous_clients_get_results_and_errors_of_scripts(made: type[Client], page: VkPage) -> None:
    client = made(page)
    code = "var p = API.groups.getById({group_id: Args.page}); return [p.groups[0].name, p.groups@.id];"
    assert await client.call(page.group, "execute", code=code, page=page.id) == ["Школа № 1", [page.id]]
    assert await client.error(page.group, "execute", code="return [") == 12
    assert await client.error(page.group, "execute", code="while(1){}") == 13
    assert await client.error(page.service, "execute", code="return 1;") == 28


async def test_inner_calls_count_per_day_but_not_per_second(limited: VkPage) -> None:
    await limited.citizen("Вопрос")
    call = f"API.wall.getComments({json.dumps({'owner_id': -limited.id, 'post_id': 1})})"
    code = f"return [{','.join([call] * 7)}];"
    answer = await limited.api("execute", limited.user, code=code)
    assert [item and item["count"] for item in answer["response"]] == [1] * 5 + [False] * 2
    refused = {"method": "wall.getComments", "error_code": 29, "error_msg": "Rate limit reached"}
    assert answer["execute_errors"] == [refused] * 2
    assert "response" in await limited.api("execute", limited.user, code="return 1;")
    calls = {item["method"]: item for item in (await limited.emulator.control("calls"))["items"]}
    assert (calls["wall.getComments"]["accepted"], calls["wall.getComments"]["refused"]) == (5, 2)
    assert calls["execute"]["accepted"] == 2


async def test_invalid_scripts_and_inner_calls_get_errors(page: VkPage) -> None:
    nested = "return [API.execute({code: 'return 1;'}), API.no.such(), API.wall.get({owner_id: 0})];"
    answer = await page.api("execute", page.user, code=nested)
    assert answer["response"] == [False, False, False]
    assert [error["error_code"] for error in answer["execute_errors"]] == [3, 3, 100]
    by_group = await page.api("execute", None, code=f"return API.wall.get({{owner_id: -{page.id}}});")
    assert (by_group["response"], by_group["execute_errors"][0]["error_code"]) == (False, 27)
    failed = (await page.api("execute", page.user, code="var a = 1;\nreturn a b;"))["error"]
    assert failed["error_msg"] == "Unable to compile code: syntax error, unexpected 'b' in line 2 [2:10]"
    assert (await page.api("execute", page.user, code=""))["error"]["error_code"] == 100
    token = await page.api("execute", page.user, code="return [Args.access_token, Args.x];", x="1")
    assert token["response"] == [None, "1"]
    spent = (await page.emulator.control("tokens", {"kind": "user"}))["token"]
    await page.emulator.control(
        "faults",
        {"kind": "persistent", "code": 29, "token": spent, "methods": ["users.get"], "until": "cleared"},
    )
    persistent = await page.api("execute", spent, code="return API.users.get({user_ids: 5});")
    assert persistent["execute_errors"][0]["error_code"] == 29
    await page.emulator.control("faults", method="DELETE")
