"""Unusual topics by location: quiet years give hardly any alarms, bursts do."""

from collections.abc import Callable
from datetime import date, timedelta
from uuid import UUID

import numpy as np
import pytest

from services.metrics.pulse.rate_test import Array, expect_next_day
from services.metrics.pulse.unusual_topics import WEEKS, DayCount, Indexes, Unusual, find_unusual, flag_unusual

DAY = date(2026, 11, 24)  # a Tuesday
GROUPS, MUNICIPALITIES = 12, 12
HISTORY_DAYS, DAYS = 7 * WEEKS, 7 * (WEEKS + 52)


def topic(number: int) -> UUID:
    return UUID(int=number)


def steady(daily: Callable[[date], int], *, days: int = HISTORY_DAYS, municipality: str = "81") -> list[DayCount]:
    """Return counts of one topic and municipality on each of the days before `DAY`."""
    past = [DAY - timedelta(days=back) for back in range(1, days + 1)]
    return [DayCount(day, municipality, topic(1), daily(day), daily(day)) for day in past if daily(day)]


def today(people: int, *, municipality: str | None = "81", appeals: int | None = None) -> DayCount:
    return DayCount(DAY, municipality, topic(1), people if appeals is None else appeals, people)


def quiet_region(seed: int) -> tuple[Array, Indexes]:
    """Return made-up counts by pair and day, and the topic groups of the pairs.

    Some topics and municipalities are far more frequent than others, each topic has its own weekly pattern, and
    the rate of a day is that of its weekday times a gamma factor of variance 0.05 to 0.4.
    """
    rng = np.random.default_rng(seed)
    shares = np.outer(rng.dirichlet(np.full(GROUPS, 0.7)), rng.dirichlet(np.full(MUNICIPALITIES, 0.7))).ravel()
    rates = 100 * shares * rng.lognormal(0, 0.5, shares.size)
    weekdays = np.array([1.15, 1.15, 1.1, 1.1, 1.0, 0.7, 0.6]) * rng.lognormal(0, 0.15, (GROUPS, 7))
    variance = np.repeat(rng.uniform(0.05, 0.4, GROUPS), MUNICIPALITIES)[:, None]
    groups = np.repeat(np.arange(GROUPS), MUNICIPALITIES)
    mean = rates[:, None] * weekdays[groups][:, np.arange(DAYS) % 7]
    return rng.poisson(mean * rng.gamma(1 / variance, variance, mean.shape)).astype(float), groups


@pytest.mark.parametrize("seed", range(4))
def test_52_quiet_weeks_raise_at_most_two_alarms(seed: int) -> None:
    counts, groups = quiet_region(seed)
    municipalities = np.tile(np.arange(MUNICIPALITIES), GROUPS)
    alarms = tested = 0
    for today in range(HISTORY_DAYS, DAYS):
        history = counts[:, today - HISTORY_DAYS : today]
        weekdays = [day % 7 for day in range(today - HISTORY_DAYS, today + 1)]
        # Pairs without any appeals are not tested.
        seen = (history.sum(axis=1) + counts[:, today]) > 0
        found, _, _ = flag_unusual(
            history[seen], counts[seen, today], municipalities[seen], groups[seen], weekdays
        )
        alarms += int(found.sum())
        tested += int(seen.sum())
    assert tested > 364 * 60
    assert alarms <= 2


def unusual(counts: list[DayCount]) -> Unusual:
    return find_unusual(DAY, counts)


def test_four_times_as_many_people_as_on_other_tuesdays_are_unusual() -> None:
    usual = steady(lambda day: 6 if day.weekday() < 5 else 2)
    elsewhere = steady(lambda day: 5 if day.weekday() < 5 else 2, municipality="82")
    (found,) = unusual([*usual, *elsewhere, today(24), today(5, municipality="82")]).topics
    assert (found.municipality, found.topic_group_id, found.people) == ("81", topic(1), 24)
    assert found.expected == pytest.approx(6, abs=0.5)
    assert found.probability < 1e-5


def test_usual_count_of_the_weekday_is_not_unusual() -> None:
    """24 people are four times the mean of all days, but usual on a Tuesday."""
    usual = steady(lambda day: 24 if day.weekday() == 1 else 2)
    assert unusual([*usual, today(24)]).topics == ()
    (found,) = unusual([*steady(lambda _: 5), today(24)]).topics
    assert found.people == 24


