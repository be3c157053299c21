"""The control API injects mixes, persistent faults and scripts, ends days and revokes tokens."""

from typing import Any

import pytest

from tests.unit.emulators.ok.signed_client import Network


async def codes(network: Network, count: int, **user: Any) -> list[int | None]:
    """Return the error codes of `count` calls by the user; None for a successful call."""
    answers = [await network.call("users.getCurrentUser", **user) for _ in range(count)]
    return [answer.get("error_code") if isinstance(answer, dict) else -1 for answer in answers]


async def test_one_request_sets_a_mix_of_faults(network: Network) -> None:
    parts = [
        {"kind": "error", "code": 1},
        {"kind": "error", "code": 2},
        {"kind": "wrong_json", "weight": 2},
        {"kind": "slow", "seconds": 0},
    ]
    armed = await network.control("faults", {"mix": parts, "rate": 0.25, "seed": 5})
    assert armed["seed"] == 5
    first = await codes(network, 400)
    (shown,) = (await network.control("faults"))["items"]
    assert 75 <= sum(shown["hits"].values()) <= 125
    assert set(shown["hits"]) == {"error 1", "error 2", "wrong_json", "slow"}
    assert first.count(1) == shown["hits"]["error 1"]
    assert first.count(-1) == shown["hits"]["wrong_json"]
    await network.http.delete("/_control/faults")
    assert await codes(network, 50) == [None] * 50
    await network.control("faults", {"mix": parts, "rate": 0.25, "methods": ["users.getCurrentUser"], "seed": 5})
    assert await codes(network, 400) == first
    for _ in range(50):
        assert isinstance(await network.call("group.getInfo", uids=network.page), list)


async def test_token_is_invalidated_and_replaced(network: Network) -> None:
    old = network.user
    body = {"kind": "persistent", "code": 102, "token": old["token"], "until": "replaced"}
    (fault,) = (await network.control("faults", body))["persistent"]
    assert fault["active"]
    shown = {item["token"]: item["persistent"] for item in (await network.control("tokens"))["items"]}
    assert (shown[old["token"]], shown[network.bot]) == (102, None)
    assert await codes(network, 3) == [102] * 3
    fresh = await network.control("tokens", {"kind": "user", "count": 2})
    network.user = fresh["items"][0]
    assert await codes(network, 2) == [None] * 2
    assert await codes(network, 1, user=old) == [102]
    by_token = (await network.control("calls"))["by_token"]
    assert by_token[old["token"]]["while_faulty"] == 4
    assert by_token[network.user["token"]] == {"calls": 2, "while_faulty": 0, "after_revoked": 0}
    (fault,) = (await network.control("faults"))["persistent"]
    assert (fault["replaced"], fault["calls"]) == (True, 4)


async def test_fault_of_a_bot_token_for_one_method_leaves_other_methods_working(network: Network) -> None:
    body = {"kind": "persistent", "code": 457, "token": network.bot, "methods": ["graph.user.chats.get"]}
    await network.control("faults", body)
    assert (await network.graph("chats"))["error_code"] == 457
    assert "group_id" in await network.graph("info")
    response = await network.http.delete("/_control/faults", params={"token": network.bot})
    assert response.json()["persistent"][0]["ended"] == "cleared"
    assert "chats" in await network.graph("chats")


async def test_verification_fault_ends_when_it_is_solved(network: Network) -> None:
    body = {"kind": "persistent", "code": 514, "token": network.user["token"], "until": "solved"}
    await network.control("faults", body)
    assert await codes(network, 1) == [514]
    assert (await network.control("solve", {"token": network.user["token"]}))["ended"] is True
    assert await codes(network, 1) == [None]
    await network.control("solve", {"token": network.user["token"]}, status=404)


