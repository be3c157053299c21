"""Outages and failover of Postgres while citizens write and staff reply."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from cli.deployment import provisioning as bootstrap
from cli.embedded.settings import API_SERVICES, SERVICES
from tests.e2e.actors import Person
from tests.e2e.conftest import RunningDemo, connect_to_demo
from tests.support.embedded_stack import running_stack
from tests.support.eventually import eventually
from tests.support.postgres_pair import PostgresPair, Server, make_traversable, postgres_pair

pytestmark = [pytest.mark.long, pytest.mark.timeout(1_500)]

OUTAGE_SECONDS = 8
_END_ALL = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = 'gospablik' AND usename != 'postgres' AND pid != pg_backend_pid()"
)


async def _request(person: Person, method: str, path: str, **more: Any) -> httpx.Response:
    """Send a request and return its response; retry after 502, 503, 504 and connection errors."""
    while True:
        try:
            answer = await person.ask(method, path, **more)
        except httpx.TransportError:
            pass
        else:
            if answer.status_code not in {502, 503, 504}:
                assert answer.status_code < 400, f"{path}: {answer.status_code} {answer.text}"
                return answer
        await asyncio.sleep(0.5)


async def _ask_and_reply(demo: RunningDemo, network_name: str) -> tuple[str, str, str]:
    """Write as a citizen and reply as staff. Return the page, the question and the answer."""
    mark = uuid4().hex[:8]
    question = f"Когда включат отопление в спортзале школы? Дети мёрзнут. {mark}"
    answer = f"Здравствуйте! Отопление включат сегодня до 18:00. {mark}"
    network, page = demo.network(network_name), demo.page(network_name)["external_id"]
    # Use a new thread: a second question of one author in a thread would join the first appeal.
    await network.citizen(page, "wall_post", question)

    async def found() -> str | None:
        listed = (await _request(demo.centre, "GET", "/appeals", params={"q": mark})).json()["items"]
        return listed[0]["id"] if listed else None

    appeal = await eventually(found, f"an appeal about {mark}", seconds=300, every=1)
    key = {"Idempotency-Key": str(uuid4())}
    body = {"text": answer, "kind": "final"}
    await _request(demo.org, "POST", f"/appeals/{appeal}/replies", json=body, headers=key)
    return page, question, answer


@asynccontextmanager
async def _load(demo: RunningDemo) -> AsyncIterator[list[asyncio.Task[tuple[str, str, str]]]]:
    """Start a new conversation every two seconds, alternating networks, until the block ends."""
    conversations: list[asyncio.Task[tuple[str, str, str]]] = []

    async def grow() -> None:
        while True:
            name = ("vk", "ok")[len(conversations) % 2]
            conversations.append(asyncio.create_task(_ask_and_reply(demo, name)))
            await asyncio.sleep(2)

    growing = asyncio.create_task(grow())
    try:
        yield conversations
    finally:
        growing.cancel()
        await asyncio.gather(growing, return_exceptions=True)


async def _refuse_connections(servers: PostgresPair) -> None:
    await servers.primary.fetch("ALTER DATABASE gospablik CONNECTION LIMIT 0")
    await servers.primary.fetch(_END_ALL)
    await asyncio.sleep(OUTAGE_SECONDS)
    await servers.primary.fetch("ALTER DATABASE gospablik CONNECTION LIMIT -1")


async def _make_read_only(servers: PostgresPair) -> None:
    await servers.primary.fetch("ALTER DATABASE gospablik SET default_transaction_read_only = on")
    await servers.primary.fetch(_END_ALL)
    await asyncio.sleep(OUTAGE_SECONDS)
    await servers.primary.fetch("ALTER DATABASE gospablik RESET default_transaction_read_only")


async def _restart(servers: PostgresPair) -> None:
    await servers.primary.end()
    await asyncio.sleep(OUTAGE_SECONDS)
    await servers.primary.start()


async def _fail_over(servers: PostgresPair) -> None:
    await servers.promote_standby()


OUTAGES: tuple[Callable[[PostgresPair], Awaitable[None]], ...] = (
    _refuse_connections,
    _make_read_only,
    _restart,
    _fail_over,
)


async def _check_queues(server: Server) -> None:
    for service in API_SERVICES:  # all services but the console, which has no jobs
        held = await server.fetch(
            f"SELECT entrypoint FROM {service}_jobs.pgqueuer WHERE status = 'failed' OR entrypoint LIKE 'event:%'",
            bootstrap.DATABASE,
        )
        assert held == [], f"{service}: {held}"
        dead = await server.fetch(
            f"SELECT entrypoint FROM {service}_jobs.pgqueuer_log"
            " WHERE status = 'failed' OR entrypoint LIKE 'event:%'",
            bootstrap.DATABASE,
        )
        assert dead == [], f"{service}: {dead}"


async def test_outages_of_postgres_neither_dead_letter_events_nor_duplicate_replies() -> None:
    with tempfile.TemporaryDirectory(prefix="gospablik-", ignore_cleanup_errors=True) as folder:
        async with AsyncExitStack() as exits:
            servers = await exits.enter_async_context(postgres_pair(make_traversable(folder)))
            await servers.replicate()
            system = await exits.enter_async_context(
                running_stack(
                    Path(folder) / "stack",
                    seed_demo=True,
                    environment={"GOSPABLIK_DATABASE_ADMIN_URL": servers.admin_url},
                )
            )
            demo = await connect_to_demo(system, exits)
            pids = {name: await system.pid(name) for name in SERVICES}
            async with _load(demo) as conversations:
                for outage in OUTAGES:
                    await asyncio.sleep(5)
                    await outage(servers)
                    await system.wait_until_healthy(within=60)
                await asyncio.sleep(5)
            assert {name: await system.pid(name) for name in SERVICES} == pids, "a process was restarted"

            for number, (page, _question, answer) in enumerate(await asyncio.gather(*conversations)):
                network = demo.network(("vk", "ok")[number % 2])

                async def is_published(network: Any = network, page: str = page, answer: str = answer) -> bool:
                    return bool(await network.answers(page, answer))

                await eventually(is_published, f"«{answer}» is published", seconds=180)
            # Wait for a possible second publication.
            await asyncio.sleep(10)
            for number, conversation in enumerate(conversations):
                page, question, answer = conversation.result()
                assert len(await demo.network(("vk", "ok")[number % 2]).answers(page, answer)) == 1, answer
                listed = await demo.centre.get("/appeals", q=question.rsplit(maxsplit=1)[-1])
                assert len(listed["items"]) == 1, question
            await _check_queues(servers.standby)
