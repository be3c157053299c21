"""Every event reaches every endpoint, and ordered ones in order, although receivers, workers and Postgres fail.

Fifty endpoints: ten slow, ten that fail at random, five down for a while, five that answer 429, twenty healthy;
every second one is ordered. Two workers are killed and started again at random, and Postgres crashes once.
"""

import asyncio
import json
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from cli.deployment import provisioning as bootstrap
from cli.embedded.temporary_postgres import free_port, migrate
from shared.database.sessions import Database
from shared.events.outbox import NewEvent, emit
from shared.ids import new_id
from shared.signing_secrets import SecretCipher, SigningSecrets, new_secret
from tests.chaos.hasty_webhooks_worker import PAUSES
from tests.chaos.webhook_receivers import Behaviour, Receiver, Receivers
from tests.conftest import TestDatabase
from tests.support.eventually import eventually
from tests.support.forked_program import ForkedProgram
from tests.support.large_size import WEBHOOK_CHAOS_EVENTS
from tests.support.postgres_pair import Server, make_traversable
from tests.support.sample_events import sample_data
from tests.support.service_under_test import environment

EVENTS = WEBHOOK_CHAOS_EVENTS
pytestmark = [pytest.mark.long, pytest.mark.timeout(900 + EVENTS)]

SEED = 29
EVENTS_OF_AN_APPEAL, OPEN_APPEALS = 8, 20
BATCH = 10
# How many events have their delays measured, once without and once with failing endpoints, at which rate.
MEASURED, MEASURED_PER_SECOND = 60, 4
# How far the healthy receivers may be behind before more events are written.
MOST_BEHIND = 60
DOWN_SECONDS = 20


@dataclass
class Workers:
    """Two worker processes of webhooks."""

    env: dict[str, str]
    folder: Path
    running: list[ForkedProgram] = field(default_factory=list)
    killed: int = 0

    def start(self) -> ForkedProgram:
        """Start a worker; its log is kept for a failed test."""
        log = self.folder / "workers.log"
        log.touch()
        env = self.env | {"GOSPABLIK_PORT": str(free_port())}
        worker = ForkedProgram("tests.chaos.hasty_webhooks_worker", env=env, stdout=log, stderr=log)
        self.running.append(worker)
        return worker

    def kill(self, worker: ForkedProgram) -> None:
        """Kill the worker, which has no time to record anything."""
        assert worker.returncode is None, "a worker ended by itself"
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        self.running.remove(worker)
        self.killed += 1

    async def kill_at_random(self, dice: random.Random) -> None:
        """Kill a worker every few seconds and start another one, until cancelled."""
        while True:
            await asyncio.sleep(dice.uniform(5, 9))
            await asyncio.to_thread(self.kill, dice.choice(self.running))
            self.start()


@dataclass
class Writer:
    """Writes events of appeals as the service would; each has a number."""

    database: Database
    receivers: Receivers
    dice: random.Random
    written: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    open_appeals: list[UUID] = field(default_factory=list)

    async def write(self, count: int) -> None:
        """Write this many events of random appeals in one transaction."""
        events = []
        async with self.lock:
            for number in range(self.written, self.written + count):
                appeal = self._appeal()
                self.receivers.write(number, appeal)
                data = sample_data("appeal.moved", id=appeal, organisation_id=None, number=number)
                events.append(NewEvent(data=data, subject_id=appeal, organisation_id=None, actor="appeals"))
            async with self.database.write() as session:
                await emit(session, *events)
            self.written += count

    def _appeal(self) -> UUID:
        """Return a random open appeal or a new one, which replaces another if enough are open."""
        if self.open_appeals and self.dice.random() >= 1 / EVENTS_OF_AN_APPEAL:
            return self.dice.choice(self.open_appeals)
        new = UUID(int=self.dice.getrandbits(128), version=4)
        if len(self.open_appeals) >= OPEN_APPEALS:
            self.open_appeals.remove(self.dice.choice(self.open_appeals))
        self.open_appeals.append(new)
        return new

    async def write_measured(self) -> range:
        """Write the events whose delays are measured, at a steady pace; wait until they have arrived."""
        first = self.written
        for _ in range(MEASURED):
            await self.write(1)
            await asyncio.sleep(1 / MEASURED_PER_SECOND)
        await self.arrived(self.receivers.of(Behaviour.HEALTHY), 0)
        return range(first, self.written)

    async def arrived(self, receivers: Sequence[Receiver], behind: int) -> None:
        """Wait until the receivers have accepted all events but this many."""

        async def look() -> bool:
            return all(len(one.accepted) >= self.written - behind for one in receivers)

        await eventually(look, "the healthy receivers have accepted the events", every=0.05)


