"""The token pool: selection, failures and recovery of tokens."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import asyncpg
import pytest
from prometheus_client import REGISTRY

from services.ingest.networks.calls import CallError, ErrorTreatment, NoUsableToken, TokenNotUsable
from services.ingest.networks.ok.ok_client import OkClient
from services.ingest.networks.port import TokenKind
from services.ingest.networks.vk.vk_client import VkClient
from services.ingest.settings import IngestSettings
from services.ingest.tokens.token_pool import DatabaseTokenPool
from tests.conftest import TestDatabase
from tests.integration.ingest.conftest import KEYS
from tests.integration.ingest.network_double import NetworkDouble, error, inner_calls, network_double
from tests.support.service_under_test import ServiceUnderTest, insert_organisation, insert_page, service_under_test

FAST: dict[str, Any] = {
    "vk_user_calls_per_second": 500,
    "vk_group_calls_per_second": 500,
    "ok_calls_per_second": 500,
    "vk_call_timeout_seconds": 20,
    "ok_call_timeout_seconds": 20,
}
SERVICE, USER, GROUP = TokenKind.SERVICE, TokenKind.USER, TokenKind.GROUP


@dataclass
class Pool:
    """Ingest's API, a fake network, and the network clients of one process."""

    ingest: ServiceUnderTest
    network: NetworkDouble
    raw_connection: asyncpg.Connection
    database: TestDatabase
    page_id: UUID
    organisation_id: UUID
    accounts: DatabaseTokenPool
    vk: VkClient
    ok: OkClient

    async def post(self, path: str, status: int, role: str = "moderator", **body: Any) -> dict[str, Any]:
        """Send a POST request under `/sources/tokens`."""
        answer = await self.ingest.client.post(
            f"/api/v1/sources/tokens{path}", json=body, headers=self.ingest.headers(role)
        )
        assert answer.status_code == status, answer.text
        result: dict[str, Any] = answer.json()
        return result

    async def add(self, token: str, kind: TokenKind = SERVICE, network: str = "vk", **more: Any) -> str:
        """Add a token through the API; return its id."""
        if kind is GROUP:
            more = {"page_id": str(self.page_id)} | more
        added = await self.post("", 201, network=network, kind=kind.value, token=token, **more)
        await self.accounts.refresh()
        return str(added["id"])

    async def get_json(self, token_id: str) -> dict[str, Any]:
        """Return a token as the API shows it."""
        answer = await self.ingest.client.get("/api/v1/sources/tokens", headers=self.ingest.headers("moderator"))
        found: dict[str, Any] = next(one for one in answer.json()["items"] if one["id"] == token_id)
        return found

    async def events(self) -> list[tuple[str, str | None]]:
        """Return the state and the method in each emitted change of a token, oldest first."""
        rows = await self.raw_connection.fetch(
            "SELECT data->>'state' AS state, data->>'method' AS method FROM events"
            " WHERE type = 'network_token.state_changed' ORDER BY created_at, id"
        )
        return [(row["state"], row["method"]) for row in rows]

    def use(self, **settings: Any) -> None:
        """Replace pool and clients, as a restart with these settings does."""
        made = IngestSettings(vk_api_url=self.network.url, ok_api_url=self.network.url, **(FAST | settings))
        self.accounts = DatabaseTokenPool(self.ingest.service.database, made)
        self.vk = VkClient(self.vk._http, self.accounts, made)
        self.ok = OkClient(self.vk._http, self.accounts, made)


@pytest.fixture
async def pool(database: TestDatabase, keys_dir: Path) -> AsyncIterator[Pool]:
    """Ingest's API, a fake network and an empty token pool."""
    organisation = await insert_organisation(database)
    page_id = await insert_page(database, organisation, network="vk", external_id="101")
    async with AsyncExitStack() as stack:
        ingest = await stack.enter_async_context(
            service_under_test("ingest", database, keys_dir, process="api", **KEYS)
        )
        network = await stack.enter_async_context(network_double())
        http = await stack.enter_async_context(aiohttp.ClientSession())
        raw_connection = await database.connect()
        stack.push_async_callback(raw_connection.close)
        settings = IngestSettings(vk_api_url=network.url, ok_api_url=network.url, **FAST)
        accounts = DatabaseTokenPool(ingest.service.database, settings)
        vk, ok = VkClient(http, accounts, settings), OkClient(http, accounts, settings)
        yield Pool(ingest, network, raw_connection, database, page_id, organisation, accounts, vk, ok)


