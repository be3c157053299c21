"""How long people wait until a poll finds them: virtual time, 2,000 pages, 5,000 polls a day, none above 24 h.

Steady: rates are constant; the floor is the optimum for known rates (polls per page ∝ √rate, no ceiling), mean
delay (Σ√λ)² / (2·B·Σλ). Drifting: rates drift, and there is day and night, not the same for all pages; the floor
is the same scheduler told the true rates. Ours learns from nothing but what its own polls find: three
weeks where rates are steady, one where they drift; the week after is measured, over all that may be written in it.
Less is better. `--rates FILE`: messages a day, one number a line, one line a page.
"""

import argparse
import json
import math
import random
import statistics
import sys
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.ingest.polling.arrival_rates import DAY, HOURS, DailyProfile, PageStatistics, RateModel
from services.ingest.polling.poll_schedule import PollSchedule

PAGES = 2_000
POLLS_A_DAY = 5_000
CEILING_HOURS = 24.0
BAR, DRIFT_BAR = 1.05, 1.10
SIGMA = 1.5
MESSAGES_A_DAY = 3_000  # over all pages: real load
STEADY_LEARN_DAYS, DRIFT_LEARN_DAYS, MEASURE_DAYS = 21, 7, 7
STEADY_DAYS, DRIFT_DAYS = STEADY_LEARN_DAYS + MEASURE_DAYS, DRIFT_LEARN_DAYS + MEASURE_DAYS
HOUR = DAY / HOURS
# The logarithm of a page's rate wanders by this much in a day, and every day a page in a hundred jumps fivefold.
WANDER, JUMPS, JUMP = 0.15, 0.01, math.log(5)
# How busy the hours of a day are, from midnight on.
DAY_AND_NIGHT = (2, 1, 1, 1, 1, 2, 4, 7, 9, 10, 10, 10, 11, 11, 10, 10, 11, 12, 13, 14, 14, 12, 8, 4)


class World:
    """What really happens: the rate of each page in each hour, and what is written there."""

    def __init__(self, rates: Sequence[float], seed: int, days: int, *, drifting: bool) -> None:
        self._random = random.Random(seed)
        self.drifting = drifting
        self.levels = [[rate] * (days * HOURS) for rate in rates]
        self.profiles = [DailyProfile((1.0,) * HOURS)] * len(rates)
        if drifting:
            shifted = [DailyProfile(tuple(_shift(by))) for by in range(-2, 3)]
            self.profiles = [self._random.choice(shifted) for _ in rates]
            for page, rate in enumerate(rates):
                self.levels[page] = self._wander(rate, days * HOURS)

    def _wander(self, rate: float, hours: int) -> list[float]:
        spread, start = WANDER / math.sqrt(HOURS), math.log(max(rate, 1e-6))
        back = spread**2 / (2 * SIGMA**2)  # keeps the spread of the rates what it is
        level, away, levels = start, 0.0, []
        for _ in range(hours):
            levels.append(math.exp(level))
            away += self._random.gauss(0, spread) - back * away
            if self._random.random() < JUMPS / HOURS:
                away += self._random.choice((-JUMP, JUMP))
            level = start + away
        return levels

    def rate(self, page: int, moment: float) -> float:
        """Messages a day of the page, its day and night left out."""
        levels = self.levels[page]
        return levels[min(int(moment / HOUR), len(levels) - 1)]

    def between(self, page: int, start: float, end: float) -> tuple[list[float], float, float]:
        """What people write in a time: the moments; how many are expected, and their waiting until its end."""
        moments: list[float] = []
        expected = waiting = 0.0
        share = self.profiles[page].share
        moment = start
        gap = self._random.expovariate(1.0)
        while moment < end:
            hour = int(moment / HOUR + 1e-9)
            upto = min((hour + 1) * HOUR, end)
            a_second = self.rate(page, hour * HOUR + 1) * share[hour % HOURS] / DAY
            mass = a_second * (upto - moment)
            expected += mass
            waiting += mass * (end - (moment + upto) / 2)
            passed = 0.0
            while gap <= mass - passed:
                passed += gap
                moments.append(moment + passed / a_second)
                gap = self._random.expovariate(1.0)
            gap -= mass - passed
            moment = upto
        return moments, expected, waiting


def _shift(by: int) -> list[float]:
    mean = sum(DAY_AND_NIGHT) / HOURS
    return [DAY_AND_NIGHT[(hour + by) % HOURS] / mean for hour in range(HOURS)]