async def insert_endpoints(admin: Server, url: str, key: str, receivers: Receivers) -> dict[int, UUID]:
    """Insert an endpoint for each receiver, all but the healthy ones inactive; return their ids."""
    owner, found = new_id(), {}
    encrypted = SecretCipher(SecretStr(key)).encrypt(SigningSecrets(new_secret())).hex()
    await admin.fetch(
        "INSERT INTO people (id, username, full_name, role, active, version, created_at, updated_at)"
        f" VALUES ('{owner}', 'chaos', 'Х', 'moderator', true, 1, now(), now())",
        bootstrap.DATABASE,
    )
    for receiver in receivers.all:
        found[receiver.number] = new_id()
        await admin.fetch(
            f"""INSERT INTO webhook_endpoints (id, url, description, event_types, secret, active, personal_data,
                ordered, created_by, owner_id, version, created_at, updated_at)
            VALUES ('{found[receiver.number]}', '{url}/{receiver.number}', '', '["appeal.*"]',
                '\\x{encrypted}', {receiver.behaviour is Behaviour.HEALTHY}, false, {receiver.ordered}, 'chaos',
                '{owner}', 1, now(), now())""",
            bootstrap.DATABASE,
        )
    await admin.fetch(
        "INSERT INTO webhook_claim_turns SELECT id, now() FROM webhook_endpoints", bootstrap.DATABASE
    )
    return found


@asynccontextmanager
async def postgres() -> AsyncIterator[Server]:
    """Run a migrated Postgres that can be killed and started again."""
    with tempfile.TemporaryDirectory(prefix="gospablik-", ignore_cleanup_errors=True) as folder:
        server = Server(make_traversable(folder) / "one")
        server.files.initialise("scratch")
        try:
            await server.start()
            await migrate(server.url)
            yield server
        finally:
            await server.end()


def p95_of_delays(receivers: Receivers, events: range) -> float:
    """Return the 95th percentile of the seconds from an event to its arrival at a healthy receiver."""
    delays = [
        one.arrived_at[number] - receivers.written_at[number]
        for one in receivers.of(Behaviour.HEALTHY)
        for number in events
    ]
    return statistics.quantiles(delays, n=20)[-1]


async def crash_postgres(server: Server, writer: Writer) -> None:
    """Kill Postgres and start it again, while no event is being written."""
    async with writer.lock:
        await server.end(signal.SIGQUIT)
        await asyncio.sleep(2)
        await server.start()


async def write_in_chaos(server: Server, writer: Writer, workers: Workers) -> None:
    """Write the rest of the events, while workers are killed, receivers are down and Postgres crashes once."""
    receivers = writer.receivers
    begun, crash_at = time.monotonic(), writer.written + (EVENTS - writer.written) // 2
    killing = asyncio.create_task(workers.kill_at_random(random.Random(SEED)))
    receivers.down, crashed = True, False
    try:
        while writer.written < EVENTS:
            await writer.write(min(BATCH, EVENTS - writer.written))
            await writer.arrived(receivers.of(Behaviour.HEALTHY), MOST_BEHIND)
            receivers.down = receivers.down and time.monotonic() < begun + DOWN_SECONDS
            if not crashed and writer.written >= crash_at:
                await crash_postgres(server, writer)
                crashed = True
        await asyncio.sleep(max(begun + DOWN_SECONDS - time.monotonic(), 0))
    finally:
        receivers.down = False
        killing.cancel()
        await asyncio.gather(killing, return_exceptions=True)


