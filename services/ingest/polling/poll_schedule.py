"""Choose the page to poll next, to minimise the mean delay of messages within a budget of polls.

For known rates the mean delay is minimal if polls are proportional to the square root of the rate: a page is due
when rate × age² reaches a threshold, equal for all pages and set so that the budget is just spent. The daily
profile is applied as operational time, which runs faster in busy hours. `max_age` limits the age of every page.
No clock and no I/O: times are seconds since the epoch.
"""

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from math import inf, sqrt
from typing import Any, Generic, TypeVar

from services.ingest.polling.arrival_rates import DAY, PageStatistics, RateModel
from services.ingest.polling.budget_pacing import BudgetPacer

Page = TypeVar("Page", bound=Hashable)

# A page is due at this share of its maximum age, because other pages may be due in the same minute.
MAX_AGE_SHARE = 0.97
# Budget share that may be borrowed from later hours: for prioritised and overdue pages; for new pages.
RESERVE_SHARE = 0.2
NEW_PAGE_SHARE = 0.02
# Budget share that may be borrowed at the start of a poll that makes many calls.
DEEP_SHARE = 0.01
# After this number of prioritised pages in a row a due page follows: hundreds may be prioritised at once.
PRIORITIZED_IN_A_ROW = 4
REFIT_SECONDS = 3_600.0
MAX_WAIT = 60.0
_GOLDEN = 0.618_033_988_75


@dataclass
class _Entry:
    memory: PageStatistics
    last: float | None = None
    due: float = -inf
    turn: int = 0
    phase: float = 1.0
    not_before: float = -inf
    in_progress: bool = False


@dataclass(frozen=True)
class PageForecast:
    """Forecast for one page."""

    messages_per_day: float
    polls_per_day: float
    delay_seconds: float
    last_at: float | None
    due_at: float


@dataclass(frozen=True)
class ScheduleForecast:
    """Forecast for all pages, and the state of the budget."""

    pages: int
    polls_per_day: float
    used_today: int
    left_today: int
    mean_delay_seconds: float = field(metadata={"of": "an average message"})
    longest_interval_seconds: float = field(metadata={"of": "the page that is polled least often"})
    meets_max_age: bool = True


