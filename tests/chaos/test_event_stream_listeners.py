"""500 listeners on two API processes each get their events once and in order, despite disconnects and restarts."""

import asyncio
import os
import signal
import socket
import statistics
import sys
import time
from asyncio.subprocess import Process
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import aiohttp
import psutil
import pytest

from cli.embedded.temporary_postgres import free_port
from shared.auth import tokens
from shared.database.sessions import Database
from shared.events.outbox import NewEvent, emit
from shared.events.relay import number_committed_events
from tests.conftest import TestDatabase
from tests.support.event_stream_client import ENDED, StreamClient, open_stream
from tests.support.eventually import HANG_SECONDS, eventually, eventually_true
from tests.support.sample_events import sample_data
from tests.support.service_under_test import environment, insert_organisation

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

ORGANISATIONS, STREAMS_EACH = 49, 10
LISTENERS = (ORGANISATIONS + 1) * STREAMS_EACH
EVENTS = 2_000
BUFFER = 100
# Events of the centre with long URLs: more data than the kernel buffers for a client that reads nothing.
LARGE_EVENTS, LARGE = 500, 25_000
SMALL_SOCKET = 4_096


@dataclass
class Reader:
    """A listener: the positions of the events that it got, and their delays in seconds."""

    organisation_id: UUID | None
    headers: dict[str, str]
    got: list[str] = field(default_factory=list)
    last_id: str | None = None
    delays: list[float] = field(default_factory=list)
    ended: str | None = None

    async def follow(self, stream: StreamClient, written: dict[str, float]) -> None:
        """Read until the stream ends or the task is cancelled."""
        while True:
            try:
                message = await stream.message()
            except (EOFError, aiohttp.ClientError) as error:
                self.ended = self.ended or repr(error)
                return
            self.last_id = stream.last_id
            self.ended = message.data["reason"] if message.event == ENDED else None
            if "." in message.event and not message.event.startswith("stream."):
                assert message.id is not None
                self.got.append(message.id)
                if (at := written.get(message.data["subject_id"])) is not None:
                    self.delays.append(time.monotonic() - at)


@dataclass
class Api:
    """One API process of webhooks."""

    base: str
    env: dict[str, str]
    process: Process | None = None

    async def start(self) -> None:
        """Start the process and wait until it is ready."""
        command = (sys.executable, "-m", "cli.main", "serve", "webhooks", "--process", "api")
        self.process = await asyncio.create_subprocess_exec(
            *command, env=self.env, stdout=asyncio.subprocess.DEVNULL
        )

        async def ready() -> bool:
            try:
                async with aiohttp.ClientSession() as http, http.get(f"{self.base}/health/ready") as response:
                    return response.status == 200
            except aiohttp.ClientError:
                return False

        await eventually(ready, "the API process is ready")

    async def stop(self) -> None:
        """Stop the process with SIGTERM, as a deployment does, and wait until it ends."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(HANG_SECONDS):
            await self.process.wait()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop the process while the block runs."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def memory(self) -> int:
        """Return the resident memory of the process in bytes."""
        assert self.process is not None
        return int(psutil.Process(self.process.pid).memory_info().rss)

    async def metric(self, name: str) -> float:
        """Return the value of a Prometheus metric of the process; 0 if the metric is missing."""
        async with aiohttp.ClientSession() as http, http.get(f"{self.base}/metrics") as response:
            lines = (await response.text()).splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} ")), 0.0)


@asynccontextmanager
async def two_processes(database: TestDatabase, keys_dir: Path) -> AsyncIterator[tuple[Api, Api]]:
    """Run two API processes on the test's database."""
    found = []
    for _ in range(2):
        port = free_port()
        settings = {"port": str(port), "stream_buffer_events": str(BUFFER), "stream_per_process": str(LISTENERS)}
        env = os.environ | environment("webhooks", database, keys_dir, **settings)
        found.append(Api(f"http://127.0.0.1:{port}", env))
    try:
        await asyncio.gather(*(api.start() for api in found))
        yield found[0], found[1]
    finally:
        await asyncio.gather(*(api.stop() for api in found))


