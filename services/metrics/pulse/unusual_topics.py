"""Unusual topics by location, and whether a whole day was unusual: the rate test applied to counts of appeals.

Pure functions. Docs: docs/moderator/pulse.md.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from services.metrics.pulse.rate_test import Array, expect_next_day

# The length of the history in weeks, and the number of days below which nothing is compared.
WEEKS = 12
MIN_HISTORY_DAYS = 28
# The threshold allows this many false alarms per year over all pairs together.
FALSE_ALARMS_PER_YEAR = 0.2
# A topic is listed only if at least this many people wrote about it, and at least this many times as many as
# usual.
MIN_PEOPLE, MIN_RATIO = 5, 2.0
# A day is calmer or tenser than usual if a count this low or this high has at most this probability.
UNUSUAL_DAY = 0.025

Level = Literal["calmer", "usual", "tenser", "unknown"]
Pair = tuple[str, UUID]
Indexes = NDArray[np.int_]


@dataclass(frozen=True, slots=True)
class DayCount:
    """The appeals of a day with one municipality and topic group (None: unknown), and the number of their
    authors.
    """

    day: date
    municipality: str | None
    topic_group_id: UUID | None
    appeals: int
    people: int


@dataclass(frozen=True, slots=True)
class UnusualTopic:
    """A topic group in a municipality about which far more people wrote than is usual on this weekday."""

    municipality: str
    topic_group_id: UUID
    appeals: int
    people: int
    expected: float
    probability: float


@dataclass(frozen=True, slots=True)
class DayVerdict:
    """Whether the day was calmer or tenser than usual. `expected` is None if the history is too short."""

    level: Level
    appeals: int
    expected: float | None


@dataclass(frozen=True, slots=True)
class Unusual:
    """The result for a day: the verdict, and unusual topics, least probable first."""

    verdict: DayVerdict
    topics: tuple[UnusualTopic, ...]
    pairs_tested: int
    history_days: int


def first_day_of_history(day: date) -> date:
    """Return the first day of the history of a day."""
    return day - timedelta(weeks=WEEKS)


def find_unusual(day: date, counts: Iterable[DayCount]) -> Unusual:
    """Return what was unusual on the day, compared with the counts of the `WEEKS` before it.

    The history begins on the first day with an appeal: nothing was collected before.
    """
    start = first_day_of_history(day)
    seen = [count for count in counts if start <= count.day <= day]
    past = [count.day for count in seen if count.day < day]
    days = (day - min(past)).days if past else 0
    verdict = _verdict(day, seen, days)
    if days < MIN_HISTORY_DAYS:
        return Unusual(verdict, (), 0, days)
    topics, tested = _unusual_topics(day, seen, days)
    return Unusual(verdict, topics, tested, days)


def _verdict(day: date, seen: Sequence[DayCount], days: int) -> DayVerdict:
    appeals = sum(count.appeals for count in seen if count.day == day)
    if days < MIN_HISTORY_DAYS:
        return DayVerdict("unknown", appeals, None)
    history = np.zeros((1, days))
    for count in seen:
        if count.day < day:
            history[0, days - (day - count.day).days] += count.appeals
    expected = expect_next_day(history, _weekdays(day, days), day.weekday())
    level: Level = "usual"
    if expected.at_least(np.array([float(appeals)]))[0] <= UNUSUAL_DAY:
        level = "tenser"
    elif expected.at_most(np.array([float(appeals)]))[0] <= UNUSUAL_DAY:
        level = "calmer"
    return DayVerdict(level, appeals, float(expected.mean[0]))


def _unusual_topics(day: date, seen: Sequence[DayCount], days: int) -> tuple[tuple[UnusualTopic, ...], int]:
    by_pair: dict[Pair, list[DayCount]] = defaultdict(list)
    for count in seen:
        if count.municipality is not None and count.topic_group_id is not None:
            by_pair[count.municipality, count.topic_group_id].append(count)
    if not by_pair:
        return (), 0
    pairs = sorted(by_pair, key=lambda pair: (pair[0], str(pair[1])))
    history, today = np.zeros((len(pairs), days)), np.zeros(len(pairs))
    appeals = np.zeros(len(pairs), dtype=int)
    for row, pair in enumerate(pairs):
        for count in by_pair[pair]:
            if count.day == day:
                today[row], appeals[row] = count.people, count.appeals
            else:
                history[row, days - (day - count.day).days] = count.people
    municipalities = np.unique([pair[0] for pair in pairs], return_inverse=True)[1]
    groups = np.unique([str(pair[1]) for pair in pairs], return_inverse=True)[1]
    found, expected, probability = flag_unusual(
        history, today, municipalities, groups, [*_weekdays(day, days), day.weekday()]
    )
    topics = [
        UnusualTopic(
            municipality=pairs[row][0],
            topic_group_id=pairs[row][1],
            appeals=int(appeals[row]),
            people=int(today[row]),
            expected=float(expected[row]),
            probability=float(probability[row]),
        )
        for row in np.flatnonzero(found)
    ]
    return tuple(sorted(topics, key=lambda topic: (topic.probability, topic.municipality))), len(pairs)


def flag_unusual(
    history: Array, today: Array, municipalities: Indexes, groups: Indexes, weekdays: Sequence[int]
) -> tuple[NDArray[np.bool_], Array, Array]:
    """Return, by pair, whether it is unusual today, the expected count, and the probability of a count this high.

    `history` has a row for each pair and a column for each day; `municipalities` and `groups` have the index of
    each pair's municipality and topic group; `weekdays` (0 to 6) are those of the history and of today.
    """
    # The prior of a pair comes from the totals of its topic and municipality, as if they were independent.
    totals = history.sum(axis=1)
    of_group, of_municipality = np.bincount(groups, totals)[groups], np.bincount(municipalities, totals)
    prior = of_group * of_municipality[municipalities] / max(float(totals.sum()), 1.0) / history.shape[1]
    *past, weekday = weekdays
    expected = expect_next_day(history, past, weekday, prior, groups)
    probability = expected.at_least(today)
    threshold = FALSE_ALARMS_PER_YEAR / 365 / len(history)
    found = (probability <= threshold) & (today >= MIN_PEOPLE) & (today >= MIN_RATIO * expected.mean)
    return found, expected.mean, probability


def _weekdays(day: date, days: int) -> list[int]:
    return [(day - timedelta(days=back)).weekday() for back in range(days, 0, -1)]