class PollSchedule(Generic[Page]):
    """Poll schedule. `next_page` returns a page to poll; `record_poll` or `record_failure` reports the result."""

    def __init__(self, polls_a_day: float, *, max_age: float = DAY, rates: RateModel | None = None) -> None:
        self._rates = rates or RateModel()
        self._ceiling = max_age * MAX_AGE_SHARE
        self._pace = BudgetPacer(polls_a_day)
        self._entries: dict[Page, _Entry] = {}
        self._queue: list[tuple[float, int, Page]] = []
        self._prioritized: OrderedDict[Page, None] = OrderedDict()
        self._oldest: OrderedDict[Page, None] = OrderedDict()  # in order of the last poll
        self._prioritized_in_a_row = 0
        self._compared = -inf
        self._step = inf
        self._turns = 0

    def __contains__(self, page: Page) -> bool:
        return page in self._entries

    def pages(self) -> list[Page]:
        """Return the scheduled pages."""
        return list(self._entries)

    def add(self, page: Page, state: dict[str, Any] | None = None) -> None:
        """Add a page with its state from `dump`; a page without state is polled first."""
        if page in self._entries:
            return
        entry = self._entries[page] = _Entry(self._rates.load_page(page, state or {}))
        entry.last = entry.memory.at
        if entry.last is None:
            # Spread: pages added together must not stay due together.
            entry.phase = 0.4 + 0.6 * (len(self._entries) * _GOLDEN % 1)
        self._compared = -inf  # refit: the threshold depends on the set of pages
        self._put(page, entry, self._due(entry))

    def remove(self, page: Page) -> None:
        """Remove a page."""
        self._entries.pop(page, None)
        self._prioritized.pop(page, None)
        self._oldest.pop(page, None)

    def set_budget(self, polls_a_day: float) -> None:
        """Set the number of polls per day."""
        if polls_a_day != self._pace.budget:
            self._pace.set_budget(polls_a_day)
            self._compared = -inf

    def spend_calls(self, calls: int) -> None:
        """Count calls of the same budget that were not polls, such as further result pages or a backfill."""
        self._pace.spend(calls)

    def prioritize(self, page: Page) -> None:
        """Move a page to the front, because it probably has new messages."""
        if page in self._entries:
            self._prioritized[page] = None

    def next_page(self, now: float) -> Page | None:
        """Return the page to poll now, or None if pacing allows none. It is not returned again until recorded."""
        self._pace.advance(now, self._rates.common.polls)
        if now - self._compared >= REFIT_SECONDS:
            self._refit(now)
        page = self._take(now)
        if page is not None:
            self._entries[page].in_progress = True
            self._pace.spend(1)
        return page

    def affords_deep_poll(self) -> bool:
        """Return whether a poll of many calls may begin now, borrowing little from the polls of other pages."""
        return self._pace.can_poll(DEEP_SHARE)

    def seconds_until_next(self, now: float) -> float:
        """Return the seconds until `next_page` may return a page, if none is prioritised meanwhile."""
        head = self._head()
        if head is None and self._waiting() is None:
            return MAX_WAIT
        wait = self._pace.seconds_until_poll(now, self._rates.common.polls)
        out_of_turn = self._waiting() is not None or self._too_old(now) is not None
        if out_of_turn and self._pace.can_poll(RESERVE_SHARE):
            return 0.0
        if head is not None and (later := self._entries[head].not_before - now) > 0:
            return min(later, MAX_WAIT)
        if self._pace.can_poll() or (head is not None and self._is_new(head)):
            return 0.0
        return min(wait, MAX_WAIT)

    def record_poll(
        self, page: Page, now: float, found: Sequence[float] = (), *, since: float | None = None
    ) -> None:
        """Record a poll of the page at `now` that found new messages written at the times `found`.

        The first poll of a page updates the statistics only if `since` is given: `found` is complete since then.
        """
        entry = self._entries.get(page)
        if entry is None:
            return
        if entry.last is not None and entry.last < now:
            start = entry.last
            self._rates.learn(entry.memory, start, now, [min(max(one, start), now) for one in found])
            entry.phase = 1.0
        elif entry.last is None and since is not None and since < now:
            self._rates.learn(entry.memory, since, now, [one for one in found if since <= one <= now])
        entry.memory.at = now
        entry.last = now
        entry.not_before = -inf
        entry.in_progress = False
        self._oldest[page] = None
        self._oldest.move_to_end(page)
        self._put(page, entry, self._due(entry))

    def record_failure(self, page: Page, now: float, delay: float) -> None:
        """Record a failed poll: the page is due again after `delay` seconds; its statistics stay."""
        entry = self._entries.get(page)
        if entry is None:
            return
        entry.in_progress = False
        entry.not_before = now + delay
        self._put(page, entry, max(self._due(entry), entry.not_before))

    def dump(self, page: Page) -> dict[str, Any]:
        """Return a page's state as JSON, with its forecast, which the sources API shows."""
        expected = self.page_forecast(page)
        return {
            **self._entries[page].memory.dump(),
            "messages_a_day": round(expected.messages_per_day, 3),
            "expected_delay_seconds": round(expected.delay_seconds, 1),
        }

    def page_forecast(self, page: Page) -> PageForecast:
        """Return the forecast for a page."""
        entry = self._entries[page]
        rate, interval = self._rates.rate(entry.memory), self._interval(entry)
        return PageForecast(rate, DAY / interval, interval / 2, entry.last, entry.due)

    def forecast(self, now: float) -> ScheduleForecast:
        """Return the forecast for all pages and the state of the budget."""
        self._pace.advance(now, self._rates.common.polls)
        entries = self._entries.values()
        rates = [(self._rates.rate(entry.memory), self._interval(entry)) for entry in entries]
        messages = sum(rate for rate, _ in rates)
        waited = sum(rate * interval / 2 for rate, interval in rates)
        needed = sum(DAY / interval for _, interval in rates)
        return ScheduleForecast(
            pages=len(rates),
            polls_per_day=self._pace.budget,
            used_today=round(self._pace.used),
            left_today=max(round(self._pace.budget - self._pace.used), 0),
            mean_delay_seconds=waited / messages if messages else 0.0,
            longest_interval_seconds=max((interval for _, interval in rates), default=0.0),
            meets_max_age=needed <= self._pace.budget * 1.001,
        )

    def _take(self, now: float) -> Page | None:
        prioritized = self._waiting()
        if prioritized is None:
            self._prioritized_in_a_row = 0
        elif self._pace.can_poll(RESERVE_SHARE):
            if self._prioritized_in_a_row >= PRIORITIZED_IN_A_ROW and (due := self._due_page(now)) is not None:
                self._prioritized_in_a_row = 0
                self._prioritized.pop(due, None)
                return due
            self._prioritized_in_a_row += 1
            del self._prioritized[prioritized]
            return prioritized
        if (old := self._too_old(now)) is not None and self._pace.can_poll(RESERVE_SHARE):
            return old
        head = self._head()
        if head is None or self._entries[head].not_before > now:
            return None
        if not self._pace.can_poll() and not self._is_new(head):
            return None
        heappop(self._queue)
        return head

    def _due_page(self, now: float) -> Page | None:
        """Return a page that is too old, else the next due one, taken out of the queue; None without either."""
        if (old := self._too_old(now)) is not None:
            return old
        head = self._head()
        if head is None or self._entries[head].due > now or self._entries[head].not_before > now:
            return None
        heappop(self._queue)
        return head

    def _head(self) -> Page | None:
        while self._queue:
            _, turn, page = self._queue[0]
            entry = self._entries.get(page)
            if entry is not None and entry.turn == turn and not entry.in_progress:
                return page
            heappop(self._queue)
        return None

    def _is_new(self, page: Page) -> bool:
        return self._entries[page].last is None and self._pace.can_poll(NEW_PAGE_SHARE)

    def _too_old(self, now: float) -> Page | None:
        for page in self._oldest:
            entry = self._entries[page]
            if entry.last is None or now - entry.last < self._ceiling:
                break
            if not entry.in_progress and entry.not_before <= now:
                return page
        return None

    def _waiting(self) -> Page | None:
        return next((page for page in self._prioritized if not self._entries[page].in_progress), None)

    def _refit(self, now: float) -> None:
        """Refit the model to all pages, recompute the threshold, and reorder the queue."""
        self._compared = now
        self._rates.refit([entry.memory for entry in self._entries.values()])
        self._pace.advance(now, self._rates.common.polls)
        self._step = self._price([self._root(entry) for entry in self._entries.values()])
        self._queue = []
        for page, entry in self._entries.items():
            entry.due = max(self._due(entry), entry.not_before)
            self._queue.append((entry.due, entry.turn, page))
        heapify(self._queue)
        polled = [(entry.last, page) for page, entry in self._entries.items() if entry.last is not None]
        self._oldest = OrderedDict.fromkeys(page for _, page in sorted(polled, key=lambda one: one[0]))

    def _root(self, entry: _Entry) -> float:
        memory = entry.memory
        return max(sqrt(self._rates.rate(memory)) * self._rates.profile(memory).root, 1e-6)

    def _price(self, roots: Sequence[float]) -> float:
        """Return the threshold, in days × √rate, at which a page is due so that the day's polls are just spent."""
        floor = DAY / self._ceiling
        free = sorted(roots, reverse=True)
        left = self._pace.budget - floor * len(free)
        if not free or left <= 0:
            return inf
        left, whole = self._pace.budget, sum(free)
        while free and whole > 0:
            step = whole / left
            if free[-1] / step >= floor:
                return step
            whole -= free.pop()
            left -= floor
        return inf

    def _interval(self, entry: _Entry) -> float:
        return min(self._step / self._root(entry) * DAY, self._ceiling)

    def _due(self, entry: _Entry) -> float:
        if entry.last is None:
            return -inf
        days = self._step / self._root(entry)
        due = entry.last + self._ceiling
        if days * DAY < 2 * self._ceiling:
            polls = self._rates.profile(entry.memory).polls
            due = min(due, polls.unwarp(polls.warp(entry.last) + days))
        return entry.last + (due - entry.last) * entry.phase

    def _put(self, page: Page, entry: _Entry, due: float) -> None:
        self._turns += 1
        entry.turn = self._turns
        entry.due = due
        heappush(self._queue, (due, entry.turn, page))