async def test_calls_are_spread_over_tokens_of_a_kind(pool: Pool) -> None:
    for name in ("one", "two", "three"):
        await pool.add(name)
    for _ in range(9):
        await pool.vk.read_with_any_token("wall.getById", SERVICE, posts="-1_1")
    assert sorted(pool.network.tokens()) == ["one"] * 3 + ["three"] * 3 + ["two"] * 3


async def test_page_token_is_preferred_to_shared_one(pool: Pool) -> None:
    await pool.add("common", USER)
    await pool.add("own", GROUP)
    await pool.vk.read_with_any_token("groups.getById", GROUP, USER, page_id=pool.page_id)
    await pool.vk.read_with_any_token("groups.getById", GROUP, USER, page_id=uuid4())
    assert pool.network.tokens() == ["own", "common"]


async def test_failure_whose_text_cannot_be_stored_as_it_is_does_not_stop_the_refresh(pool: Pool) -> None:
    token = await pool.add("bad")
    pool.network.answer = lambda _method, _params: {
        "error": {"error_code": 17, "error_msg": "Validation\x00 required", "redirect_uri": "https://a/\x00b"}
    }
    with pytest.raises(NoUsableToken):
        await pool.vk.read_with_any_token("wall.getById", SERVICE, posts="-1_1")
    await pool.accounts.refresh()
    assert (await pool.get_json(token))["state"] == "captcha"
    assert await pool.events() == [("captcha", None)]


@pytest.mark.parametrize(("code", "state"), [(5, "revoked"), (37, "blocked"), (17, "captcha")])
async def test_invalid_token_is_not_called_again(pool: Pool, code: int, state: str) -> None:
    first, second = await pool.add("bad"), await pool.add("good")
    pool.network.answer = lambda _, params: (
        error(code) if params["access_token"] == "bad" else {"response": {"items": [1]}}
    )
    for _ in range(6):
        assert await pool.vk.read_with_any_token("wall.getById", SERVICE, posts="-1_1") == {"items": [1]}
    assert pool.network.tokens().count("bad") == 1
    assert (await pool.get_json(first))["state"] == state
    assert (await pool.get_json(second))["state"] == "healthy"
    assert await pool.events() == [(state, None)]
    pool.use()
    await pool.accounts.refresh()
    await pool.vk.read_with_any_token("wall.getById", SERVICE, posts="-1_1")
    assert pool.network.tokens().count("bad") == 1, "another process called with the invalid token"


async def test_waiting_calls_are_not_made_with_token_invalidated_meanwhile(pool: Pool) -> None:
    await pool.add("bad")
    pool.network.answer = lambda *_: error(5)
    # The calls are spaced so that the first ends long before the second may begin.
    pool.use(vk_user_calls_per_second=0.5)
    await pool.accounts.refresh()
    credential = pool.vk.select_token("wall.getById", SERVICE)
    outcomes = await asyncio.gather(
        *(pool.vk.call(credential, "wall.getById", posts=f"-1_{n}") for n in range(3)), return_exceptions=True
    )
    assert [type(one) for one in outcomes] == [CallError] + [TokenNotUsable] * 2
    assert len(pool.network.calls) == 1


async def test_waiting_reads_switch_to_another_token(pool: Pool) -> None:
    await pool.add("bad")
    await pool.add("good")
    pool.network.answer = lambda _, params: error(5) if params["access_token"] == "bad" else {"response": 1}
    pool.use(vk_user_calls_per_second=1)
    await pool.accounts.refresh()
    assert (
        await asyncio.gather(
            *(pool.vk.read_with_any_token("wall.getById", SERVICE, posts=f"-1_{n}") for n in range(3))
        )
        == [1] * 3
    )
    assert pool.network.tokens().count("bad") == 1


