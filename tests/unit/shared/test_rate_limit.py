"""The rate limiter counts the requests of each caller and returns the remaining number."""

import pytest

from shared.http import rate_limit
from shared.http.rate_limit import Quota


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_caller_over_the_limit_waits_and_others_do_not() -> None:
    clock = Clock()
    found = Quota(60, 60, clock)
    assert [found.take("a").wait_seconds for _ in range(60)] == [0] * 60
    refused = found.take("a")
    assert (refused.wait_seconds, refused.left, refused.full_in_seconds) == (1, 0, 60)
    assert found.take("b").wait_seconds == 0
    clock.now += 1
    assert found.take("a").wait_seconds == 0
    assert found.take("a").wait_seconds == 1
    clock.now += 60
    assert found.take("a").left == 59


def test_reading_the_wait_counts_no_request() -> None:
    clock = Clock()
    found = Quota(2, 60, clock)
    assert [found.wait_seconds("a") for _ in range(5)] == [0] * 5
    assert [found.take("a").left for _ in range(2)] == [1, 0]
    assert (found.wait_seconds("a"), found.wait_seconds("b")) == (30, 0)
    clock.now += 30
    assert found.wait_seconds("a") == 0


def test_headers_follow_the_rate_limit_draft() -> None:
    first = Quota(60, 60, Clock()).take("a")
    assert first.headers == {"RateLimit-Policy": '"default";q=60;w=60', "RateLimit": '"default";r=59;t=1'}


def test_many_callers_use_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limit, "MOST_CALLERS", 100)
    found = Quota(60, 60, Clock())
    for number in range(1000):
        found.take(str(number))
    assert len(found._full_at) <= 100
