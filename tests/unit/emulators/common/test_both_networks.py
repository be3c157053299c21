"""The same control calls inject faults into both networks."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from hashlib import md5
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from emulators.ok.app import create_app as create_ok
from emulators.ok.settings import OkSettings
from emulators.vk.app import create_app as create_vk
from emulators.vk.settings import VkSettings

WHOLE_DAY = 10_000_000_000


@dataclass
class Caller:
    """A network with one page, and one simple call with a user token."""

    http: httpx.AsyncClient
    app: FastAPI
    request: Callable[[dict[str, Any]], tuple[str, dict[str, str]]]

    async def control(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Call the control API."""
        path = f"/_control/{path}"
        response = await (self.http.get(path) if body is None else self.http.post(path, json=body))
        assert response.status_code == 200, response.text
        return response.json()

    async def user(self) -> dict[str, Any]:
        """Return a valid user token."""
        made: dict[str, Any] = await self.control("tokens", {"kind": "user"})
        return made

    async def code(self, user: dict[str, Any], **params: str) -> int | None:
        """Make one call and return its error code, or None."""
        path, data = self.request(user | {"params": params})
        answer = (await self.http.post(path, data=data)).json()
        error = answer.get("error", answer) if isinstance(answer, dict) else {}
        found: int | None = error.get("error_code")
        return found


def vk_request(user: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """Return the path and form of `users.get` with the token."""
    return "/method/users.get", {"access_token": user["token"], "v": "5.199", **user["params"]}


def ok_request(user: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """Return the path and signed form of `users.getCurrentUser`."""
    params = {"application_key": user["application_key"], "method": "users.getCurrentUser", **user["params"]}
    text = "".join(f"{key}={params[key]}" for key in sorted(params)) + user["session_secret_key"]
    sig = md5(text.encode()).hexdigest()
    return "/fb.do", {**params, "sig": sig, "access_token": user["token"]}


@pytest.fixture(params=["vk", "ok"])
async def caller(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Caller]:
    """Return each network in turn, without a limit of calls per second."""
    data = tmp_path / "state.sqlite3"
    if request.param == "vk":
        app, world = create_vk(VkSettings(data=data, user_per_second=0, day_seconds=WHOLE_DAY))
        store = world.store
    else:
        app = create_ok(OkSettings(data=data, calls_per_second=0, day_seconds=WHOLE_DAY))
        store = app.state.world.store
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://network.invalid") as http:
        made = Caller(http, app, vk_request if request.param == "vk" else ok_request)
        await made.control("pages", {"name": "Школа № 1", "screen_name": "school1"})
        yield made
    store.close()


async def test_mix_of_faults_affects_its_share_of_calls(caller: Caller) -> None:
    user = await caller.user()
    parts = [{"kind": "error", "code": 1}, {"kind": "error", "code": 10, "weight": 3}]
    await caller.control("faults", {"mix": parts, "rate": 0.25, "seed": 2})
    codes = [await caller.code(user) for _ in range(200)]
    assert 30 <= 200 - codes.count(None) <= 70
    assert codes.count(10) > codes.count(1) > 0


async def test_captcha_ends_when_a_call_contains_the_solution(caller: Caller) -> None:
    user = await caller.user()
    await caller.control("faults", {"kind": "persistent", "code": 14, "token": user["token"], "until": "solved"})
    assert await caller.code(user) == 14
    solved = await caller.control("solve", {"token": user["token"]})
    assert await caller.code(user, captcha_key="wrong") == 14
    assert await caller.code(user, success_token=solved["success_token"]) is None
    assert await caller.code(user) is None
    by_token = (await caller.control("calls"))["by_token"]
    assert by_token[user["token"]] == {"calls": 4, "while_faulty": 2, "after_revoked": 0}


async def test_invalid_token_is_replaced(caller: Caller) -> None:
    dead = await caller.user()
    await caller.control("faults", {"kind": "persistent", "code": 5, "token": dead["token"], "until": "replaced"})
    fresh = (await caller.control("tokens", {"kind": "user", "count": 3}))["items"]
    assert [await caller.code(user) for user in fresh] == [None] * 3
    assert await caller.code(dead) == 5
    (fault,) = (await caller.control("faults"))["persistent"]
    assert (fault["active"], fault["replaced"]) == (True, True)


async def test_script_steps_run_and_the_end_of_the_day_ends_a_fault(caller: Caller) -> None:
    user = await caller.user()
    persistent = {"kind": "persistent", "code": 29, "token": user["token"], "until": "day_end"}
    steps = [
        {"after_calls": 1, "do": persistent},
        {"after_calls": 0, "do": {"kind": "error", "code": 6, "next": 1}},
    ]
    await caller.control("script", {"steps": steps})
    assert [await caller.code(user) for _ in range(3)] == [None, 29, 29]
    await caller.control("next-day", {})
    assert [await caller.code(user) for _ in range(2)] == [6, None]
    await caller.control("script", {"steps": [{"after_seconds": 0, "do": {"revoke": user["token"]}}]})
    assert await caller.code(user) in {5, 102}
    assert (await caller.control("calls"))["by_token"][user["token"]]["after_revoked"] == 1
