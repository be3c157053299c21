"""Attacks by people with limited or no access: nothing is disclosed, and other people are not delayed.

Two people of other organisations, a locked person, `ops`, a client with few scopes, another service's key and an
anonymous caller try known attacks through the real gateway, on loopback, in bounded numbers.
"""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from shared.auth import tokens
from tests.e2e.actors import Person, Receiver, receiver
from tests.e2e.conftest import RunningDemo, connect_to_demo
from tests.support.embedded_stack import running_stack
from tests.support.eventually import eventually

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]

SECRET = "тайнаяулица"
QUESTION = f"Во дворе третий день нет света, фонари не горят, {SECRET} дом 5"
STAFF_PASSWORD = "correct horse 9 battery"
CONNECTIONS = 18


@dataclass
class Attackers:
    """The attackers by name, each signed in at the gateway; `nobody` has no token."""

    by_name: dict[str, Person]
    locked_person_id: str
    answers: list[tuple[str, str, httpx.Response]] = field(default_factory=list)

    async def request(self, who: str, method: str, path: str, **more: Any) -> httpx.Response:
        """Send a request as an attacker; store and return the response."""
        person = self.by_name[who]
        if person.token:
            answer = await person.ask(method, path, **more)
        else:
            answer = await person.http.request(method, f"/api/v1{path}", **more)
        self.answers.append((who, f"{method} {path}", answer))
        return answer


@pytest.fixture(scope="module")
async def demo(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningDemo]:
    """One embedded run for all attacks, because no attack may stop a process."""
    async with (
        running_stack(tmp_path_factory.mktemp("attacks"), seed_demo=True) as system,
        AsyncExitStack() as exits,
    ):
        yield await connect_to_demo(system, exits)


@pytest.fixture
async def attackers(demo: RunningDemo) -> AsyncIterator[Attackers]:
    async with AsyncExitStack() as exits:

        async def at() -> httpx.AsyncClient:
            transport = httpx.AsyncHTTPTransport(local_address="127.0.0.2")
            http = httpx.AsyncClient(base_url=demo.system.gateway, timeout=60, transport=transport)
            return await exits.enter_async_context(http)

        ops = await Person.sign_in(await at(), "ops")
        foreign = demo.other_organisations_page("vk")["organisation_id"]
        found = {"ops": ops, "nobody": Person(await at())}
        made = {}
        for name, role, place in (
            ("person", "executor", foreign),
            ("manager", "manager", foreign),
            ("locked", "executor", demo.organisation_id),
        ):
            body = {
                "username": f"attack.{name}",
                "full_name": "Имя",
                "role": role,
                "organisation_id": place,
                "password": STAFF_PASSWORD,
            }
            made[name] = (await ops.post("/people", body))["id"]
            found[name] = await Person.sign_in(await at(), f"attack.{name}", STAFF_PASSWORD)
        await ops.ask("POST", f"/people/{made['locked']}/lock", json={"reason": "Уволен"})
        client = await ops.post(
            "/clients",
            {
                "name": "Узкая система",
                "role": "executor",
                "organisation_id": demo.organisation_id,
                "scopes": ["webhooks:manage", "webhooks:read"],
            },
        )
        http = await at()
        form = {"grant_type": "client_credentials", "client_id": client["id"], "client_secret": client["secret"]}
        answer = await http.post("/api/v1/auth/token", data=form)
        found["narrowed"] = Person(http, answer.json()["access_token"])
        yield Attackers(found, made["locked"])


async def citizen_writes(demo: RunningDemo, text: str) -> dict[str, Any]:
    page = int(demo.page("vk")["external_id"])
    return await demo.vk.citizen(page, "wall_post", text)


async def test_attackers_can_neither_read_data_nor_register_anything(
    demo: RunningDemo, attackers: Attackers
) -> None:
    async with receiver() as theirs, receiver() as ours:
        statuses_of_registration = await _try_to_register_webhooks(attackers, theirs)
        await demo.centre.post("/webhooks/endpoints", {"url": ours.url, "event_types": ["appeal.opened"]})
        written = await citizen_writes(demo, QUESTION)
        appeal = await demo.centre.appeal_about(QUESTION)
        assert written
        await ours.wait_for("appeal.opened", appeal["id"])
        await _try_to_read(attackers, appeal)
        read = [
            (who, asked, answer.status_code) for who, asked, answer in attackers.answers if SECRET in answer.text
        ]
        assert not read
        assert not [body for _, body in theirs.received if SECRET in body.decode()], statuses_of_registration
    await _forge_service_tokens(demo, attackers)
    await _try_to_get_confirmation_code(demo, attackers)
    failed = [(who, asked, answer.text) for who, asked, answer in attackers.answers if answer.status_code >= 500]
    assert not failed


async def _try_to_register_webhooks(attackers: Attackers, theirs: Receiver) -> dict[str, int]:
    body = {"url": theirs.url, "event_types": ["appeal.opened", "appeal.message_added"], "personal_data": True}
    found = {}
    for who in ("person", "locked", "narrowed", "ops", "nobody"):
        for personal in (True, False):
            answer = await attackers.request(
                who, "POST", "/webhooks/endpoints", json=body | {"personal_data": personal}
            )
            found[f"{who} {personal}"] = answer.status_code
    assert found["locked True"] in {401, 403}
    assert found["locked False"] in {401, 403}
    assert found["nobody True"] == 401
    return found