class Told(RateModel):
    """Knows the true rates instead of learning them."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world
        self._page: dict[int, int] = {}
        self.now = 0.0
        if world.drifting:
            self.common = DailyProfile(tuple(_shift(0)))

    def load_page(self, page: Hashable, state: dict[str, Any]) -> PageStatistics:
        """Remember whose memory it is."""
        memory = super().load_page(page, state)
        self._page[id(memory)] = int(str(page))
        return memory

    def rate(self, memory: PageStatistics) -> float:
        """The true rate now."""
        return self._world.rate(self._page[id(memory)], self.now)

    def profile(self, memory: PageStatistics) -> DailyProfile:
        """The true day of the page."""
        return self._world.profiles[self._page[id(memory)]]

    def learn(self, memory: PageStatistics, since: float, now: float, found: Sequence[float]) -> None:
        """Nothing to learn."""
        self.now = now

    def refit(self, memories: Sequence[PageStatistics]) -> None:
        """Nothing to learn."""


@dataclass(frozen=True)
class Outcome:
    """What a run gave: the mean delay in hours, of what is expected and of what was really written."""

    expected: float
    written: float
    oldest_hours: float
    most_polls: int


def simulate(world: World, learn_days: int, rates: RateModel | None = None) -> Outcome:
    """Run the scheduler through the days and measure those after the learning."""
    pages, days = len(world.profiles), learn_days + MEASURE_DAYS
    schedule = PollSchedule[int](POLLS_A_DAY, max_age=CEILING_HOURS * HOUR, rates=rates)
    for number in range(pages):
        schedule.add(number)
    last = [0.0] * pages
    polls = [0] * (days + 1)
    now = oldest = mass = waited = 0.0
    delays: list[float] = []
    while now < days * DAY:
        if (page := schedule.next_page(now)) is None:
            now += schedule.seconds_until_next(now)
            continue
        found, expected, waiting = world.between(page, last[page], now)
        oldest = max(oldest, now - last[page])
        polls[int(now / DAY)] += 1
        last[page] = now
        schedule.record_poll(page, now, found)
        if now >= learn_days * DAY:
            mass, waited = mass + expected, waited + waiting
            delays.extend(now - moment for moment in found)
    oldest = max(oldest, days * DAY - min(last))
    return Outcome(waited / mass / HOUR, statistics.fmean(delays) / HOUR, oldest / HOUR, max(polls))


def drawn(seed: int, pages: int) -> list[float]:
    """Log-normal rates, messages a day, whose sum is the real load of as many pages."""
    source = random.Random(seed)
    rates = [source.lognormvariate(0, SIGMA) for _ in range(pages)]
    scale = MESSAGES_A_DAY * pages / PAGES / sum(rates)
    return [rate * scale for rate in rates]


def optimum(rates: Sequence[float]) -> float:
    """The least mean delay in hours for known rates, whatever grows old."""
    return sum(map(math.sqrt, rates)) ** 2 / (2 * POLLS_A_DAY * sum(rates)) * HOURS


def read_rates(path: Path) -> list[float]:
    """Messages a day, one number a line."""
    rates = [float(line) for line in path.read_text().splitlines() if line.strip()]
    if not rates or min(rates) < 0 or max(rates) <= 0:
        sys.exit("--rates: one number a line, messages a day, none negative, not all zero")
    return rates


def main() -> None:
    """Command line; exit 1 when a bar or the ceiling is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench.freshness", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one run instead of three")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    parser.add_argument("--rates", type=Path, metavar="FILE", help="one number a line, messages a day")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    runs = 1 if asked.quick else 3
    steady, drift, floors, ours, ages = [], [], [], [], []
    for seed in range(asked.seed, asked.seed + runs):
        rates = read_rates(asked.rates) if asked.rates else drawn(seed, PAGES)
        calm = simulate(World(rates, seed, STEADY_DAYS, drifting=False), STEADY_LEARN_DAYS)
        moving = simulate(World(rates, seed, DRIFT_DAYS, drifting=True), DRIFT_LEARN_DAYS)
        world = World(rates, seed, DRIFT_DAYS, drifting=True)
        told = simulate(world, DRIFT_LEARN_DAYS, Told(world))
        floors.append(optimum(rates))
        ours.append(calm.expected)
        steady.append(calm.expected / floors[-1])
        drift.append(moving.expected / told.expected)
        ages += [calm.oldest_hours, moving.oldest_hours]
        print(
            f"seed {seed}: steady {calm.expected:.3f} h (written {calm.written:.3f}), floor {floors[-1]:.3f} h, "
            f"ratio {steady[-1]:.3f}; drifting {moving.expected:.3f} h, told {told.expected:.3f} h, "
            f"ratio {drift[-1]:.3f}; oldest {max(ages[-2:]):.2f} h; "
            f"most polls in a day {max(calm.most_polls, moving.most_polls)}"
        )
    ratio, drift_ratio, oldest = statistics.median(steady), statistics.median(drift), max(ages)
    ok = ratio <= BAR and drift_ratio <= DRIFT_BAR and oldest <= CEILING_HOURS
    print(
        f"freshness: ratio {ratio:.3f} (bar {BAR}), drifting {drift_ratio:.3f} (bar {DRIFT_BAR}), "
        f"oldest {oldest:.2f} h (ceiling {CEILING_HOURS:.0f} h), {'ok' if ok else 'BELOW THE BAR'}"
    )
    if asked.json:
        result = {
            "name": "freshness",
            "ratio": round(ratio, 3),
            "bar": BAR,
            "ok": ok,
            "floor": round(statistics.median(floors), 3),
            "ours": round(statistics.median(ours), 3),
            "unit": "hours of mean delay",
            "runs": runs,
            "drift_ratio": round(drift_ratio, 3),
            "drift_bar": DRIFT_BAR,
            "oldest_hours": round(oldest, 2),
        }
        print(json.dumps(result))
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
