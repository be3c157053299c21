"""Call limits per second and per day; counts survive a restart."""

import time
from collections import defaultdict, deque

from emulators.common.clock import EmulatorClock
from emulators.common.store import EmulatorStore, Row


class RateLimit:
    """Sliding window: at most `limit` accepted calls per key within the window."""

    def __init__(self, window_seconds: float = 1.0) -> None:
        self._window = window_seconds
        self._calls: dict[str, deque[float]] = defaultdict(deque)

    def allow(self, key: str, limit: int) -> bool:
        """Count one call and return whether it is within the limit; 0 means no limit."""
        if limit <= 0:
            return True
        now = time.monotonic()
        calls = self._calls[key]
        while calls and calls[0] <= now - self._window:
            calls.popleft()
        if len(calls) >= limit:
            return False
        calls.append(now)
        return True


class CallCounter:
    """Counts calls by day, method and token, and checks daily limits."""

    def __init__(self, store: EmulatorStore, clock: EmulatorClock) -> None:
        self._store = store
        self._clock = clock

    def within_day(self, token: str, method: str, limit: int | None) -> bool:
        """Return whether the token may call the method once more today; a limit of 0 or None means no limit."""
        if not limit:
            return True
        used = self._store.value(
            "SELECT sum(accepted) FROM calls WHERE day = ? AND method = ? AND token = ?",
            (self._clock.day(), method, token),
        )
        return (used or 0) < limit

    def count(self, method: str, kind: str, token: str, *, accepted: bool) -> None:
        """Record one call."""
        self._store.execute(
            "INSERT INTO calls (day, method, kind, token, accepted, refused) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET accepted = accepted + excluded.accepted,"
            " refused = refused + excluded.refused",
            (self._clock.day(), method, kind, token, int(accepted), int(not accepted)),
        )

    def totals(self) -> list[dict[str, object]]:
        """Return the counts of all days and of today, by method and token kind."""
        rows: list[Row] = self._store.all(
            "SELECT method, kind, sum(accepted) AS accepted, sum(refused) AS refused,"
            " sum(CASE WHEN day = ? THEN accepted ELSE 0 END) AS accepted_today"
            " FROM calls GROUP BY method, kind ORDER BY method, kind",
            (self._clock.day(),),
        )
        return [
            {
                "method": row["method"],
                "kind": row["kind"],
                "count": row["accepted"] + row["refused"],
                "accepted": row["accepted"],
                "refused": row["refused"],
                "accepted_today": row["accepted_today"],
            }
            for row in rows
        ]
