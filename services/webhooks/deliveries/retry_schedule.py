"""Retry times of deliveries: the published schedule, and the wait that a receiver requests by `Retry-After`."""

import random
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

# Pauses after the first, second, … failed attempt; after the last one the delivery has failed. Published in
# docs/integrator/webhooks.md.
RETRY_DELAYS: tuple[timedelta, ...] = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
# A pause is longer by up to this share, so that deliveries that failed at the same time are not all retried at the
# same time.
JITTER = 0.1
LONGEST_REQUESTED = timedelta(hours=24)
# The pauses after an attempt that failed through a fault of our own and does not count: until somebody has
# restored a key, and until the machine has free sockets.
SECRET_PAUSE = timedelta(minutes=30)
SYSTEM_PAUSE = timedelta(minutes=1)
# Of this many attempts in a row that failed through our own fault, the last one counts; after this many that were
# cut off, the next one counts. So no delivery stays pending without end.
MOST_UNCOUNTED = 10
# Statuses whose `Retry-After` is respected (RFC 9110 §10.2.3, RFC 6585 §4).
ASKS_TO_WAIT = frozenset({429, 503})


def is_last(attempts: int) -> bool:
    """Return whether a delivery is not tried again after this many failed attempts."""
    return attempts > len(RETRY_DELAYS)


def pause_after(attempts: int, requested: timedelta | None) -> timedelta | None:
    """Return the pause before the next attempt after this many failed ones; None: no further attempt.

    The pause is at least `requested`, the wait that the receiver asked for.
    """
    if is_last(attempts):
        return None
    pause = RETRY_DELAYS[attempts - 1] * random.uniform(1, 1 + JITTER)  # noqa: S311 — spreads load, no secret
    return max(pause, requested or timedelta())


def requested_wait(header: str | None, now: datetime) -> timedelta | None:
    """Return how long a receiver asks to wait by `Retry-After`, in seconds or until a date; at most 24 hours.

    None for a value that cannot be parsed or a date that has passed.
    """
    if header is None:
        return None
    value = header.strip()
    if value.isascii() and value.isdigit():
        # Nine digits are already beyond the limit; a longer number could overflow.
        wait = timedelta(seconds=int(value[:9]))
    else:
        try:
            until = parsedate_to_datetime(value)
        except (ValueError, OverflowError):
            return None
        # A date in asctime format, which has no time zone, is in UTC (RFC 9110 §5.6.7).
        wait = (until if until.tzinfo else until.replace(tzinfo=UTC)) - now
    return min(wait, LONGEST_REQUESTED) if wait > timedelta() else None
