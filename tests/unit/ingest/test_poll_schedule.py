"""The poll schedule: distribution of polls, learning, budget and maximum age."""

import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from services.ingest.polling.arrival_rates import DAY, HOURS, PageStatistics, RateModel, TimeWarp
from services.ingest.polling.budget_pacing import BudgetPacer
from services.ingest.polling.poll_schedule import PollSchedule

Writes = Callable[[int, float, float], Sequence[float]]
START = 20_000 * DAY


def nothing(_page: int, _since: float, _now: float) -> Sequence[float]:
    return []


def regular(rates: Sequence[float]) -> Writes:
    """Return a function that returns the times of messages, at even intervals by the rate of each page."""

    def writes(page: int, since: float, now: float) -> Sequence[float]:
        gap = DAY / rates[page]
        first = int(since // gap) + 1
        return [number * gap for number in range(first, int(now // gap) + 1)]

    return writes


def simulate(
    schedule: PollSchedule[int], days: float, writes: Writes = nothing, start: float = START
) -> tuple[Counter[int], Counter[int], dict[int, float]]:
    """Poll as the schedule allows; return polls by page and by day, and the longest pause of each page."""
    by_page: Counter[int] = Counter()
    by_day: Counter[int] = Counter()
    last: dict[int, float] = {}
    oldest: dict[int, float] = {}
    now = start
    while now < start + days * DAY:
        page = schedule.next_page(now)
        if page is None:
            rest = schedule.seconds_until_next(now)
            assert rest > 0
            now += rest
            continue
        since = last.get(page, now)
        oldest[page] = max(oldest.get(page, 0.0), now - since)
        schedule.record_poll(page, now, writes(page, since, now))
        last[page] = now
        by_page[page] += 1
        by_day[int((now - start) // DAY)] += 1
    return by_page, by_day, oldest


def schedule_of(pages: int, polls_a_day: float, ceiling: float = DAY) -> PollSchedule[int]:
    schedule = PollSchedule[int](polls_a_day, max_age=ceiling)
    for page in range(pages):
        schedule.add(page)
    return schedule


def test_polls_are_proportional_to_square_root_of_rate() -> None:
    rates = [64.0] * 5 + [16.0] * 5 + [4.0] * 5
    schedule = schedule_of(15, 300)
    simulate(schedule, 10, regular(rates))
    by_page, _, _ = simulate(schedule, 10, regular(rates), START + 10 * DAY)
    busy, middle, quiet = (sum(by_page[page] for page in range(n, n + 5)) for n in (0, 5, 10))
    assert busy / middle == pytest.approx(2, rel=0.15)
    assert middle / quiet == pytest.approx(2, rel=0.2)


def test_daily_polls_stay_within_and_near_budget() -> None:
    schedule = schedule_of(100, 400)
    _, by_day, _ = simulate(schedule, 5, regular([1.0 + page % 7 for page in range(100)]))
    assert max(by_day.values()) <= 400
    assert min(by_day[day] for day in range(1, 5)) >= 390


def test_no_page_exceeds_max_age() -> None:
    schedule = schedule_of(200, 500)
    rates = [400.0] * 20 + [0.01] * 180
    _, _, oldest = simulate(schedule, 6, regular(rates))
    assert max(oldest.values()) <= DAY


def test_budget_too_small_for_max_age_is_reported_and_shared() -> None:
    schedule = schedule_of(50, 25)
    by_page, _, _ = simulate(schedule, 6)
    assert not schedule.forecast(START + 6 * DAY).meets_max_age
    assert max(by_page.values()) - min(by_page.values()) <= 1


def test_new_pages_are_due_at_once_and_a_prioritized_page_comes_first() -> None:
    schedule = schedule_of(3, 100)
    seen = {schedule.next_page(START) for _ in range(2)}
    for page in seen:
        assert page is not None
        schedule.record_poll(page, START)
    assert seen <= {0, 1, 2}
    simulate(schedule, 1)
    now = START + DAY
    schedule.prioritize(2)
    assert schedule.seconds_until_next(now) == 0
    assert schedule.next_page(now) == 2


def test_prioritized_pages_cannot_spend_whole_budget() -> None:
    schedule = schedule_of(1, 100)
    simulate(schedule, 1)
    spent = 0
    for _ in range(100):
        schedule.prioritize(0)
        if (page := schedule.next_page(START + DAY)) is None:
            break
        schedule.record_poll(page, START + DAY)
        spent += 1
    assert 0 < spent <= 25


def test_flood_of_prioritized_pages_leaves_polls_to_a_due_page() -> None:
    schedule = schedule_of(100, 200)
    simulate(schedule, 2)
    now, polls = START + 2 * DAY, Counter[int]()
    while now < START + 3 * DAY:
        for page in range(1, 100):
            schedule.prioritize(page)
        if (found := schedule.next_page(now)) is None:
            now += 60
            continue
        schedule.record_poll(found, now)
        polls[found] += 1
    assert polls[0] >= 1
    assert polls.total() <= 200


def test_page_being_polled_is_not_due_and_a_failed_page_waits() -> None:
    schedule = schedule_of(1, 1_000)
    assert schedule.next_page(START) == 0
    assert schedule.next_page(START + 600) is None
    schedule.record_failure(0, START + 600, 300)
    assert schedule.next_page(START + 899) is None
    assert schedule.next_page(START + 901) == 0


def test_page_may_be_removed_while_it_is_polled() -> None:
    schedule = schedule_of(2, 1_000)
    page = schedule.next_page(START)
    assert page is not None
    schedule.remove(page)
    schedule.record_poll(page, START + 1)
    schedule.prioritize(page)
    assert page not in schedule
    assert schedule.next_page(START + 1) == 1 - page


def test_state_survives_restart_as_json() -> None:
    rates = [50.0, 2.0, 0.2]
    schedule = schedule_of(3, 200)
    simulate(schedule, 8, regular(rates))
    again = PollSchedule[int](200)
    for page in range(3):
        again.add(page, json.loads(json.dumps(schedule.dump(page))))
    again.next_page(START + 8 * DAY)
    for page in range(3):
        before, after = schedule.page_forecast(page), again.page_forecast(page)
        assert after.messages_per_day == pytest.approx(before.messages_per_day, rel=0.2)
        assert after.last_at == before.last_at


def test_invalid_state_is_treated_as_new_page() -> None:
    states: list[dict[str, Any]] = [{"seen": "x"}, {"at": 5.0, "seen": [1]}, {"hours": []}]
    for state in states:
        memory = PageStatistics.load(state)
        assert memory.at is None
        assert not any(memory.seen)


def test_increased_rate_is_followed_within_a_day() -> None:
    schedule = schedule_of(40, 400)
    simulate(schedule, 14, regular([1.0] * 40))
    assert schedule.page_forecast(7).messages_per_day < 3
    awake = [1.0] * 40
    awake[7] = 60.0
    simulate(schedule, 1.5, regular(awake), START + 14 * DAY)
    assert schedule.page_forecast(7).messages_per_day > 20


def test_busy_hours_get_more_polls() -> None:
    source = random.Random(5)
    schedule = schedule_of(30, 600)

    def by_day(page: int, since: float, now: float) -> Sequence[float]:
        hours = (hour for hour in range(int(since // 3_600) + 1, int(now // 3_600) + 1) if 9 <= hour % HOURS < 21)
        return [hour * 3_600.0 + source.random() for hour in hours if hour * 3_600 + 1 <= now]

    simulate(schedule, 6, by_day)
    now, day, night = START + 6 * DAY, 0, 0
    while now < START + 7 * DAY:
        page = schedule.next_page(now)
        if page is None:
            now += schedule.seconds_until_next(now)
            continue
        schedule.record_poll(page, now, by_day(page, now - 3_600, now))
        hour = int(now % DAY // 3_600)
        day, night = day + (9 <= hour < 21), night + (not 9 <= hour < 21)
    assert day > 2 * night


def test_forecast_matches_simulation() -> None:
    rates = [24.0] * 10 + [2.0] * 30
    schedule = schedule_of(40, 300)
    simulate(schedule, 10, regular(rates))
    now = START + 10 * DAY
    forecast = schedule.forecast(now)
    waits: list[float] = []
    last = {page: schedule.page_forecast(page).last_at or now for page in range(40)}
    while now < START + 14 * DAY:
        page = schedule.next_page(now)
        if page is None:
            now += schedule.seconds_until_next(now)
            continue
        found = regular(rates)(page, last[page], now)
        waits += [now - moment for moment in found]
        schedule.record_poll(page, now, found)
        last[page] = now
    assert forecast.pages == 40
    assert forecast.left_today + forecast.used_today == pytest.approx(300, abs=1)
    assert forecast.mean_delay_seconds == pytest.approx(sum(waits) / len(waits), rel=0.2)


def test_smaller_budget_applies_at_once() -> None:
    schedule = schedule_of(20, 1_000)
    simulate(schedule, 0.5)
    schedule.set_budget(100)
    by_page, _, _ = simulate(schedule, 0.5, start=START + 0.5 * DAY)
    assert 30 <= by_page.total() <= 60
    schedule.set_budget(0)
    assert schedule.next_page(START + 1.2 * DAY) is None
    assert schedule.seconds_until_next(START + 1.2 * DAY) > 0
    schedule.set_budget(100)
    by_page, _, _ = simulate(schedule, 0.4, start=START + 1.2 * DAY)
    assert by_page.total() <= 50, "missed polls must not be made up for"


def test_first_poll_learns_from_history() -> None:
    rates = RateModel()
    schedule = PollSchedule[str](100, rates=rates)
    schedule.add("busy")
    schedule.add("quiet")
    for _ in range(2):
        page = schedule.next_page(START)
        assert page is not None
        found = [START - n * 600 for n in range(1, 100)] if page == "busy" else []
        schedule.record_poll(page, START, found, since=START - DAY)
    assert schedule.page_forecast("busy").messages_per_day > 10 * schedule.page_forecast("quiet").messages_per_day


@pytest.mark.parametrize("moment", [0.0, 3_599.0, 3_600.0, 86_399.0, 1.5 * DAY, START + 12_345.6])
def test_time_warp_is_invertible(moment: float) -> None:
    clock = TimeWarp([1 + (hour % 5) for hour in range(HOURS)])
    assert clock.unwarp(clock.warp(moment)) == pytest.approx(moment, abs=1e-3)
    assert clock.warp(moment + DAY) == pytest.approx(clock.warp(moment) + 1)


def test_pacer_never_overspends_and_repays_borrowed_polls() -> None:
    pace, clock = BudgetPacer(100), TimeWarp([1.0] * HOURS)
    pace.advance(START, clock)
    assert not pace.can_poll()
    assert pace.can_poll(0.2)
    for _ in range(20):
        pace.spend(1)
    assert not pace.can_poll(0.2)
    pace.advance(START + DAY / 10, clock)
    assert not pace.can_poll()
    spent = 20
    for step in range(1, 1_000):
        pace.advance(START + DAY * step / 1_000, clock)
        while pace.can_poll():
            pace.spend(1)
            spent += 1
    assert 98 <= spent <= 100