async def test_token_failure_during_outage_is_saved_later(pool: Pool) -> None:
    token_id = await pool.add("bad")
    pool.network.answer = lambda *_: error(5)
    credential = pool.vk.select_token("wall.getById", SERVICE)
    await pool.raw_connection.execute("REVOKE UPDATE ON network_tokens FROM gospablik_ingest")
    with pytest.raises(CallError):
        await pool.vk.call(credential, "wall.getById")
    with pytest.raises(TokenNotUsable):
        await pool.vk.call(credential, "wall.getById")
    assert (await pool.get_json(token_id))["state"] == "healthy"
    await pool.raw_connection.execute("GRANT UPDATE ON network_tokens TO gospablik_ingest")
    await pool.accounts.refresh()
    assert (await pool.get_json(token_id))["state"] == "revoked"
    assert await pool.events() == [("revoked", None)]
    assert len(pool.network.calls) == 1


async def test_call_without_usable_token_raises(pool: Pool) -> None:
    with pytest.raises(NoUsableToken):
        await pool.vk.read_with_any_token("wall.get", SERVICE, USER)
    await pool.add("only")
    pool.network.answer = lambda *_: error(5)
    with pytest.raises(NoUsableToken):
        await pool.vk.read_with_any_token("wall.getById", SERVICE)


async def test_limited_method_is_paused_with_growing_delay(pool: Pool) -> None:
    token_id = await pool.add("one")
    pool.network.answer = lambda method, _: error(29) if method == "wall.search" else {"response": 1}
    with pytest.raises(NoUsableToken):
        await pool.vk.read_with_any_token("wall.search", SERVICE)
    await pool.vk.read_with_any_token("wall.getById", SERVICE)
    shown = await pool.get_json(token_id)
    assert shown["state"] == "healthy"
    assert list(shown["limited_methods"]) == ["wall.search"]
    assert await pool.events() == [("limited", "wall.search")]
    cooldowns = []
    for _ in range(2):
        cooldowns.append(await _cooldown_of(pool, "wall.search"))
        await pool.raw_connection.execute("UPDATE network_tokens SET limited_methods = '{}', updated_at = now()")
        await pool.accounts.refresh()
        with pytest.raises(NoUsableToken):
            await pool.vk.read_with_any_token("wall.search", SERVICE)
    assert cooldowns[1] > 1.8 * cooldowns[0]


async def _cooldown_of(pool: Pool, method: str) -> float:
    seconds: float = await pool.raw_connection.fetchval(
        "SELECT extract(epoch FROM (limited_methods ->> $1)::timestamptz - updated_at)::float FROM network_tokens",
        method,
    )
    return seconds


async def test_limited_token_recovers_after_its_limit_expires(pool: Pool) -> None:
    token_id = await pool.add("one")
    await pool.raw_connection.execute(
        "UPDATE network_tokens SET state = 'limited', limited_until = now() - interval '1 second',"
        " updated_at = now()"
    )
    await pool.accounts.refresh()
    assert (await pool.get_json(token_id))["state"] == "healthy"
    assert await pool.events() == [("healthy", None)]


async def test_redirect_captcha_solution_is_sent_once_with_the_call(pool: Pool) -> None:
    token_id = await pool.add("one")
    asked = {"redirect_uri": "https://id.example/captcha", "remixstlid": 9_007_199_254_740_997}
    solved = {"success_token": "yes", "remixstlid": "9007199254740997"}

    def answer(method: str, params: dict[str, str]) -> Any:
        if method != "wall.getComments" or all(params.get(key) == value for key, value in solved.items()):
            return {"response": 1}
        return error(14, **asked)

    pool.network.answer = answer
    with pytest.raises(NoUsableToken):
        await pool.vk.read_with_any_token("wall.getComments", SERVICE)
    shown = await pool.get_json(token_id)
    assert shown["state"] == "captcha"
    assert shown["challenge"] == {
        "redirect_uri": "https://id.example/captcha",
        "remixstlid": "9007199254740997",
        "method": "wall.getComments",
    }
    await pool.post(f"/{token_id}/recover", 422, captcha_key="abc")
    recovered = await pool.post(f"/{token_id}/recover", 200, success_token="yes")
    assert recovered["state"] == "healthy"
    await pool.accounts.refresh()
    await pool.vk.read_with_any_token("wall.getById", SERVICE)
    await pool.vk.read_with_any_token("wall.getComments", SERVICE)
    assert (await pool.get_json(token_id))["challenge"] is None
    pool.use()
    await pool.accounts.refresh()
    pool.network.answer = lambda *_: {"response": 1}
    await pool.vk.read_with_any_token("wall.getComments", SERVICE)
    assert "success_token" not in pool.network.calls[-1][1], "a solution can be used only once"
    assert await pool.events() == [("captcha", None), ("healthy", None)]