def test_first_appeals_of_a_topic_in_a_municipality_are_unusual_if_five_people_write() -> None:
    usual = steady(lambda _: 4, municipality="82")
    assert unusual([*usual, today(4)]).topics == ()
    (found,) = unusual([*usual, today(5)]).topics
    assert found.people == 5
    assert found.expected < 0.1


def test_many_appeals_of_few_people_are_not_unusual() -> None:
    usual = steady(lambda _: 1)
    assert unusual([*usual, today(2, appeals=40)]).topics == ()


def test_high_count_is_usual_if_past_counts_vary_widely() -> None:
    """The mean is 6, but every sixth day has 21."""
    calm = steady(lambda _: 6)
    varied = steady(lambda day: 21 if day.toordinal() % 6 == 0 else 3)
    assert [found.people for found in unusual([*calm, today(22)]).topics] == [22]
    assert unusual([*varied, today(22)]).topics == ()


def test_past_burst_does_not_hide_the_next_one() -> None:
    usual = steady(lambda day: 60 if day == DAY - timedelta(days=7) else 5)
    (found,) = unusual([*usual, today(24)]).topics
    assert found.expected == pytest.approx(5, rel=0.25)


def test_appeals_without_municipality_or_topic_count_only_in_the_total_of_the_day() -> None:
    usual = steady(lambda _: 5)
    found = unusual([*usual, today(40, municipality=None), DayCount(DAY, "81", None, 40, 40)])
    assert (found.topics, found.pairs_tested) == ((), 1)
    assert found.verdict.level == "tenser"


@pytest.mark.parametrize(("appeals", "level"), [(20, "usual"), (24, "usual"), (60, "tenser"), (4, "calmer")])
def test_day_is_compared_with_its_weekday(appeals: int, level: str) -> None:
    usual = steady(lambda day: 20 if day.weekday() < 5 else 4)
    verdict = unusual([*usual, today(appeals)]).verdict
    assert (verdict.level, verdict.appeals) == (level, appeals)
    assert verdict.expected == pytest.approx(20, abs=1.5)


def test_quiet_sunday_is_usual_although_far_below_the_mean() -> None:
    sunday = DAY - timedelta(days=2)
    usual = [count for count in steady(lambda day: 20 if day.weekday() < 5 else 4) if count.day < sunday]
    found = find_unusual(sunday, [*usual, DayCount(sunday, "81", topic(1), 4, 4)])
    assert found.verdict.level == "usual"


@pytest.mark.parametrize(("days", "compared"), [(0, False), (27, False), (28, True)])
def test_days_are_not_compared_with_less_than_four_weeks_of_history(days: int, compared: bool) -> None:
    found = unusual([*steady(lambda _: 5, days=days), today(50)])
    assert found.history_days == days
    assert (found.verdict.level == "tenser", bool(found.topics)) == (compared, compared)
    assert (found.verdict.level == "unknown", found.verdict.expected is None) == (not compared, not compared)


def test_days_outside_the_history_do_not_count() -> None:
    usual = steady(lambda _: 5)
    older = DayCount(DAY - timedelta(days=HISTORY_DAYS + 1), "81", topic(1), 5000, 5000)
    later = DayCount(DAY + timedelta(days=1), "81", topic(1), 5000, 5000)
    assert unusual([older, later, *usual, today(24)]) == unusual([*usual, today(24)])


def test_day_without_any_appeals_has_no_unusual_topics() -> None:
    found = unusual([])
    assert (found.topics, found.history_days, found.verdict.appeals) == ((), 0, 0)


def test_probability_equals_that_of_the_negative_binomial_distribution() -> None:
    expected = expect_next_day(np.full((1, 70), 4.0), [day % 7 for day in range(70)], 0)
    mean, size = float(expected.mean[0]), float(expected.size[0])
    assert mean == pytest.approx(4)
    # Σ of the probabilities of 0, 1, 2 …, each computed from the previous one.
    share, term = mean / (mean + size), (size / (mean + size)) ** size
    below = 0.0
    for count in range(12):
        assert expected.at_least(np.array([float(count)]))[0] == pytest.approx(1 - below, abs=1e-12)
        below += term
        assert expected.at_most(np.array([float(count)]))[0] == pytest.approx(below, abs=1e-12)
        term *= share * (size + count) / (count + 1)
