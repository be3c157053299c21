"""Spread a daily budget of polls over the day in proportion to expected messages, without exceeding it.

No clock and no I/O: times are seconds since the epoch; days begin at midnight UTC.
"""

from math import floor

from services.ingest.polling.arrival_rates import TimeWarp

# Share of the daily budget that may accumulate unspent.
BURST_SHARE = 0.02


class BudgetPacer:
    """Counts polls earned and spent: the day's remaining budget is earned evenly in the caller's `TimeWarp`."""

    def __init__(self, budget: float) -> None:
        self.budget = max(budget, 0.0)
        self.credit = 0.0
        self.used = 0.0
        self._at: float | None = None
        self._clock: TimeWarp | None = None

    def set_budget(self, budget: float) -> None:
        """Change the daily budget; the used share of it stays the same."""
        budget = max(budget, 0.0)
        if budget != self.budget:
            if self.budget > 0:
                share = budget / self.budget
                self.used, self.credit = self.used * share, self.credit * share
            elif self._at is not None:
                # The day's share that has passed counts as used: there is no burst to catch up.
                self.used, self.credit = budget * (self._at - floor(self._at)), 0.0
            self.budget = budget

    def advance(self, now: float, clock: TimeWarp) -> None:
        """Add the polls earned since the last call of this method."""
        reached = clock.warp(now)
        if self._at is None:
            # The day's share that has passed counts as used: there is no burst to catch up.
            self.used = self.budget * (reached - floor(reached))
        elif self._clock is clock:  # times of a refitted time warp cannot be compared with those of the former one
            while reached > self._at:
                midnight = floor(self._at) + 1.0
                upto = min(midnight, reached)
                to_earn = max(self.budget - self.used - self.credit, 0.0)
                earned = to_earn * (upto - self._at) / (midnight - self._at)
                self.credit = min(self.credit + earned, max(self.budget * BURST_SHARE, 2.0))
                if upto == midnight:
                    self.used = 0.0
                self._at = upto
        self._at = reached
        self._clock = clock

    def can_poll(self, borrow: float = 0.0) -> bool:
        """Return whether one more poll is allowed if this share of the budget may be borrowed from later hours."""
        if self.used + 1 > self.budget + 1e-6:
            return False
        if borrow <= 0:
            return self.credit >= 1
        left = max(self.budget - self.used - self.credit, 0.0)
        return self.credit > -min(self.budget * borrow, left / 2)

    def spend(self, calls: float) -> None:
        """Count calls that were made."""
        self.credit -= calls
        self.used += calls

    def seconds_until_poll(self, now: float, clock: TimeWarp) -> float:
        """Return the seconds until one more poll is allowed."""
        self.advance(now, clock)
        reached = clock.warp(now)
        midnight = floor(reached) + 1.0
        to_earn = self.budget - self.used - self.credit
        missing = 1.0 - self.credit
        until = midnight
        if 0 < missing <= to_earn:
            until = reached + missing / to_earn * (midnight - reached)
        return max(clock.unwarp(until) - now, 0.0) + 1e-6