async def test_image_captcha_is_solved_by_its_text(pool: Pool) -> None:
    token_id = await pool.add("one")
    pool.network.answer = lambda _, params: (
        {"response": 1}
        if (params.get("captcha_sid"), params.get("captcha_key")) == ("12", "abc")
        else error(14, captcha_sid="12", captcha_img="https://example/c.png")
    )
    with pytest.raises(NoUsableToken):
        await pool.vk.read_with_any_token("wall.getById", SERVICE)
    await pool.post(f"/{token_id}/recover", 200, captcha_key="wrong")
    await pool.accounts.refresh()
    with pytest.raises(NoUsableToken):
        await pool.vk.read_with_any_token("wall.getById", SERVICE)
    assert (await pool.get_json(token_id))["state"] == "captcha"
    await pool.post(f"/{token_id}/recover", 200, captcha_key="abc")
    await pool.accounts.refresh()
    assert await pool.vk.read_with_any_token("wall.getById", SERVICE) == 1


async def test_tokens_are_recovered_and_retired_only_with_the_source_right(pool: Pool) -> None:
    token_id = await pool.add("one")
    await pool.post(f"/{token_id}/recover", 409)
    await pool.post(f"/{uuid4()}/recover", 404)
    await pool.post(f"/{token_id}/recover", 403, role="head")
    pool.network.answer = lambda *_: error(5)
    with pytest.raises(NoUsableToken):
        await pool.vk.read_with_any_token("wall.getById", SERVICE)
    assert (await pool.post(f"/{token_id}/recover", 200))["state"] == "healthy"
    path = f"/api/v1/sources/tokens/{token_id}"
    for role, status in (("head", 403), ("moderator", 204), ("moderator", 404)):
        answer = await pool.ingest.client.delete(path, headers=pool.ingest.headers(role))
        assert answer.status_code == status, answer.text
    await pool.accounts.refresh()
    with pytest.raises(NoUsableToken):
        pool.vk.select_token("wall.getById", SERVICE)
    assert [state for state, _ in await pool.events()] == ["revoked", "healthy", "deleted"]


async def test_adding_a_token_again_makes_it_healthy(pool: Pool) -> None:
    token_id = await pool.add("own", GROUP)
    pool.network.answer = lambda *_: error(27)
    with pytest.raises(NoUsableToken):
        await pool.vk.read_with_any_token("messages.getHistory", GROUP, page_id=pool.page_id)
    again = await pool.post("", 200, network="vk", kind="group", token="own", page_id=str(pool.page_id))
    assert (again["id"], again["state"]) == (token_id, "healthy")
    owners = await pool.raw_connection.fetch(
        "SELECT organisation_id FROM events WHERE type = 'network_token.state_changed' ORDER BY created_at"
    )
    assert [row["organisation_id"] for row in owners] == [pool.organisation_id] * 2


async def test_invalid_ok_session_is_replaced_by_another(pool: Pool) -> None:
    keys = {"application_key": "KEY", "session_secret_key": "secret"}
    bad = await pool.add("bad", USER, "ok", **keys)
    await pool.add("good", USER, "ok", **keys)
    pool.network.answer = lambda _, params: (
        {"error_code": 102, "error_msg": "PARAM_SESSION_EXPIRED"} if params["access_token"] == "bad" else [1]
    )
    for _ in range(4):
        assert await pool.ok.read_with_any_session("group.getInfo", uids="1") == [1]
    assert pool.network.tokens().count("bad") == 1
    assert (await pool.get_json(bad))["state"] == "revoked"


async def test_ok_flood_error_pauses_the_method_shortly(pool: Pool) -> None:
    await pool.add("one", USER, "ok", application_key="KEY", session_secret_key="secret")
    pool.network.answer = lambda *_: {"error_code": 8, "error_msg": "FLOOD_BLOCKED"}
    with pytest.raises(NoUsableToken):
        await pool.ok.read_with_any_session("discussions.getList")
    assert 1 < await _cooldown_of(pool, "discussions.getList") < 6