async def _try_to_read(attackers: Attackers, appeal: dict[str, Any]) -> None:
    paths = [
        "/appeals",
        f"/appeals?q={SECRET}",
        f"/appeals/{appeal['id']}",
        f"/appeals/{appeal['id']}/replies",
        f"/appeals/{appeal['id']}/similar",
        "/appeals/counts",
        "/messages",
        "/events",
        "/alerts",
        "/incidents",
        "/triage",
        "/reviews/training.csv",
        "/webhooks/deliveries",
        "/audit",
    ]
    for who in ("person", "manager", "narrowed", "ops", "nobody"):
        for path in paths:
            await attackers.request(who, "GET", path)
    for who in ("person", "manager", "narrowed", "ops", "nobody", "locked"):
        answer = await attackers.request(
            who, "POST", f"/appeals/{appeal['id']}/replies", json={"text": "Подложный ответ", "kind": "final"}
        )
        assert answer.status_code in {401, 403, 404}, f"{who}: {answer.text}"


async def _forge_service_tokens(demo: RunningDemo, attackers: Attackers) -> None:
    keys = demo.system.data_dir / "keys"
    body = {"reply_id": str(UUID(int=1)), "message_id": str(UUID(int=2)), "text": "x", "on_behalf_of": "x"}
    path = "/internal/publications"
    for thief in ("metrics", "webhooks", "registry", "ingest"):
        signer = tokens.Signer(thief, tokens.read_key(keys / f"{thief}.jwk"))
        use = tokens.route_claim("POST", path)
        token = signer.sign(thief, "ingest", tokens.SERVICE_TOKEN_LIFETIME, act="x", use=use)
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": thief}
        async with httpx.AsyncClient(timeout=30) as http:
            straight = await http.post(demo.system.urls["ingest"] + path, json=body, headers=headers)
            outside = await http.post(demo.system.gateway + path, json=body, headers=headers)
        assert (straight.status_code, outside.status_code) == (403, 404), thief
    assert (await attackers.request("nobody", "POST", "/internal/publications", json=body)).status_code == 404


async def _try_to_get_confirmation_code(demo: RunningDemo, attackers: Attackers) -> None:
    http = attackers.by_name["nobody"].http
    group = int(demo.page("vk")["external_id"])
    # End the period in which the network may confirm our registration without a secret.
    database = await asyncpg.connect(demo.system.service_database_url("ingest"))
    await database.execute("UPDATE callback_registrations SET confirmation_until = now()")
    await database.close()
    asked = await http.post("/callbacks/vk", json={"type": "confirmation", "group_id": group})
    assert asked.status_code >= 400, asked.text
    nested: Any = "x"
    for _ in range(800):
        nested = [nested]
    for body in (
        json.dumps({"type": "wall_post_new", "group_id": group, "object": nested}),
        "[" * 100_000 + "]" * 100_000,
    ):
        answer = await http.post("/callbacks/vk", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code < 500, answer.text
    # Messages of other authors must still be received.
    text = f"{QUESTION}, и после вложенных тел"
    await citizen_writes(demo, text)
    await demo.centre.appeal_about(text)


async def test_hostile_texts_do_not_block_the_next_message(demo: RunningDemo) -> None:
    """The time to classify such texts is measured by `bench.hostile_texts`."""
    for _ in range(24):
        await citizen_writes(demo, "[id1:" * 3276)
    text = "Яма на дороге у школы, после атаки"
    await citizen_writes(demo, text)
    await demo.centre.appeal_about(text)


@asynccontextmanager
async def attacking_sign_in(
    gateway: str, address: str, username: str, numbers: "itertools.count[int]"
) -> AsyncIterator[list[int]]:
    """Send wrong passwords over 18 connections from this address until the block ends. Yield the statuses."""
    statuses: list[int] = []
    stop = asyncio.Event()
    transport = httpx.AsyncHTTPTransport(local_address=address, limits=httpx.Limits(max_connections=CONNECTIONS))

    async def guess(http: httpx.AsyncClient, lane: int) -> None:
        while not stop.is_set():
            # A third of the connections attack one name; the other connections use a new name each time.
            name = username if lane % 3 == 0 else f"guess{next(numbers)}"
            form = {"grant_type": "password", "username": name, "password": "guess"}
            statuses.append((await http.post("/api/v1/auth/token", data=form)).status_code)

    async with httpx.AsyncClient(base_url=gateway, transport=transport, timeout=60) as http:
        lanes = [asyncio.create_task(guess(http, lane)) for lane in range(CONNECTIONS)]
        try:
            yield statuses
        finally:
            stop.set()
            await asyncio.gather(*lanes)


@pytest.mark.parametrize(
    ("address", "username"),
    # An attack from an address that other people use throttles only the attacked name at this address.
    [("127.0.0.2", "ops"), ("127.0.0.1", "auditor")],
    ids=["from another address", "from the same address"],
)
async def test_other_people_can_sign_in_during_a_password_attack(
    demo: RunningDemo, address: str, username: str
) -> None:
    """The delay is measured by `bench.sign_in`."""
    async with attacking_sign_in(demo.system.gateway, address, username, itertools.count()) as statuses:
        await _wait_for_responses(statuses)
        for name in ("head", "centre", "org") * 3:
            await Person.sign_in(demo.anyone, name)
    assert set(statuses) <= {400, 429}


async def _wait_for_responses(statuses: list[int]) -> None:
    async def look() -> bool:
        return len(statuses) >= CONNECTIONS

    check: Callable[[], Awaitable[bool | None]] = look
    await eventually(check, "the attack's first answers")
