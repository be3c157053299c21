"""Measure requests to the appeals API and to the bare route behind the same gateway."""

import asyncio
import json
import os
import pickle
import secrets
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

import aiohttp
import asyncpg
import uvloop
from cryptography.fernet import Fernet

from bench.api import bare_route
from bench.api.processes import measured_processes
from bench.api.recorded_requests import RecordedRequest, Request, appeals_service, moderator_token, record
from cli.deployment import provisioning as bootstrap
from cli.deployment.signing_keys import ensure_keys
from cli.embedded.temporary_postgres import TEST_PASSWORD, migrate, temporary_server
from tests.integration.data_growth.large_dataset import fill

READ_BAR, WRITE_BAR = 0.5, 0.45
CONNECTIONS = 4
ROUNDS = 3
PERSON = UUID(int=1)
ADD_PERSON = """INSERT INTO people (id, username, full_name, password_hash, role, include_subordinates, active,
    version, created_at, updated_at)
    VALUES ($1, 'bench', 'Bench', 'none', 'moderator', false, true, 1, now(), now())"""


@dataclass(frozen=True)
class Speed:
    """Requests per second, and the 95th percentile of their duration in seconds."""

    per_second: float
    p95: float


@dataclass(frozen=True)
class Figures:
    """The figures of one request at one size. `buffers`: touched by the statements of a read; 0 for a write."""

    name: str
    appeals: int
    writes: bool
    ours: Speed
    floor: Speed
    buffers: int

    @property
    def ratio(self) -> float:
        """Return our requests per second as a share of the floor's."""
        return self.ours.per_second / self.floor.per_second

    @property
    def bar(self) -> float:
        """Return the minimum ratio."""
        return WRITE_BAR if self.writes else READ_BAR


@dataclass
class _Times:
    rates: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def add(self, together: float, each: list[float]) -> None:
        self.rates.append(len(each) / together)
        self.seconds += each

    def speed(self) -> Speed:
        return Speed(statistics.median(self.rates), statistics.quantiles(self.seconds, n=20)[-1])


def requests(organisation_id: UUID, appeal_id: UUID) -> list[Request]:
    """Return the requests to measure."""
    return [
        Request("list", "GET", "/api/v1/appeals"),
        Request("filter", "GET", f"/api/v1/appeals?status=answered&organisation_id={organisation_id}"),
        # A word in every appeal, words in only the oldest appeal, a word in no appeal, and a phrase.
        Request("search", "GET", "/api/v1/appeals?q=дороги"),
        Request("search_rare", "GET", "/api/v1/appeals?q=дома+1"),
        Request("search_absent", "GET", "/api/v1/appeals?q=снегопад"),
        Request("search_phrase", "GET", '/api/v1/appeals?q="дорогу у дома"'),
        Request("read", "GET", f"/api/v1/appeals/{appeal_id}"),
        Request(
            "write", "POST", f"/api/v1/appeals/{appeal_id}/notes", {"text": "Позвонили в район, ждём ответа."}
        ),
    ]


async def measure_size(appeals: int, repetitions: int) -> list[Figures]:
    """Measure all requests with this number of appeals in the database."""
    with temporary_server() as server, TemporaryDirectory() as made:
        folder = Path(made)
        await migrate(server)
        ensure_keys(folder / "keys")
        admin = await asyncpg.connect(bootstrap.with_database(server, bootstrap.DATABASE))
        region = await fill(admin, appeals)
        await admin.execute(ADD_PERSON, PERSON)
        # The newest answered appeal, because people mostly read recent appeals.
        appeal_id = await admin.fetchval(
            "SELECT id FROM appeals WHERE status = 'answered' ORDER BY opened_at DESC LIMIT 1"
        )
        settings = {
            "GOSPABLIK_ENVIRONMENT": "embedded",
            "GOSPABLIK_DATABASE_URL": bootstrap.with_login(server, "appeals", TEST_PASSWORD),
            "GOSPABLIK_KEYS_DIR": str(folder / "keys"),
            "GOSPABLIK_CURSOR_KEY": secrets.token_hex(),
            "GOSPABLIK_AUDIT_KEY": secrets.token_hex(),
            "GOSPABLIK_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
        }
        os.environ |= settings
        token = moderator_token(folder / "keys", PERSON)
        async with appeals_service() as client:
            recorded = {
                wanted.name: await record(client, wanted, token)
                for wanted in requests(region.organisation_id, appeal_id)
            }
        (folder / "recorded.pickle").write_bytes(pickle.dumps(recorded))
        figures = []
        async with measured_processes(folder, folder / "recorded.pickle", settings) as gateway:
            for one in recorded.values():
                ours, floor = await _measure(gateway, one, token, repetitions)
                buffers = await _buffers(admin, one)
                figures.append(Figures(one.request.name, appeals, one.request.writes, ours, floor, buffers))
        await admin.close()
    return figures


async def _buffers(admin: asyncpg.Connection, recorded: RecordedRequest) -> int:
    """Return the number of buffers that the statements of a read touch; 0 for a write."""
    if recorded.request.writes:
        return 0
    total = 0
    for statement in recorded.statements:
        # Skip the insert that records the reader: its cost does not grow, and it cannot be repeated.
        if statement.sql.startswith("SET") or statement.inserts:
            continue
        plan = json.loads(
            await admin.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement.sql}", *statement.parameters)
        )[0]["Plan"]
        total += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    return total


async def _measure(gateway: str, recorded: RecordedRequest, token: str, repetitions: int) -> tuple[Speed, Speed]:
    """Return the speeds of the service and of the floor."""
    request = recorded.request
    signed_in = {"Authorization": f"Bearer {token}"}
    ours, floor = _Times(), _Times()
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    async with aiohttp.ClientSession(connector=connector) as http:
        for round_number in range(ROUNDS + 1):
            bare = await _send(http, request, f"{gateway}{bare_route.PREFIX}/{request.name}", {}, repetitions)
            full = await _send(http, request, gateway + request.path, signed_in, repetitions)
            if round_number:  # the first round only warms up
                floor.add(*bare)
                ours.add(*full)
    return ours.speed(), floor.speed()


async def _send(
    http: aiohttp.ClientSession, request: Request, url: str, headers: dict[str, str], repetitions: int
) -> tuple[float, list[float]]:
    """Send the request `repetitions` times; return the total seconds and the seconds of each response."""
    seconds: list[float] = []

    async def connection(count: int) -> None:
        for _ in range(count):
            started = time.perf_counter()
            async with http.request(request.method, url, json=request.body, headers=headers) as response:
                body = await response.read()
                if response.status not in {200, 201}:
                    raise RuntimeError(f"{url}: {response.status} {body[:500]!r}")
            seconds.append(time.perf_counter() - started)

    started = time.perf_counter()
    await asyncio.gather(*(connection(repetitions // CONNECTIONS) for _ in range(CONNECTIONS)))
    return time.perf_counter() - started, seconds


def _one_size(appeals: int, repetitions: int) -> list[Figures]:
    return uvloop.run(measure_size(appeals, repetitions))


def run(sizes: Sequence[int], repetitions: int) -> list[Figures]:
    """Measure every size in a new process, because a service reads its settings only once."""
    figures = []
    for appeals in sizes:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            figures += pool.submit(_one_size, appeals, repetitions).result()
    return figures