async def test_end_of_the_day_resets_daily_limits(network: Network) -> None:
    network.world.settings.calls_per_day = 2
    token = network.user["token"]
    await network.control("faults", {"kind": "persistent", "code": 11, "token": token, "until": "day_end"})
    assert await codes(network, 1) == [11]
    await network.control("settings", {"calls_per_day": 0})
    fields: dict[str, Any] = {"uid": "1", "methods": "users.getCurrentUser"}
    await network.http.delete("/_control/faults")
    body = {
        "kind": "persistent",
        "code": 11,
        "token": token,
        "methods": ["users.getCurrentUser"],
        "until": "day_end",
    }
    await network.control("faults", body)
    left = await network.call("users.getCallsLeft", **fields)
    assert left == [{"name": "users.getCurrentUser", "callsLeft": 0, "available": False}]
    await network.control("settings", {"calls_per_day": 2})
    await network.control("next-day", {})
    assert await codes(network, 3) == [None, None, 11]
    left = await network.call("users.getCallsLeft", uid="1", methods="users.getCurrentUser")
    assert left[0]["callsLeft"] == 0
    await network.control("next-day", {})
    assert await codes(network, 1) == [None]


async def test_bot_tokens_beyond_the_allowed_number_are_invalidated(network: Network) -> None:
    first = network.bot
    only = await network.control("tokens", {"kind": "group", "page": network.page, "count": 3})
    assert len(only["items"]) == 1
    assert (await network.graph("info"))["error_code"] == 102
    assert (await network.control("calls"))["by_token"][first]["after_revoked"] == 1
    await network.control("settings", {"bot_tokens": 3})
    three = await network.control("tokens", {"kind": "group", "page": network.page, "count": 3})
    for item in three["items"]:
        network.bot = item["token"]
        assert "group_id" in await network.graph("info")
    assert len(three["items"]) == 3
    network.bot = only["items"][0]["token"]
    assert (await network.graph("info"))["error_code"] == 102


async def test_script_runs_in_order(network: Network) -> None:
    token = network.user["token"]
    steps = [
        {"after_calls": 2, "do": {"kind": "error", "code": 8, "next": 1}},
        {"after_calls": 1, "do": {"mix": [{"kind": "error", "code": 9}], "rate": 1}},
        {"after_calls": 2, "do": {"clear": True}},
        {"after_calls": 1, "do": {"revoke": token}},
    ]
    shown = await network.control("script", {"steps": steps})
    assert [step["state"] for step in shown["steps"]] == ["waiting"] * 4
    assert await codes(network, 7) == [None, None, 8, 9, 9, None, 102]
    shown = await network.control("script")
    assert shown["done"] == 4
    assert token not in {item["token"] for item in (await network.control("tokens"))["items"]}
    assert (await network.control("calls"))["by_token"][token]["after_revoked"] == 1


async def test_script_invalidates_token_at_exact_call(network: Network) -> None:
    token = network.user["token"]
    before = (await network.control("calls"))["by_token"][token]["calls"]
    body = {"kind": "persistent", "code": 102, "token": token}
    await network.control("script", {"steps": [{"after_calls": 2, "do": body}]})
    await network.control("faults", {"kind": "error", "code": 1, "rate": 1})
    assert await codes(network, 4) == [1, 1, 102, 102]
    assert (await network.control("calls"))["by_token"][token] == {
        "calls": before + 4,
        "while_faulty": 2,
        "after_revoked": 0,
    }


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("faults", {"mix": [], "rate": 0.5}, "mix"),
        ("faults", {"mix": [{"kind": "error", "weight": 0}], "rate": 0.5}, "weight"),
        ("faults", {"mix": [{"kind": "error"}]}, "rate"),
        ("faults", {"kind": "persistent", "code": 5}, "token"),
        ("faults", {"kind": "persistent", "code": 5, "token": "x", "until": "never"}, "until"),
        ("faults", {"kind": "nonsense", "next": 1}, "kind"),
        ("faults", {"clear": True}, "kind"),
        ("script", {"steps": [{"after_calls": 1, "do": {"kind": "drop", "rate": 2}}]}, "rate"),
        ("script", {"steps": [{"do": {"clear": True}}]}, 0),
        ("tokens", {"kind": "user", "count": 0}, "count"),
    ],
)
async def test_invalid_request_is_refused_naming_the_field(
    network: Network, path: str, body: dict[str, Any], field: str | int
) -> None:
    answer = await network.control(path, body, status=422)
    assert answer["detail"][0]["loc"][-1] == field


async def test_persistent_fault_for_an_unknown_token_is_refused(network: Network) -> None:
    await network.control("faults", {"kind": "persistent", "code": 5, "token": "nobody"}, status=404)
