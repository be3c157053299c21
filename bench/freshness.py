"""Mean delay until a poll finds a message: virtual time, 2,000 pages, 5,000 polls a day, maximum age 24 h.

Steady: rates are constant; the floor is the optimum for known rates (polls per page ∝ √rate, no maximum age), mean
delay (Σ√λ)² / (2·B·Σλ). Drifting: rates drift and follow a daily rhythm that differs between pages; the floor is
the same scheduler with the true rates. Our scheduler learns only from the results of its own polls, for three
weeks with steady rates and one week with drifting rates; then one week is measured, over all expected messages.
Lower is better. `--rates FILE`: messages a day, one number per line, one line per page.
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
POLLS_PER_DAY = 5_000
MAX_AGE_HOURS = 24.0
BAR, DRIFT_BAR = 1.05, 1.10
SIGMA = 1.5
MESSAGES_PER_DAY = 3_000  # of all pages together, as in production
STEADY_LEARN_DAYS, DRIFT_LEARN_DAYS, MEASURE_DAYS = 21, 7, 7
STEADY_DAYS, DRIFT_DAYS = STEADY_LEARN_DAYS + MEASURE_DAYS, DRIFT_LEARN_DAYS + MEASURE_DAYS
HOUR = DAY / HOURS
# The standard deviation of the daily drift of a page's log rate; each day the rate of one page in a hundred
# jumps by a factor of five.
DAILY_DRIFT, JUMP_PROBABILITY, JUMP_SIZE = 0.15, 0.01, math.log(5)
# Relative activity in the hours of a day, from midnight.
HOURLY_ACTIVITY = (2, 1, 1, 1, 1, 2, 4, 7, 9, 10, 10, 10, 11, 11, 10, 10, 11, 12, 13, 14, 14, 12, 8, 4)


class SimulatedPages:
    """Simulated pages with their true hourly rates; generates the messages written there."""

    def __init__(self, rates: Sequence[float], seed: int, days: int, *, drifting: bool) -> None:
        self._random = random.Random(seed)
        self.drifting = drifting
        self.hourly_rates = [[rate] * (days * HOURS) for rate in rates]
        self.profiles = [DailyProfile((1.0,) * HOURS)] * len(rates)
        if drifting:
            shifted = [DailyProfile(tuple(_shifted_activity(by))) for by in range(-2, 3)]
            self.profiles = [self._random.choice(shifted) for _ in rates]
            for page, rate in enumerate(rates):
                self.hourly_rates[page] = self._drifting_levels(rate, days * HOURS)

    def _drifting_levels(self, rate: float, hours: int) -> list[float]:
        spread, start = DAILY_DRIFT / math.sqrt(HOURS), math.log(max(rate, 1e-6))
        reversion = spread**2 / (2 * SIGMA**2)  # keeps the spread of the rates constant
        level, deviation, levels = start, 0.0, []
        for _ in range(hours):
            levels.append(math.exp(level))
            deviation += self._random.gauss(0, spread) - reversion * deviation
            if self._random.random() < JUMP_PROBABILITY / HOURS:
                deviation += self._random.choice((-JUMP_SIZE, JUMP_SIZE))
            level = start + deviation
        return levels

    def rate(self, page: int, time: float) -> float:
        """Return the messages per day of a page, without the daily rhythm."""
        levels = self.hourly_rates[page]
        return levels[min(int(time / HOUR), len(levels) - 1)]

    def written_between(self, page: int, start: float, end: float) -> tuple[list[float], float, float]:
        """Return the times of messages in an interval, their expected number and expected total wait (s)."""
        times: list[float] = []
        expected = waiting = 0.0
        share = self.profiles[page].share
        time = start
        gap = self._random.expovariate(1.0)
        while time < end:
            hour = int(time / HOUR + 1e-9)
            until = min((hour + 1) * HOUR, end)
            per_second = self.rate(page, hour * HOUR + 1) * share[hour % HOURS] / DAY
            expected_now = per_second * (until - time)
            expected += expected_now
            waiting += expected_now * (end - (time + until) / 2)
            passed = 0.0
            while gap <= expected_now - passed:
                passed += gap
                times.append(time + passed / per_second)
                gap = self._random.expovariate(1.0)
            gap -= expected_now - passed
            time = until
        return times, expected, waiting


def _shifted_activity(by: int) -> list[float]:
    mean = sum(HOURLY_ACTIVITY) / HOURS
    return [HOURLY_ACTIVITY[(hour + by) % HOURS] / mean for hour in range(HOURS)]


class TrueRates(RateModel):
    """A rate model that uses the true rates."""

    def __init__(self, pages: SimulatedPages) -> None:
        super().__init__()
        self._pages = pages
        self._page: dict[int, int] = {}
        self.now = 0.0
        if pages.drifting:
            self.common = DailyProfile(tuple(_shifted_activity(0)))

    def load_page(self, page: Hashable, state: dict[str, Any]) -> PageStatistics:
        """Load a page's statistics and remember which page they belong to."""
        memory = super().load_page(page, state)
        self._page[id(memory)] = int(str(page))
        return memory

    def rate(self, memory: PageStatistics) -> float:
        """Return the true rate now."""
        return self._pages.rate(self._page[id(memory)], self.now)

    def profile(self, memory: PageStatistics) -> DailyProfile:
        """Return the true daily profile of the page."""
        return self._pages.profiles[self._page[id(memory)]]

    def learn(self, memory: PageStatistics, since: float, now: float, found: Sequence[float]) -> None:
        """Store only the time: the true rates need no learning."""
        self.now = now

    def refit(self, memories: Sequence[PageStatistics]) -> None:
        """Do nothing: the true rates need no refit."""


