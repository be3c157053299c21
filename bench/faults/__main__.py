"""`python -m bench.faults --seed N [--quick] [--json]`: nothing lost or doubled while everything fails.

10,000 messages, 500 answers, 500 deletions on both networks. Each kind of transient fault hits 5 % of all calls;
the clocks of the networks, the worker and the API differ by minutes; tokens die one after the other and are
mended; worker and API are killed, Postgres restarts once. The figure is the share of promises kept (each message
stored once, each answer published once, each deletion noticed) and must be 1; beside it the run must end without a
gap in reconciliation and without a dead token being called again and again. The floor is what was promised.
"""

import argparse
import asyncio
import json
import sys
from pathlib import Path

from bench.faults.processes import stage
from bench.faults.scenario import Outcome, Run, Size

FULL = Size(messages=10_000, answers=500, deletions=500, pages=12, turns=40, kills=6, pause=4.0, patience=900)
QUICK = Size(messages=1_000, answers=60, deletions=60, pages=4, turns=12, kills=2, pause=3.0, patience=420)
# What may be under way with a token at the moment it dies, and what one process asks once after a restart.
CALLS_OF_A_DEAD_TOKEN = 12


async def _run(seed: int, size: Size, keep: Path | None) -> Outcome:
    async with stage(seed, size.pages, keep=keep) as made:
        return await Run(made, seed, size).play()


def main() -> None:
    """Play one run and judge it; exit 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m bench.faults")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="1,000 messages, 60 answers, 60 deletions")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    parser.add_argument("--keep", type=Path, help="a new folder that keeps logs and data of the run")
    asked = parser.parse_args()
    size = QUICK if asked.quick else FULL
    print(
        f"faults: seed {asked.seed}, {size.messages} messages, {size.answers} answers, {size.deletions} deletions",
        flush=True,
    )
    outcome = asyncio.run(_run(asked.seed, size, asked.keep))
    hammered = {
        name: calls for name, calls in outcome.calls_of_dead_tokens.items() if calls > CALLS_OF_A_DEAD_TOKEN
    }
    doubled = outcome.doubled + outcome.published_twice
    ok = outcome.kept == outcome.promised and outcome.gaps == 0 and not hammered and not doubled
    print(
        f"faults: {outcome.stored_once} of {outcome.written} messages stored once ({outcome.missing} missing,"
        f" {outcome.doubled} doubled); {outcome.published_once} of {outcome.asked} answers published once"
        f" ({outcome.unpublished} not, {outcome.published_twice} twice); {outcome.deletions_seen} of"
        f" {outcome.deleted} deletions noticed ({outcome.deletions_missed} missed, {outcome.deleted_unread} gone"
        f" unread); gaps {outcome.gaps}; calls of dead tokens"
        f" {outcome.calls_of_dead_tokens}; {outcome.seconds:.0f} s; {'ok' if ok else 'NOT OK'}"
    )
    if asked.json:
        result = {
            "name": "faults",
            "ratio": round(outcome.kept / outcome.promised, 5),
            "bar": 1.0,
            "ok": ok,
            "floor": outcome.promised,
            "ours": outcome.kept,
            "unit": "promises kept",
            "runs": 1,
            "seed": asked.seed,
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
