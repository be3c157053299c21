"""When made-up citizens write, and about what: by week, weekday, hour, district and matter."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cli.demo.past.matters import DISTRICTS, MATTERS, Matter
from shared.clock import REGION_TIME_ZONE

_WEEKDAYS = (1.25, 1.15, 1.1, 1.0, 1.0, 0.7, 0.6)
# Relative activity by hour of the day: a peak in the morning, a higher peak after work.
_HOURS = (1, 0.5, 0.3, 0.2, 0.2, 0.5, 1.5, 3, 5, 7, 7, 6, 6, 5, 5, 5, 5, 6, 7, 8, 9, 8, 5, 2.5)
_COLD_MONTHS = frozenset({10, 11, 12, 1, 2, 3, 4})
_MEAN, _SPREAD, _LEAST, _MOST = 50, 8, 32, 66
# A heating failure in one district, on Tuesday and Wednesday: this many weeks before the last complete week.
_FAILURE_WEEKS_AGO, _FAILURE_APPEALS, _FAILURE_DISTRICT, _FAILURE_TOPIC = 3, 16, "adm-selenga", "utilities.11"


@dataclass(frozen=True)
class Occasion:
    """When a citizen writes, from which district, and about what."""

    at: datetime
    district: str
    matter: Matter


def monday_of(moment: datetime) -> datetime:
    """Return the local midnight of the Monday that starts the week of the moment."""
    local = moment.astimezone(REGION_TIME_ZONE)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight - timedelta(days=midnight.weekday())


def occasions(rng: random.Random, districts: Sequence[str], now: datetime, weeks: int) -> list[Occasion]:
    """Return the occasions of the last complete weeks and of the current one until now, oldest first."""
    this_week = monday_of(now)
    found = [
        one
        for ago in range(weeks, -1, -1)
        for one in _week(rng, districts, this_week - timedelta(weeks=ago), failure=ago == _failure_week(weeks))
    ]
    return sorted((one for one in found if one.at < now), key=lambda one: one.at)


def _failure_week(weeks: int) -> int:
    return min(_FAILURE_WEEKS_AGO + 1, weeks)


def _week(rng: random.Random, districts: Sequence[str], monday: datetime, *, failure: bool) -> Iterator[Occasion]:
    weights = [DISTRICTS[code][0] for code in districts]
    for _ in range(round(min(max(rng.gauss(_MEAN, _SPREAD), _LEAST), _MOST))):
        at = _moment(rng, monday, rng.choices(range(7), _WEEKDAYS)[0])
        yield Occasion(at, rng.choices(districts, weights)[0], _matter(rng, at))
    if failure and _FAILURE_DISTRICT in districts:
        heat = next(matter for matter in MATTERS if matter.topic == _FAILURE_TOPIC)
        for _ in range(_FAILURE_APPEALS):
            yield Occasion(_moment(rng, monday, rng.choices((1, 2), (3, 1))[0]), _FAILURE_DISTRICT, heat)


def _moment(rng: random.Random, monday: datetime, day: int) -> datetime:
    # `timedelta(days=…)` adds local days: the region has no daylight saving time.
    hour = rng.choices(range(24), _HOURS)[0]
    return monday + timedelta(days=day, hours=hour, seconds=rng.randrange(3600))


def _matter(rng: random.Random, at: datetime) -> Matter:
    cold = at.month in _COLD_MONTHS
    weights = [matter.weight if cold or not matter.only_cold else 0 for matter in MATTERS]
    return rng.choices(MATTERS, weights)[0]
