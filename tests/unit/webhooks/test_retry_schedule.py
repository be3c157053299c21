"""The time at which a failed delivery is retried."""

from datetime import UTC, datetime, timedelta

import pytest

from services.webhooks.deliveries.retry_schedule import JITTER, RETRY_DELAYS, pause_after, requested_wait
from services.webhooks.endpoints import health

NOW = datetime(2026, 11, 30, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("120", timedelta(minutes=2)),
        (" 1 ", timedelta(seconds=1)),
        ("1000000000", timedelta(hours=24)),
        ("9" * 4_000, timedelta(hours=24)),
        ("Mon, 30 Nov 2026 12:30:00 GMT", timedelta(minutes=30)),
        ("Mon Nov 30 12:30:00 2026", timedelta(minutes=30)),
        ("Mon, 30 Nov 2026 15:30:00 +0300", timedelta(minutes=30)),
        ("Mon, 30 Nov 2099 12:30:00 GMT", timedelta(hours=24)),
        ("Mon, 30 Nov 2026 11:59:59 GMT", None),
        *(
            (garbage, None)
            for garbage in (None, "", "0", "-5", "1.5", "soon", "٣", "1e3", "\x00", "Mon, 99 Nov 2026")
        ),
    ],
)
def test_retry_after_is_read_as_seconds_or_a_date(header: str | None, wait: timedelta | None) -> None:
    assert requested_wait(header, NOW) == wait


def test_delays_follow_the_schedule_with_jitter() -> None:
    for attempts, pause in enumerate(RETRY_DELAYS, 1):
        waits = [wait for _ in range(50) if (wait := pause_after(attempts, None))]
        assert len(waits) == 50
        assert pause <= min(waits) < max(waits) <= pause * (1 + JITTER)
    assert pause_after(len(RETRY_DELAYS) + 1, timedelta(hours=1)) is None


def test_longest_pause_between_attempts_does_not_count_as_quiet() -> None:
    """An endpoint whose only delivery keeps failing counts as failing throughout."""
    assert max(RETRY_DELAYS) * (1 + JITTER) < health.QUIET_AFTER


def test_longer_of_delay_and_retry_after_is_used() -> None:
    assert pause_after(1, timedelta(hours=3)) == timedelta(hours=3)
    pause = pause_after(9, timedelta(seconds=1))
    assert pause is not None
    assert pause >= timedelta(hours=24)
