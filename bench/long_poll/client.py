"""One side of the comparison, in a process of its own: `python -m bench.long_poll.client SIDE …`.

`bare` holds the polls with aiohttp and reads their JSON; `ours` runs ingest's own long polls of VK: opening,
cursors, parsing, and handing each event to the feed. With `--database`, the feed is the real one and stores them.
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


def memory() -> int:
    """Resident bytes of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


class Everyone:
    """Accounts of the comparison: every page has a healthy token of its own."""

    def __init__(self, pages: Sequence[PageRef]) -> None:
        self._pages = {page.id: page for page in pages}
        self._credentials = {
            page.id: Credential(id=uuid4(), network="vk", kind=TokenKind.GROUP, page_id=page.id, token="bench")
            for page in pages
        }

    def pages(self, network: str) -> Sequence[PageRef]:
        return list(self._pages.values()) if network == "vk" else []

    def page(self, network: str, external_id: str) -> PageRef | None:
        return next((page for page in self.pages(network) if page.external_id == external_id), None)

    def select(
        self, network: str, kind: TokenKind, page_id: UUID | None = None, *, method: str | None = None
    ) -> Credential | None:
        return self._credentials.get(page_id) if page_id is not None and kind is TokenKind.GROUP else None

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"listening asked the accounts for {name}")

    def daily_call_limit(self, network: str, method: str) -> float | None:
        return None

    def calls_left(self, network: str, method: str) -> int | None:
        return None

    async def begin_call(self, credential: Credential, method: str) -> dict[str, str]:
        return {}

    async def record_success(self, credential: Credential, method: str) -> None:
        return None

    async def record_failure(self, credential: Credential, state: TokenState, reason: str, **_more: Any) -> None:
        raise SystemExit(f"a token is in trouble: {state} {reason}")


class Counting:
    """A feed that only counts, so that listening alone is measured."""

    def __init__(self) -> None:
        self.items = 0

    async def store(self, page: PageRef, source: str, parsed: ParsedBatch, **_more: Any) -> StoreResult:
        if parsed.unparsed:
            raise SystemExit(f"an event could not be read: {parsed.unparsed[0].reason}")
        self.items += len(parsed.items)
        return StoreResult(new=len(parsed.items))

    async def living_ids(
        self, page: PageRef, kind: MessageKind, *, thread_key: str | None = None, since: datetime | None = None
    ) -> dict[str, datetime]:
        return {}

    async def cursor(self, page: PageRef, source: str) -> dict[str, Any]:
        return {}

    async def thread_states(self, thread_keys: Sequence[str]) -> dict[str, ThreadState]:
        return {}

    async def invalidate_threads(self, thread_keys: Sequence[str]) -> None:
        return None

    def report_success(self, page: PageRef, source: str) -> None:
        return None

    def report_failure(self, page: PageRef, source: str, error: str) -> None:
        raise SystemExit(f"{source} failed: {error}")


async def _bare(http: aiohttp.ClientSession, url: str, group: int, wait: int) -> None:
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
        yield cast("IntakeStore", Counting()), None
        return
    # Imported late: the services read their settings when they load.
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
        live_from=datetime(2020, 1, 1, tzinfo=UTC),
    )


async def _listening(http: aiohttp.ClientSession, url: str, communities: int) -> None:
    """Wait until all communities listen, for ten minutes at most."""
    async with asyncio.timeout(600):
        while True:
            async with http.get(f"{url}/state") as answer:
                if (await answer.json())["listening"] >= communities:
                    return
            await asyncio.sleep(0.2)


async def _answered(http: aiohttp.ClientSession, url: str) -> Mapping[str, int]:
    async with http.get(f"{url}/state") as answer:
        found: dict[str, int] = await answer.json()
        return found


async def run(side: str, url: str, *, communities: int, seconds: float, wait: int, database: str | None) -> None:
    """Listen, let it settle for one `wait`, measure for `seconds`, print the figures as JSON."""
    os.environ |= {
        "GOSPABLIK_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
        "GOSPABLIK_PSEUDONYM_KEY": "pseudonym-key-of-the-bench",
        "GOSPABLIK_VK_API_URL": url,
        "GOSPABLIK_VK_LONG_POLL_WAIT": str(wait),
    }
    from services.ingest.networks.vk.vk_network import VkNetwork  # noqa: PLC0415
    from services.ingest.settings import ingest_settings  # noqa: PLC0415

    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=wait + 10)
    async with aiohttp.ClientSession(connector=connector) as http, _feed(database) as (feed, pages):
        known = pages or [_page(uuid4(), uuid4(), str(FIRST_GROUP + n)) for n in range(communities)]
        ways = []
        if side == "ours":
            network = VkNetwork(http, Everyone(known), feed, ingest_settings())
            ways = [way for name, way in network.source_loops().items() if name.startswith("vk:long_poll")]
        before = memory()
        tasks: list[asyncio.Future[None]]
        if side == "ours":
            tasks = [asyncio.ensure_future(way()) for way in ways]
        else:
            tasks = [asyncio.ensure_future(_bare(http, url, FIRST_GROUP + n, wait)) for n in range(communities)]
        async with aiohttp.ClientSession() as aside:
            await _listening(aside, url, communities)
            await asyncio.sleep(wait + 2)
            started, cpu = await _answered(aside, url), time.process_time()
            await asyncio.sleep(seconds)
            ended, spent = await _answered(aside, url), time.process_time() - cpu
        polls, events = ended["answered"] - started["answered"], ended["events"] - started["events"]
        growth = memory() - before
        broken = [task for task in tasks if task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if broken:
            raise SystemExit(f"{len(broken)} polls ended: {broken[0]}")
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
