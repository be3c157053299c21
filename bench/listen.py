"""Cost of long polling 2,000 communities in one process, at 20 events per second.

The floor: the same connections held by plain aiohttp in another process, against the same server. Two ratios, both
at most 1.5: CPU time per answered poll (`ratio`) and growth of memory since before the first connection
(`memory_ratio`). Ingest opens polls, keeps cursors, parses each event and passes it to a store that only counts;
the ratio with a real store is printed as `stored_ratio`, for information: `bench.pipeline` measures that work.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg

from bench.long_poll.client import FIRST_GROUP
from bench.server_process import server_process
from cli.deployment import provisioning as bootstrap
from cli.embedded.temporary_postgres import TEST_PASSWORD, migrate, temporary_server

BAR = 1.5


@dataclass(frozen=True)
class Size:
    """The number of communities, the wait of a poll and the measured time (seconds), and events per second."""

    communities: int
    wait: int
    seconds: float
    events: float


@dataclass(frozen=True)
class ProcessFigures:
    """The cost of one process: growth of memory in bytes, CPU seconds, polls answered, events."""

    growth: int
    cpu: float
    polls: int
    events: int

    @property
    def cpu_per_poll(self) -> float:
        """Return the CPU time per answered poll, in microseconds."""
        return self.cpu / self.polls * 1e6


FULL = Size(2_000, 25, 30, 20)
QUICK = Size(200, 5, 8, 20)


def _measure(client: str, size: Size, seed: int, database: str | None = None) -> ProcessFigures:
    events = ("--events", str(size.events), "--seed", str(seed))
    with server_process("bench.long_poll.server", *events) as url:
        command = [
            *(sys.executable, "-m", "bench.long_poll.client", client, "--url", url),
            *("--communities", str(size.communities), "--seconds", str(size.seconds), "--wait", str(size.wait)),
            *(("--database", database) if database else ()),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{client}: {done.stderr[-3_000:]}")
    return ProcessFigures(**json.loads(done.stdout.splitlines()[-1]))


async def _insert_pages(url: str, communities: int) -> None:
    connection = await asyncpg.connect(url)
    organisation, now = uuid4(), datetime.now(UTC)
    await connection.execute(
        "INSERT INTO organisations (id, name, sort_key, kind, active, version, created_at, updated_at)"
        " VALUES ($1, 'О', 'о', 'institution', true, 1, $2, $2)",
        organisation,
        now,
    )
    await connection.executemany(
        "INSERT INTO pages (id, organisation_id, network, external_id, name, sort_key, url, go_live_at, active,"
        " version, created_at, updated_at) VALUES ($1, $2, 'vk', $3, 'П', 'п', '', '2020-01-01', true, 1, $4, $4)",
        [(uuid4(), organisation, str(FIRST_GROUP + n), now) for n in range(communities)],
    )
    await connection.close()


def _measure_with_database(size: Size, seed: int) -> ProcessFigures:
    """Return the figures of ingest's polls with the real store on a new database."""
    with temporary_server() as server:
        asyncio.run(migrate(server))
        asyncio.run(_insert_pages(bootstrap.with_database(server, bootstrap.DATABASE), size.communities))
        return _measure("ours", size, seed, bootstrap.with_login(server, "ingest", TEST_PASSWORD))


def main() -> None:
    """Run `python -m bench.listen [--quick] [--json]`; exit with 1 above a bar."""
    parser = argparse.ArgumentParser(prog="python -m bench.listen")
    parser.add_argument("--quick", action="store_true", help="200 communities, one run")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    args = parser.parse_args()
    size, runs = (QUICK, 1) if args.quick else (FULL, 3)
    pairs = [(_measure("bare", size, seed), _measure("ours", size, seed)) for seed in range(runs)]
    stored = _measure_with_database(size, runs)
    floor = statistics.median(bare.cpu_per_poll for bare, _ in pairs)
    ours = statistics.median(own.cpu_per_poll for _, own in pairs)
    ratio = statistics.median(own.cpu_per_poll / bare.cpu_per_poll for bare, own in pairs)
    memory = statistics.median(own.growth / bare.growth for bare, own in pairs)
    ok = ratio <= BAR and memory <= BAR
    bare, own = pairs[-1]
    print(
        f"listen: {size.communities} communities, {own.polls} polls answered, {own.events} events;"
        f" memory {own.growth / 2**20:.1f} MiB, floor {bare.growth / 2**20:.1f} MiB, ratio {memory:.2f};"
        f" CPU per poll {ours:.0f} µs, floor {floor:.0f} µs, ratio {ratio:.2f} (bars {BAR}),"
        f" with storing: {stored.cpu_per_poll:.0f} µs; {'ok' if ok else 'ABOVE THE BAR'}"
    )
    if args.json:
        result = {
            "name": "listen",
            "ratio": round(ratio, 3),
            "bar": BAR,
            "ok": ok,
            "floor": round(floor, 1),
            "ours": round(ours, 1),
            "unit": "µs CPU per answered poll",
            "runs": runs,
            "memory_ratio": round(memory, 3),
            "stored_ratio": round(stored.cpu_per_poll / floor, 3),
        }
        print(json.dumps(result))
    # A quick run only proves that the benchmark works; its figures are too noisy.
    sys.exit(0 if ok or args.quick else 1)


if __name__ == "__main__":
    main()