@dataclass(frozen=True)
class Outcome:
    """The result of a run: mean delays of the expected and of the written messages, the longest time between two
    polls of a page (all in hours), and the largest number of polls in a day.
    """

    expected: float
    written: float
    oldest_hours: float
    most_polls: int


def simulate(simulated: SimulatedPages, learn_days: int, rates: RateModel | None = None) -> Outcome:
    """Simulate the scheduler; return the mean delays after `learn_days`, and the maxima of the whole run."""
    pages, days = len(simulated.profiles), learn_days + MEASURE_DAYS
    schedule = PollSchedule[int](POLLS_PER_DAY, max_age=MAX_AGE_HOURS * HOUR, rates=rates)
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
        found, expected, waiting = simulated.written_between(page, last[page], now)
        oldest = max(oldest, now - last[page])
        polls[int(now / DAY)] += 1
        last[page] = now
        schedule.record_poll(page, now, found)
        if now >= learn_days * DAY:
            mass, waited = mass + expected, waited + waiting
            delays.extend(now - moment for moment in found)
    oldest = max(oldest, days * DAY - min(last))
    return Outcome(waited / mass / HOUR, statistics.fmean(delays) / HOUR, oldest / HOUR, max(polls))


def draw_rates(seed: int, pages: int) -> list[float]:
    """Return log-normal rates in messages per day; their sum is the real load of this many pages."""
    source = random.Random(seed)
    rates = [source.lognormvariate(0, SIGMA) for _ in range(pages)]
    scale = MESSAGES_PER_DAY * pages / PAGES / sum(rates)
    return [rate * scale for rate in rates]


def optimal_delay(rates: Sequence[float]) -> float:
    """Return the minimal mean delay in hours for known rates, without a maximum age."""
    return sum(map(math.sqrt, rates)) ** 2 / (2 * POLLS_PER_DAY * sum(rates)) * HOURS


def read_rates(path: Path) -> list[float]:
    """Return the rates in a file: messages per day, one number per line."""
    rates = [float(line) for line in path.read_text().splitlines() if line.strip()]
    if not rates or min(rates) < 0 or max(rates) <= 0:
        sys.exit("--rates: one number per line, in messages per day, none negative and not all zero")
    return rates


def main() -> None:
    """Run `python -m bench.freshness`; exit with 1 if a bar or the maximum age is exceeded."""
    parser = argparse.ArgumentParser(prog="python -m bench.freshness", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one run instead of three")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    parser.add_argument(
        "--rates", type=Path, metavar="FILE", help="the messages per day of each page, one number per line"
    )
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    runs = 1 if args.quick else 3
    steady, drift, floors, ours, ages = [], [], [], [], []
    for seed in range(args.seed, args.seed + runs):
        rates = read_rates(args.rates) if args.rates else draw_rates(seed, PAGES)
        constant = simulate(SimulatedPages(rates, seed, STEADY_DAYS, drifting=False), STEADY_LEARN_DAYS)
        drifting_run = simulate(SimulatedPages(rates, seed, DRIFT_DAYS, drifting=True), DRIFT_LEARN_DAYS)
        simulated = SimulatedPages(rates, seed, DRIFT_DAYS, drifting=True)
        known_rates = simulate(simulated, DRIFT_LEARN_DAYS, TrueRates(simulated))
        floors.append(optimal_delay(rates))
        ours.append(constant.expected)
        steady.append(constant.expected / floors[-1])
        drift.append(drifting_run.expected / known_rates.expected)
        ages += [constant.oldest_hours, drifting_run.oldest_hours]
        print(
            f"seed {seed}: steady {constant.expected:.3f} h (written {constant.written:.3f}), "
            f"floor {floors[-1]:.3f} h, ratio {steady[-1]:.3f}; drifting {drifting_run.expected:.3f} h, "
            f"with true rates {known_rates.expected:.3f} h, "
            f"ratio {drift[-1]:.3f}; oldest {max(ages[-2:]):.2f} h; "
            f"most polls in a day {max(constant.most_polls, drifting_run.most_polls)}"
        )
    ratio, drift_ratio, oldest = statistics.median(steady), statistics.median(drift), max(ages)
    ok = ratio <= BAR and drift_ratio <= DRIFT_BAR and oldest <= MAX_AGE_HOURS
    print(
        f"freshness: ratio {ratio:.3f} (bar {BAR}), drifting {drift_ratio:.3f} (bar {DRIFT_BAR}), "
        f"oldest {oldest:.2f} h (maximum {MAX_AGE_HOURS:.0f} h), {'ok' if ok else 'BELOW THE BAR'}"
    )
    if args.json:
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
