"""Check that faults lose or duplicate nothing: `python -m bench.faults --seed N [--quick] [--json]`.

10,000 messages, 500 replies, 500 deletions on both networks. Each kind of transient fault hits 5 % of all calls;
the clocks of the networks, the worker and the API differ by minutes; tokens fail one after another and are
repaired; worker and API are killed, Postgres restarts once. The figure is the share of guarantees kept (each
message stored once, each reply published once, each deletion noticed) and must be 1; reconciliation must find no
gap, and no failed token may be called repeatedly. The floor is the number of guarantees.
"""

import argparse
import asyncio
import json
import sys
from pathlib import Path

from bench.faults.processes import running_system
from bench.faults.scenario import Outcome, Run, Size

FULL = Size(
    messages=10_000, answers=500, deletions=500, pages=12, turns=40, kills=6, turn_seconds=4.0, timeout_seconds=900
)
QUICK = Size(
    messages=1_000, answers=60, deletions=60, pages=4, turns=12, kills=2, turn_seconds=3.0, timeout_seconds=420
)
# Maximum calls with a failed token: the calls in flight when it fails, and one call of each restarted process.
CALLS_OF_A_DEAD_TOKEN = 12


async def _run(seed: int, size: Size, keep: Path | None) -> Outcome:
    async with running_system(seed, size.pages, keep=keep) as system:
        return await Run(system, seed, size).run()


def main() -> None:
    """Run once and print the result; exit with 1 if a guarantee was broken."""
    parser = argparse.ArgumentParser(prog="python -m bench.faults")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="1,000 messages, 60 replies, 60 deletions")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    parser.add_argument("--keep", type=Path, help="a new folder that keeps logs and data of the run")
    args = parser.parse_args()
    size = QUICK if args.quick else FULL
    print(
        f"faults: seed {args.seed}, {size.messages} messages, {size.answers} replies, {size.deletions} deletions",
        flush=True,
    )
    outcome = asyncio.run(_run(args.seed, size, args.keep))
    overused = {
        name: calls for name, calls in outcome.calls_of_dead_tokens.items() if calls > CALLS_OF_A_DEAD_TOKEN
    }
    doubled = outcome.doubled + outcome.published_twice
    ok = outcome.kept_promises == outcome.promises and outcome.gaps == 0 and not overused and not doubled
    print(
        f"faults: {outcome.stored_once} of {outcome.written} messages stored once ({outcome.missing} missing,"
        f" {outcome.doubled} doubled); {outcome.published_once} of {outcome.asked} replies published once"
        f" ({outcome.unpublished} not, {outcome.published_twice} twice); {outcome.deletions_seen} of"
        f" {outcome.deleted} deletions noticed ({outcome.deletions_missed} missed,"
        f" {outcome.deleted_unread} deleted before they were read); gaps {outcome.gaps}; calls of failed tokens"
        f" {outcome.calls_of_dead_tokens}; {outcome.seconds:.0f} s; {'ok' if ok else 'NOT OK'}"
    )
    if args.json:
        result = {
            "name": "faults",
            "ratio": round(outcome.kept_promises / outcome.promises, 5),
            "bar": 1.0,
            "ok": ok,
            "floor": outcome.promises,
            "ours": outcome.kept_promises,
            "unit": "guarantees kept",
            "runs": 1,
            "seed": args.seed,
            "gaps": outcome.gaps,
            "doubled": doubled,
            "deletions": outcome.deleted,
            "deletions_missed": outcome.deletions_missed,
            "calls_of_dead_tokens": outcome.calls_of_dead_tokens,
            "seconds": round(outcome.seconds),
        }
        print(json.dumps(result))
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
