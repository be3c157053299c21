"""One of the two compared clients, in its own process: `python -m bench.long_poll.client bare|ours …`.

`bare` holds the polls with aiohttp and decodes their JSON; `ours` runs ingest's VK long polls: opening, cursors,
parsing, and passing each event to the store. With `--database`, it is the real store.
"""

import argparse
import asyncio
import json
import os
import resource
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid4

import aiohttp
import asyncpg
from cryptography.fernet import Fernet

from services.ingest.networks.port import (
    Credential,
    IntakeStore,
    PageRef,
    ParsedBatch,
    StoreResult,
    ThreadState,
    TokenKind,
    TokenState,
)
from shared.contracts.values import MessageKind

FIRST_GROUP = 900_000


def resident_bytes() -> int:
    """Return the resident memory of this process in bytes."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


class FixedTokenPool:
    """A token pool in which every page has its own working token."""

    def __init__(self, pages: Sequence[PageRef]) -> None:
        self._pages = {page.external_id: page for page in pages}
        self._credentials = {
            page.id: Credential(id=uuid4(), network="vk", kind=TokenKind.GROUP, page_id=page.id, token="bench")
            for page in pages
        }

    def pages(self, network: str) -> Sequence[PageRef]:
        return list(self._pages.values()) if network == "vk" else []

    def page(self, network: str, external_id: str) -> PageRef | None:
        return self._pages.get(external_id) if network == "vk" else None

    def select(
        self, network: str, kind: TokenKind, page_id: UUID | None = None, *, method: str | None = None
    ) -> Credential | None:
        return self._credentials.get(page_id) if page_id is not None and kind is TokenKind.GROUP else None

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"the long polls used an attribute that this token pool does not have: {name}")

    def daily_call_limit(self, network: str, method: str) -> float | None:
        return None

    def calls_left(self, network: str, method: str) -> int | None:
        return None

    async def wait_for_turn(self, credential: Credential, calls_per_second: float) -> None:
        return None  # every page has its own token and opens one session

    async def begin_call(self, credential: Credential, method: str) -> dict[str, str]:
        return {}

    async def record_success(self, credential: Credential, method: str) -> None:
        return None

    async def record_failure(self, credential: Credential, state: TokenState, reason: str, **_more: Any) -> None:
        raise SystemExit(f"a token failed: {state} {reason}")


class CountingFeed:
    """A store that only counts, so that only the long polls are measured."""

    def __init__(self) -> None:
        self.items = 0

    async def store(self, page: PageRef, source: str, parsed: ParsedBatch, **_more: Any) -> StoreResult:
        if parsed.unparsed:
            raise SystemExit(f"an event could not be parsed: {parsed.unparsed[0].reason}")
        self.items += len(parsed.items)
        return StoreResult(new=len(parsed.items))

    async def undeleted_ids(
        self, page: PageRef, kind: MessageKind, *, thread_key: str | None = None, since: datetime | None = None
    ) -> dict[str, datetime]:
        return {}

    async def cursor(self, page: PageRef, source: str) -> dict[str, Any]:
        return {}

    async def thread_states(self, thread_keys: Sequence[str]) -> dict[str, ThreadState]:
        return {}

    async def invalidate_threads(self, thread_keys: Sequence[str]) -> None:
        return None

    def report_success(self, page: PageRef, source: str, *, remark: str | None = None) -> None:
        return None

    def report_failure(self, page: PageRef, source: str, error: str) -> None:
        raise SystemExit(f"{source} failed: {error}")


async def _poll_with_aiohttp(http: aiohttp.ClientSession, url: str, group: int, wait: int) -> None:
    timeout = aiohttp.ClientTimeout(total=wait + 10)
    form = {"group_id": str(group), "access_token": "bench", "v": "5.199"}
    async with http.post(f"{url}/method/groups.getLongPollServer", data=form, timeout=timeout) as answer:
        session = json.loads(await answer.read())["response"]
    ts = session["ts"]
    while True:
        query = {"act": "a_check", "key": session["key"], "ts": ts, "wait": str(wait)}
        async with http.get(session["server"], params=query, timeout=timeout) as answer:
            ts = json.loads(await answer.read())["ts"]


@asynccontextmanager
async def _feed(database: str | None) -> AsyncIterator[tuple[IntakeStore, Sequence[PageRef] | None]]:
    if database is None:
        yield cast("IntakeStore", CountingFeed()), None
        return
    # Imported after the environment is set: settings are read once in a process.
    from services.ingest.intake.store import DatabaseIntakeStore  # noqa: PLC0415
    from shared.database.sessions import POOL_SIZES, Database  # noqa: PLC0415

    pool = Database(database, POOL_SIZES["ingest"], name="bench")
    connection = await asyncpg.connect(database)
    rows = await connection.fetch("SELECT id, organisation_id, external_id FROM pages WHERE network = 'vk'")
    await connection.close()
    pages = [_page(row["id"], row["organisation_id"], row["external_id"]) for row in rows]
    yield DatabaseIntakeStore(pool), pages
    await pool.close()


def _page(page_id: UUID, organisation_id: UUID, group: str) -> PageRef:
    return PageRef(
        id=page_id,
        organisation_id=organisation_id,
        network="vk",
        external_id=group,
        go_live_at=datetime(2020, 1, 1, tzinfo=UTC),
    )


async def _wait_until_listening(http: aiohttp.ClientSession, url: str, communities: int) -> None:
    """Wait until the server has a poll of every community, at most ten minutes."""
    async with asyncio.timeout(600):
        while True:
            async with http.get(f"{url}/state") as answer:
                if (await answer.json())["listening"] >= communities:
                    return
            await asyncio.sleep(0.2)


async def _server_state(http: aiohttp.ClientSession, url: str) -> Mapping[str, int]:
    async with http.get(f"{url}/state") as answer:
        found: dict[str, int] = await answer.json()
        return found


async def run(client: str, url: str, *, communities: int, seconds: float, wait: int, database: str | None) -> None:
    """Start all polls, wait for the length of one poll, measure for `seconds`, and print the figures as JSON."""
    os.environ |= {
        "GOSPABLIK_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
        "GOSPABLIK_PSEUDONYM_KEY": "pseudonym-key-of-the-bench",
        "GOSPABLIK_VK_API_URL": url,
        "GOSPABLIK_VK_LONG_POLL_WAIT_SECONDS": str(wait),
    }
    from services.ingest.networks.vk.vk_network import VkNetwork  # noqa: PLC0415
    from services.ingest.settings import ingest_settings  # noqa: PLC0415

    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=wait + 10)
    async with aiohttp.ClientSession(connector=connector) as http, _feed(database) as (feed, pages):
        page_refs = pages or [_page(uuid4(), uuid4(), str(FIRST_GROUP + n)) for n in range(communities)]
        loops = []
        if client == "ours":
            network = VkNetwork(http, FixedTokenPool(page_refs), feed, ingest_settings())
            loops = [loop for name, loop in network.source_loops().items() if name.startswith("vk:long_poll")]
        memory_before = resident_bytes()
        tasks: list[asyncio.Future[None]]
        if client == "ours":
            tasks = [asyncio.ensure_future(loop()) for loop in loops]
        else:
            tasks = [
                asyncio.ensure_future(_poll_with_aiohttp(http, url, FIRST_GROUP + n, wait))
                for n in range(communities)
            ]
        async with aiohttp.ClientSession() as control:
            await _wait_until_listening(control, url, communities)
            await asyncio.sleep(wait + 2)
            started, cpu = await _server_state(control, url), time.process_time()
            await asyncio.sleep(seconds)
            ended, spent = await _server_state(control, url), time.process_time() - cpu
        polls, events = ended["answered"] - started["answered"], ended["events"] - started["events"]
        growth = resident_bytes() - memory_before
        broken = [task for task in tasks if task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if broken:
            raise SystemExit(f"{len(broken)} long polls ended early: {broken[0]}")
    print(json.dumps({"growth": growth, "cpu": spent, "polls": polls, "events": events}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("side", choices=["bare", "ours"])
    parser.add_argument("--url", required=True)
    parser.add_argument("--communities", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--wait", type=int, required=True)
    parser.add_argument("--database")
    given = vars(parser.parse_args())
    asyncio.run(run(given.pop("side"), given.pop("url"), **given))
