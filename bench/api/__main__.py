"""Reads and writes of the appeals API through the gateway: `python -m bench.api [--quick] [--json]`.

The floor of each request is a bare route behind the same gateway that runs the same SQL with asyncpg and sends the
same bytes, without sign-in: see `bare_route`. Requests go to both alternately, over four connections. Measured
with 10,000, 100,000 and a million appeals; the growth of the 95th percentile and of the buffers of a read from the
smallest to the largest size has a bar too. Searches return the newest appeals first.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from bench.api.measurement import READ_BAR, ROUNDS, WRITE_BAR, Figures, run

SIZES = (10_000, 100_000, 1_000_000)
GROWTH_BAR = 1.5
SEARCH_BAR = 6.0


def growth(figures: Sequence[Figures]) -> dict[str, float]:
    """Return the growth of p95 and buffers of each read from the smallest size to the largest.

    Searches are compared at the largest size only: the p95 of the slowest search as a multiple of the list's.
    """
    by_size = {(one.name, one.appeals): one for one in figures}
    smallest, largest = min(one.appeals for one in figures), max(one.appeals for one in figures)
    found = {}
    for name in ("list", "filter", "read"):
        small, large = by_size[name, smallest], by_size[name, largest]
        found[f"{name}_p95_growth"] = large.ours.p95 / small.ours.p95
        found[f"{name}_buffers_growth"] = large.buffers / small.buffers
    searches = [one.ours.p95 for one in figures if one.appeals == largest and one.name.startswith("search")]
    found["search_to_list"] = max(searches) / by_size["list", largest].ours.p95
    return found


def main() -> None:
    """Run `python -m bench.api [--quick] [--json]`; exit with 1 below a bar."""
    parser = argparse.ArgumentParser(prog="python -m bench.api")
    parser.add_argument("--quick", action="store_true", help="10,000 appeals only, fewer requests")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    options = parser.parse_args()
    figures = run(SIZES[:1], 40) if options.quick else run(SIZES, 400)
    ok = True
    for one in figures:
        ok = ok and one.ratio >= one.bar
        print(
            f"{one.name} of {one.appeals:,}: {one.ours.per_second:,.0f} per second, "
            f"floor {one.floor.per_second:,.0f}, ratio {one.ratio:.2f} (bar {one.bar}); "
            f"p95 {one.ours.p95 * 1000:.1f} ms, floor {one.floor.p95 * 1000:.1f} ms; {one.buffers:,} buffers"
        )
    grown = growth(figures)
    for name, value in grown.items():
        bar = SEARCH_BAR if name == "search_to_list" else GROWTH_BAR
        ok = ok and value < bar
        print(f"{name}: {value:.2f} (bar {bar})")
    if options.json:
        slowest = min((one for one in figures if not one.writes), key=lambda one: one.ratio)
        write = min((one for one in figures if one.writes), key=lambda one: one.ratio)
        result: dict[str, Any] = {
            "name": "api",
            "ratio": round(slowest.ratio, 3),
            "bar": READ_BAR,
            "write_ratio": round(write.ratio, 3),
            "write_bar": WRITE_BAR,
            "ok": ok,
            "floor": round(slowest.floor.per_second, 1),
            "ours": round(slowest.ours.per_second, 1),
            "unit": "requests/s",
            "runs": ROUNDS,
            **{name: round(value, 3) for name, value in grown.items()},
        }
        print(json.dumps(result))
    # A quick run only proves that the benchmark works; its figures are too noisy.
    sys.exit(0 if ok or options.quick else 1)


if __name__ == "__main__":
    main()
