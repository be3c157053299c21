"""How a benchmark measures and reports: ours beside a floor measured in the same run, medians of several runs."""

import argparse
import asyncio
import json
import statistics
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Result:
    """One benchmark's outcome. `ratio` = ours / floor when more is better; `ok` when it reaches the bar."""

    name: str
    ratio: float
    bar: float
    ok: bool
    floor: float
    ours: float
    unit: str
    runs: int


Run = Callable[[int], Awaitable[tuple[float, float]]]


async def measure(name: str, *, bar: float, unit: str, size: int, runs: int, run: Run) -> Result:
    """Measure `runs` times; `run(size)` gives (floor, ours) in `unit`, more being better."""
    measured = [await run(size) for _ in range(runs)]
    floor = statistics.median(floor for floor, _ in measured)
    ours = statistics.median(ours for _, ours in measured)
    ratio = statistics.median(ours / floor for floor, ours in measured)
    return Result(name, round(ratio, 3), bar, ratio >= bar, round(floor, 1), round(ours, 1), unit, runs)


@dataclass(frozen=True)
class Part:
    """One measurement of a benchmark: `full` and `quick` are the sizes of `run`.

    In the object that --json prints, its figures stand with `prefix` before their names; the part that the
    benchmark is judged by first has none.
    """

    name: str
    bar: float
    unit: str
    full: int
    quick: int
    run: Run
    prefix: str = ""


def main(name: str, parts: Sequence[Part], runs: int = 3) -> None:
    """Command line of a benchmark: `python -m bench.NAME [--quick] [--json]`; exit 1 below a bar."""
    parser = argparse.ArgumentParser(prog=f"python -m bench.{name}")
    parser.add_argument("--quick", action="store_true", help="a tenth of the work, one run")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    asked = parser.parse_args()
    results = []
    for part in parts:
        size, times = (part.quick, 1) if asked.quick else (part.full, runs)
        result = asyncio.run(measure(part.name, bar=part.bar, unit=part.unit, size=size, runs=times, run=part.run))
        results.append(result)
        print(
            f"{result.name}: {result.ours:,.0f} {part.unit}, floor {result.floor:,.0f} {part.unit}, "
            f"ratio {result.ratio} (bar {part.bar}), {'ok' if result.ok else 'BELOW THE BAR'}"
        )
    ok = all(result.ok for result in results)
    if asked.json:
        print(json.dumps(together(name, parts, results)))
    # A quick run proves that the benchmark works; its figure is too noisy to judge by.
    sys.exit(0 if asked.quick or ok else 1)


def together(name: str, parts: Sequence[Part], results: Sequence[Result]) -> dict[str, Any]:
    """All parts as one object; `ok` when every one of them is."""
    figures = {
        f"{part.prefix}{key}": value
        for part, result in zip(parts, results, strict=True)
        for key, value in asdict(result).items()
        if key != "name"
    }
    return {"name": name, **figures, "ok": all(result.ok for result in results)}
