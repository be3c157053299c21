"""The weekly report at a million appeals: `python -m bench.report [--quick] [--json]`.

Ours is everything that the report of one week reads, from rows, in one transaction: ten weeks of appeals, and the
responses, answers, promises, deletions and words of two. The floor is one sequential aggregate over all appeals.
Both are measured in turn in milliseconds; the ratio is ours to the floor, so less is better.
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

from cli.deployment import provisioning as bootstrap
from cli.embedded.temporary_postgres import TEST_PASSWORD, migrate, temporary_server
from services.metrics.indicators.weeks import Week
from services.metrics.weekly_report.publication import build_in_snapshot
from shared import clock
from shared.database.sessions import Database
from tests.integration.data_growth.large_dataset import fill

BAR = 1.0
APPEALS, QUICK_APPEALS, RUNS = 1_000_000, 20_000, 7
FLOOR = """SELECT count(*), count(first_response_at),
    count(*) FILTER (WHERE first_response_at <= first_response_due_at),
    sum(first_response_working_seconds) FROM appeals"""
SEQUENTIAL = (
    "max_parallel_workers_per_gather = 0",
    "enable_indexscan = off",
    "enable_indexonlyscan = off",
    "enable_bitmapscan = off",
)


async def _milliseconds(work: Callable[[], Awaitable[Any]]) -> float:
    began = time.perf_counter()
    await work()
    return (time.perf_counter() - began) * 1000


async def _measure(appeals: int, runs: int) -> tuple[float, float]:
    """Return the medians of the floor and of ours, in milliseconds."""
    with temporary_server() as server:
        await migrate(server)
        admin = await asyncpg.connect(bootstrap.with_database(server, bootstrap.DATABASE))
        await fill(admin, appeals)
        for setting in SEQUENTIAL:
            await admin.execute(f"SET {setting}")
        database = Database(bootstrap.with_login(server, "metrics", TEST_PASSWORD), 2, name="metrics")
        week = Week.containing(clock.now()).shifted(-1)

        async def figures() -> None:
            report = await build_in_snapshot(database, week, clock.now())
            assert report.outcomes.opened, "the measured week has no appeals"

        await figures()
        floors, ours = [], []
        for _ in range(runs):
            floors.append(await _milliseconds(lambda: admin.fetch(FLOOR)))
            ours.append(await _milliseconds(figures))
        await database.close()
        await admin.close()
    return statistics.median(floors), statistics.median(ours)


def main() -> None:
    """Run `python -m bench.report [--quick] [--json]`; exit with 1 above the bar."""
    parser = argparse.ArgumentParser(prog="python -m bench.report")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_APPEALS:,} appeals, one run")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    options = parser.parse_args()
    size, runs = (QUICK_APPEALS, 1) if options.quick else (APPEALS, RUNS)
    floor, ours = asyncio.run(_measure(size, runs))
    ratio = ours / floor
    print(
        f"a week of {size:,} appeals: {ours:.0f} ms, one aggregate {floor:.0f} ms, ratio {ratio:.2f} (bar {BAR})"
    )
    if options.json:
        result = {
            "name": "report", "ratio": round(ratio, 3), "bar": BAR, "ok": ratio <= BAR, "floor": round(floor, 1),
            "ours": round(ours, 1), "unit": "ms", "runs": runs,
        }  # fmt: skip
        print(json.dumps(result))
    # A quick run only proves that the benchmark works; its figures are too noisy.
    sys.exit(0 if ratio <= BAR or options.quick else 1)


if __name__ == "__main__":
    main()
