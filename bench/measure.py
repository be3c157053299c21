"""Measure a benchmark against a floor measured in the same run, and report medians of several runs."""

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
    """The result of a benchmark. `ratio` is ours / floor where more is better; `ok`: the ratio reaches the bar."""

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
    """Measure `runs` times and return the result. `run(size)` returns (floor, ours) in `unit`; more is better."""
    measured = [await run(size) for _ in range(runs)]
    floor = statistics.median(floor for floor, _ in measured)
    ours = statistics.median(ours for _, ours in measured)
    ratio = statistics.median(ours / floor for floor, ours in measured)
    return Result(name, round(ratio, 3), bar, ratio >= bar, round(floor, 1), round(ours, 1), unit, runs)


@dataclass(frozen=True)
class Measurement:
    """One measurement of a benchmark: `full` and `quick` are the sizes of `run`.

    In the object that --json prints, the names of its figures start with `prefix`; the main measurement has no
    prefix.
    """

    name: str
    bar: float
    unit: str
    full: int
    quick: int
    run: Run
    prefix: str = ""


def run_benchmark(name: str, measurements: Sequence[Measurement], runs: int = 3) -> None:
    """Run the command line of a benchmark, `python -m bench.NAME [--quick] [--json]`; exit with 1 below a bar."""
    parser = argparse.ArgumentParser(prog=f"python -m bench.{name}")
    parser.add_argument("--quick", action="store_true", help="a small part of the work, one run")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    args = parser.parse_args()
    results = []
    for measurement in measurements:
        size, times = (measurement.quick, 1) if args.quick else (measurement.full, runs)
        result = asyncio.run(
            measure(
                measurement.name,
                bar=measurement.bar,
                unit=measurement.unit,
                size=size,
                runs=times,
                run=measurement.run,
            )
        )
        results.append(result)
        print(
            f"{result.name}: {result.ours:,.0f} {measurement.unit}, floor {result.floor:,.0f} {measurement.unit}, "
            f"ratio {result.ratio} (bar {measurement.bar}), {'ok' if result.ok else 'BELOW THE BAR'}"
        )
    ok = all(result.ok for result in results)
    if args.json:
        print(json.dumps(combine_results(name, measurements, results)))
    # A quick run only proves that the benchmark works; its figures are too noisy.
    sys.exit(0 if args.quick or ok else 1)


def combine_results(name: str, measurements: Sequence[Measurement], results: Sequence[Result]) -> dict[str, Any]:
    """Return all results as one object, whose `ok` is true if all results are ok."""
    figures = {
        f"{measurement.prefix}{key}": value
        for measurement, result in zip(measurements, results, strict=True)
        for key, value in asdict(result).items()
        if key != "name"
    }
    return {"name": name, **figures, "ok": all(result.ok for result in results)}
