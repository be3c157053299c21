"""Rate limits: one bucket per caller, refilled continuously, in the memory of this process.

A row in the database would cost more than most requests, and each process protects only itself. Headers follow
draft-ietf-httpapi-ratelimit-headers: `RateLimit-Policy` is the limit, `RateLimit` the remaining requests and the
time until the bucket is full again.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

MOST_CALLERS = 50_000


def rate_limit_headers(policy: str, allowed: int, window: int, left: int, reset: int) -> dict[str, str]:
    """Return the headers: a policy's limit and window in seconds, remaining requests, seconds to reset."""
    return {
        "RateLimit-Policy": f'"{policy}";q={allowed};w={window}',
        "RateLimit": f'"{policy}";r={left};t={reset}',
    }


@dataclass(frozen=True)
class Verdict:
    """The result for one request; `wait_seconds` is zero if it is allowed."""

    allowed: int
    window_seconds: int
    left: int
    full_in_seconds: int
    wait_seconds: int

    @property
    def headers(self) -> dict[str, str]:
        """Return the rate limit headers of the response."""
        return rate_limit_headers("default", self.allowed, self.window_seconds, self.left, self.full_in_seconds)


class Quota:
    """Allows `allowed` requests of one caller per window, at once or spread."""

    def __init__(self, allowed: int, window_seconds: int, now: Callable[[], float] = time.monotonic) -> None:
        self._allowed = allowed
        self._window = window_seconds
        self._now = now
        # The time at which each caller's bucket is full again (generic cell rate algorithm).
        self._full_at: dict[str, float] = {}

    def take(self, caller: str) -> Verdict:
        """Count one request of the caller; a request that has to wait is not counted."""
        now = self._now()
        each = self._window / self._allowed
        full_at = max(self._full_at.get(caller, now), now) + each
        wait = full_at - now - self._window
        if wait > 0:
            return self._verdict(full_at - each - now, math.ceil(wait))
        if caller not in self._full_at and len(self._full_at) >= MOST_CALLERS:
            self._drop_full(now)
        self._full_at[caller] = full_at
        return self._verdict(full_at - now, 0)

    def wait_seconds(self, caller: str) -> int:
        """Return how long the caller's next request has to wait, without counting one; zero: not at all."""
        now = self._now()
        full_at = max(self._full_at.get(caller, now), now) + self._window / self._allowed
        return max(math.ceil(full_at - now - self._window), 0)

    def _verdict(self, full_in: float, wait: int) -> Verdict:
        left = math.floor((self._window - full_in) * self._allowed / self._window + 1e-6)
        return Verdict(self._allowed, self._window, max(left, 0), math.ceil(full_in), wait)

    def _drop_full(self, now: float) -> None:
        self._full_at = {caller: at for caller, at in self._full_at.items() if at > now}
        if len(self._full_at) >= MOST_CALLERS:  # too many callers: reset all buckets to limit the memory
            self._full_at.clear()