async def people(database: TestDatabase, keys_dir: Path) -> list[Reader]:
    """Create people and return readers: ten per organisation, and ten of the centre, who get all events."""
    signer = tokens.Signer(tokens.PEOPLE_ISSUER, tokens.read_key(keys_dir / "people.jwk"))
    organisations = [await insert_organisation(database, name=f"Школа {n}") for n in range(ORGANISATIONS)]
    found = []
    connection = await database.connect("registry")
    for organisation_id in (*organisations, None):
        subject, role = uuid4(), "executor" if organisation_id else "moderator"
        await connection.execute(
            """INSERT INTO people (id, username, full_name, password_hash, role, organisation_id,
               include_subordinates, active, version, created_at, updated_at)
               VALUES ($1::uuid, $1::text, 'Test', 'none', $2, $3, false, true, 1, now(), now())""",
            subject,
            role,
            organisation_id,
        )
        claims = {"role": role, "org": str(organisation_id) if organisation_id else None}
        token = signer.sign(str(subject), tokens.PEOPLE_AUDIENCE, timedelta(hours=1), **claims)
        headers = {"Authorization": f"Bearer {token}"}
        found += [Reader(organisation_id, headers) for _ in range(STREAMS_EACH)]
    await connection.close()
    return found


async def write(
    pool: Database,
    organisations: Sequence[UUID | None],
    written: dict[str, float],
    count: int = EVENTS,
    size: int = 0,
) -> None:
    """Write `count` events of these organisations in turn, five per transaction; `size`: length of the URL."""
    for start in range(0, count, 5):
        made = []
        for number in range(start, start + 5):
            organisation_id = organisations[number % len(organisations)]
            url = "https://example.invalid/" + "x" * size
            data = sample_data(
                "appeal.opened", id=uuid4(), organisation_id=organisation_id, number=number, url=url
            )
            made.append(NewEvent(data=data, subject_id=uuid4(), organisation_id=organisation_id, actor="appeals"))
        written |= dict.fromkeys((str(event.subject_id) for event in made), time.monotonic())
        async with pool.write() as session:
            await emit(session, *made)
        await number_committed_events(pool)


def delay(readers: Sequence[Reader]) -> str:
    """Return median and p99 of the delays between the write and the reader; reset the delays."""
    found = sorted(each for reader in readers for each in reader.delays)
    for reader in readers:
        reader.delays.clear()
    return f"median {statistics.median(found) * 1000:.0f} ms, p99 {found[len(found) * 99 // 100] * 1000:.0f} ms"


def report(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def kilobytes(size: float) -> str:
    return f"{size / 1024:.0f} KiB"


async def test_500_listeners_get_each_event_once_despite_disconnects(
    database: TestDatabase, keys_dir: Path
) -> None:
    readers = await people(database, keys_dir)
    organisations = [reader.organisation_id for reader in readers[::STREAMS_EACH] if reader.organisation_id]
    pool = Database(database.url("webhooks"), 3, name="test")
    written: dict[str, float] = {}
    async with (
        two_processes(database, keys_dir) as apis,
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=None)
        ) as http,
    ):
        report(f"\nlisteners: {LISTENERS}")
        # Warm-up: what the first stream loads must not be counted as a listener's memory.
        for api in apis:
            async with open_stream(http, api.base, readers[0].headers):
                pass
        before = [api.memory() for api in apis]

        slow = await stuck_reader(apis[0], readers[-1].headers)
        async with all_open(http, readers[:-1], apis, written) as took:
            report(f"opened in {took:.1f} s")
            after = [api.memory() for api in apis]
            each = [2 * (now - then) / LISTENERS for then, now in zip(before, after, strict=True)]
            report(f"memory of a listener: {' and '.join(map(kilobytes, each))}")
            await write(pool, organisations, written)
            await everything_arrived(database, readers[:-1])
            report(f"delay: {delay(readers)}")
            after = [api.memory() for api in apis]
            each = [2 * (now - then) / LISTENERS for then, now in zip(before, after, strict=True)]
            report(f"memory of a listener after {EVENTS} events: {' and '.join(map(kilobytes, each))}")
            # More events than the buffers hold come at once: listeners that read are not cut off.
            with apis[1].paused():
                await write(pool, organisations, written)
            await everything_arrived(database, readers[:-1])
            report(f"delay after a pause: {delay(readers)}")
            await write(pool, [None], written, LARGE_EVENTS, LARGE)
            await everything_arrived(database, readers[:-1])
        report(f"with large events and a client that does not read: {delay(readers)}")

        # The reader that read nothing was cut off and did not delay others; it resumes after its last event.
        async def cut_off() -> bool:
            return await apis[0].metric('gospablik_ended_streams_total{reason="too_slow"}') == 1

        await eventually(cut_off, "the slow reader is cut off")
        await slow.drain(readers[-1])
        report(f"the slow reader was cut off after {len(readers[-1].got)} events")

        # All readers are disconnected while one process restarts and events are written.
        await write(pool, organisations, written)
        await apis[1].stop()
        await apis[1].start()
        writing = asyncio.create_task(write(pool, organisations, written))
        async with all_open(http, readers, apis[::-1], written) as took:
            report(f"all back in {took:.1f} s")
            await writing
            await everything_arrived(database, readers)
            await apis[0].stop()
            connected = len(readers) // 2
            await eventually_true(
                lambda: sum(reader.ended == "shutdown" for reader in readers) == connected,
                "each is notified of the shutdown",
            )
    await pool.close()