async def test_reads_are_batched_and_failed_reads_are_repeated_alone(pool: Pool) -> None:
    await pool.add("user", USER)

    def one(params: dict[str, Any]) -> Any:
        number = int(params["post_id"])
        return error(15) if number == 7 else {"response": number}

    def answer(method: str, params: dict[str, str]) -> Any:
        if method != "execute":
            return one(params)
        calls = inner_calls(params["code"])
        inner = [{"n": n, "answer": one(given).get("response", False)} for n, (_, given) in enumerate(calls)]
        return {"response": inner, "execute_errors": [{"method": method, "error_code": 15, "error_msg": ""}]}

    pool.network.answer = answer
    found = await pool.vk.read_batch("wall.getComments", [{"post_id": n} for n in range(30)], SERVICE, USER)
    assert [one for one in found if not isinstance(one, CallError)] == [n for n in range(30) if n != 7]
    assert isinstance(found[7], CallError)
    assert found[7].treatment is ErrorTreatment.DENIED
    assert pool.network.methods() == ["execute", "wall.getComments", "execute"]


async def test_reads_without_a_batch_token_are_sent_one_by_one(pool: Pool) -> None:
    await pool.add("service", SERVICE)
    pool.network.answer = lambda _, params: {"response": int(params["post_id"])}
    found = await pool.vk.read_batch("wall.getComments", [{"post_id": n} for n in range(3)], SERVICE, USER)
    assert found == [0, 1, 2]
    assert pool.network.methods() == ["wall.getComments"] * 3


async def test_method_with_a_daily_limit_is_never_batched(pool: Pool) -> None:
    await pool.add("user", USER)
    pool.network.answer = lambda *_: {"response": 1}
    assert await pool.vk.read_batch("wall.get", [{"owner_id": n} for n in range(3)], USER) == [1, 1, 1]
    assert pool.network.methods() == ["wall.get"] * 3


async def test_logs_errors_and_reprs_contain_no_token_secrets(
    pool: Pool, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    await pool.add("vk-very-secret", SERVICE)
    await pool.add("ok-very-secret", USER, "ok", application_key="KEY", session_secret_key="other-very-secret")
    said: list[str] = []
    codes = {"vk": [1, 5, 9, 14, 29], "ok": [1, 8, 11, 102]}
    for network, all_codes in codes.items():
        kind = SERVICE if network == "vk" else USER
        for code in all_codes:
            await pool.raw_connection.execute(
                "UPDATE network_tokens SET state = 'healthy', limited_methods = '{}', updated_at = now()"
            )
            await pool.accounts.refresh()
            credential = pool.accounts.select(network, kind)
            assert credential is not None
            # The network repeats the token in its error messages.
            error = {"error_code": code, "error_msg": f"invalid {credential.token}"}
            pool.network.answer = partial(_always, {"error": error} if network == "vk" else error)
            with pytest.raises(CallError) as caught:
                await (pool.vk if network == "vk" else pool.ok).call(credential, "some.method")
            said += [repr(credential), repr(caught.value), str(caught.value)]
    said += [repr(vars(token)) for token in pool.accounts._tokens.values()]
    said += [record.getMessage() for record in caplog.records]
    said += capsys.readouterr()
    said += [str(row["reason"]) for row in await pool.raw_connection.fetch("SELECT reason FROM network_tokens")]
    said += [str(row["data"]) for row in await pool.raw_connection.fetch("SELECT data FROM events")]
    assert any("token rejected by the network" in words for words in said)
    assert not [words for words in said if "very-secret" in words]


def _always(answer: Any, _method: str, _params: dict[str, str]) -> Any:
    return answer


async def test_gauges_show_token_states_and_counters_show_outcomes(pool: Pool) -> None:
    await pool.add("one")
    await pool.add("two")
    labels = {"network": "vk", "method": "wall.getReposts", "outcome": "revoked"}
    before = REGISTRY.get_sample_value("gospablik_network_calls_total", labels) or 0
    pool.network.answer = lambda _, params: error(5) if params["access_token"] == "one" else {"response": 1}
    for _ in range(3):
        await pool.vk.read_with_any_token("wall.getReposts", SERVICE)
    await pool.accounts.refresh()
    for state in ("healthy", "revoked"):
        gauge = {"network": "vk", "kind": "service", "state": state}
        assert REGISTRY.get_sample_value("gospablik_network_tokens", gauge) == 1
    assert (REGISTRY.get_sample_value("gospablik_network_calls_total", labels) or 0) - before == 1