async def test_every_event_reaches_every_endpoint_and_ordered_ones_in_order(
    keys_dir: Path, tmp_path: Path
) -> None:
    assert sum(PAUSES) > DOWN_SECONDS * 2
    receivers = Receivers(SEED)
    key = Fernet.generate_key().decode()
    async with postgres() as server:
        url = await receivers.start()
        await insert_endpoints(server, url, key, receivers)
        test_database = TestDatabase(server.url, bootstrap.DATABASE)
        settings = {"encryption_keys": key, "webhooks_timeout_seconds": "4", "log_level": "WARNING"}
        workers = Workers(
            os.environ | environment("webhooks", test_database, keys_dir, **settings), folder=tmp_path
        )
        database = Database(test_database.url("webhooks"), 2, name="chaos")
        writer = Writer(database, receivers, random.Random(SEED))
        try:
            for _ in range(2):
                workers.start()
            await writer.write(1)
            await writer.arrived(receivers.of(Behaviour.HEALTHY), 0)
            without_failing = await writer.write_measured()
            first_of_all = writer.written
            await server.fetch("UPDATE webhook_endpoints SET active = true", bootstrap.DATABASE)
            # The other receivers lack the earlier events of the open appeals: check order only in new appeals.
            writer.open_appeals.clear()
            with_failing = await writer.write_measured()
            await write_in_chaos(server, writer, workers)

            async def ended() -> bool:
                query = "SELECT FROM webhook_deliveries WHERE status = 'pending' LIMIT 1"
                done = await server.fetch(query, bootstrap.DATABASE) == []
                return done and all(len(one.accepted) == EVENTS for one in receivers.of(Behaviour.HEALTHY))

            await eventually(ended, "nothing is pending", seconds=600 + EVENTS, every=0.5)
            states = await server.fetch(
                "SELECT status, count(*) AS count FROM webhook_deliveries GROUP BY 1", bootstrap.DATABASE
            )
        finally:
            for worker in workers.running:
                worker.send_signal(signal.SIGTERM)
            for worker in workers.running:
                await asyncio.to_thread(worker.wait)
            await database.close()
            await receivers.stop()
    check(receivers, first_of_all)
    assert [row["status"] for row in states] == ["delivered"]
    report(receivers, workers, p95_of_delays(receivers, without_failing), p95_of_delays(receivers, with_failing))


def check(receivers: Receivers, first_of_all: int) -> None:
    """Assert that each receiver got its events at least once, each with one id, and ordered ones in order."""
    assert max(map(len, receivers.appeals.values())) > 1
    for one in receivers.all:
        expected = range(0 if one.behaviour is Behaviour.HEALTHY else first_of_all, EVENTS)
        assert sorted(one.accepted) == list(expected), f"receiver {one.number} ({one.behaviour})"
        assert {len(ids) for ids in one.ids.values()} == {1}, f"receiver {one.number}: an event has several ids"
        assert one.out_of_order == [], f"receiver {one.number} ({one.behaviour}): {one.out_of_order[:5]}"
    by_event = [{min(one.ids[number]) for one in receivers.all if number in one.ids} for number in range(EVENTS)]
    assert all(len(ids) == 1 for ids in by_event), "an event has another id for another endpoint"


def report(receivers: Receivers, workers: Workers, without_failing: float, with_failing: float) -> None:
    """Print what was seen; no assertion depends on it."""
    repeated = sum(one.accepted.total() - len(one.accepted) for one in receivers.all)
    figures = {
        "events": EVENTS,
        "accepted": sum(len(one.accepted) for one in receivers.all),
        "accepted again": repeated,
        "workers killed": workers.killed,
        "p95 of healthy endpoints": {
            "without failing ones, ms": round(without_failing * 1000),
            "with failing ones, ms": round(with_failing * 1000),
            "ratio": round(with_failing / without_failing, 2),
        },
    }
    sys.stdout.write(json.dumps(figures, ensure_ascii=False) + "\n")