@asynccontextmanager
async def all_open(
    http: aiohttp.ClientSession, readers: Sequence[Reader], apis: Sequence[Api], written: dict[str, float]
) -> AsyncIterator[float]:
    """Open a stream for each reader, half of them at each process; yield the seconds that opening took."""
    async with AsyncExitStack() as opened, asyncio.TaskGroup() as tasks:
        started = time.monotonic()

        async def open_one(number: int, reader: Reader) -> StreamClient:
            headers = reader.headers | ({"Last-Event-ID": reader.last_id} if reader.last_id else {})
            base = apis[number % 2].base
            return await opened.enter_async_context(open_stream(http, base, headers))

        streams = await asyncio.gather(*(open_one(number, reader) for number, reader in enumerate(readers)))
        took = time.monotonic() - started
        following = [
            tasks.create_task(reader.follow(stream, written))
            for reader, stream in zip(readers, streams, strict=True)
        ]
        yield took
        for task in following:
            task.cancel()


async def everything_arrived(database: TestDatabase, readers: Sequence[Reader]) -> None:
    """Wait until each reader has its events; assert that it got exactly these, each once and in order."""
    connection = await database.connect()
    rows = await connection.fetch("SELECT position, organisation_id FROM events ORDER BY position")
    await connection.close()
    expected: dict[UUID | None, list[str]] = defaultdict(list)
    for row in rows:
        for audience in {row["organisation_id"], None}:
            expected[audience].append(f"0.{row['position']}")

    async def complete() -> bool:
        ended = Counter(reader.ended for reader in readers if reader.ended)
        assert not ended, f"streams ended before all events came: {ended}"
        return all(len(reader.got) >= len(expected[reader.organisation_id]) for reader in readers)

    await eventually(complete, "all events")
    wrong = [reader for reader in readers if reader.got != expected[reader.organisation_id]]
    assert not wrong, f"{len(wrong)} readers lost events or got them twice, such as {wrong[0].got[:5]}"


@dataclass
class StuckReader:
    """A connection whose client reads nothing for a while."""

    stream: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def drain(self, reader: Reader) -> None:
        """Read the buffered rest of the stream; the connection ends with a reset, because the server gave up."""
        self.stream._transport.resume_reading()  # type: ignore[attr-defined]
        body = b""
        with suppress(ConnectionResetError):
            while chunk := await self.stream.read(65_536):
                body += chunk
        self.writer.close()
        complete, _, _ = body.rpartition(b"\n\n")
        for line in complete.decode(errors="replace").splitlines():
            if line.startswith("id: 0."):
                reader.last_id = line.removeprefix("id: ")
                reader.got.append(reader.last_id)
        if reader.got:
            reader.got.remove("0.0")  # the id of `stream.opened`


async def stuck_reader(api: Api, headers: dict[str, str]) -> StuckReader:
    """Open a stream with a small receive buffer; after `stream.opened`, read nothing."""
    port = urlsplit(api.base).port
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_SOCKET)
    connection.setblocking(False)
    await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
    stream, writer = await asyncio.open_connection(sock=connection, limit=SMALL_SOCKET)
    lines = ("GET /api/v1/stream HTTP/1.1", "Host: test", *(f"{name}: {value}" for name, value in headers.items()))
    writer.write("\r\n".join((*lines, "", "")).encode())
    while b"stream.opened" not in await stream.readline():
        pass
    return StuckReader(stream, writer)
