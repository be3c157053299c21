"""Backoff, and the loops that restart or repeat work."""

import asyncio
from unittest import mock

import pytest

from shared.supervision import Backoff, TaskSupervisor, WorkEnded, run_forever, run_periodically

LONG_AGO = 10_000


class Stop(Exception):  # noqa: N818 — a signal
    """Raised to end a loop under test."""


class Script:
    """Work with scripted outcomes: raises errors, returns other outcomes, and raises `Stop` after the last one."""

    def __init__(self, *outcomes: object) -> None:
        self._outcomes = [*outcomes, Stop()]

    async def __call__(self) -> float:
        outcome = self._outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        assert isinstance(outcome, (int, float))
        return outcome


@pytest.fixture
def slept() -> object:
    """Replace sleeping; return a list that gets the requested delays."""
    delays: list[float] = []

    async def sleep(seconds: float) -> None:
        delays.append(seconds)

    with mock.patch("shared.supervision.asyncio.sleep", sleep):
        yield delays


def test_delay_doubles_up_to_the_maximum() -> None:
    assert [Backoff(0.5, 15).delay(n) for n in (1, 2, 3, 5, 6, 7)] == [0.5, 1, 2, 8, 15, 15]


def test_delay_before_the_first_failure_and_after_very_many_is_bounded() -> None:
    backoff = Backoff(2, 60)
    assert (backoff.delay(0), backoff.delay(-3), backoff.delay(1_000_000)) == (2, 2, 60)


def test_jitter_shortens_a_delay_by_its_share_at_most() -> None:
    delays = [Backoff(1, 30, jitter=0.3).delay(20) for _ in range(200)]
    assert all(21 <= delay <= 30 for delay in delays)
    assert len(set(delays)) > 1


async def test_failed_and_ended_work_is_restarted_with_growing_delays(slept: list[float]) -> None:
    ends: list[str] = []
    restarts: list[None] = []
    work = Script(ValueError("first"), 0, ValueError("third"))
    with pytest.raises(Stop):
        await run_forever(
            work,  # type: ignore[arg-type]
            Backoff(0.5, 15),
            on_failure=lambda error, _: ends.append(repr(error)),
            on_restart=lambda: restarts.append(None),
            is_retried=lambda error: not isinstance(error, Stop),
        )
    assert ends == ["ValueError('first')", repr(WorkEnded("worker exited")), "ValueError('third')"]
    assert slept == [0.5, 1, 2]
    assert len(restarts) == 3


async def test_outage_is_not_counted_as_a_failure(slept: list[float]) -> None:
    work = Script(ValueError(), OSError(), OSError(), ValueError())
    with pytest.raises(Stop):
        await run_forever(
            work,  # type: ignore[arg-type]
            Backoff(0.5, 15),
            on_failure=lambda *_: None,
            is_retried=lambda error: not isinstance(error, Stop),
            is_outage=lambda error: isinstance(error, OSError),
        )
    assert slept == [0.5, 1.0, 1.0, 1.0]


async def test_backoff_restarts_after_work_that_ran_long(slept: list[float]) -> None:
    work = Script(ValueError(), ValueError(), ValueError())
    with (
        mock.patch("shared.supervision.time.monotonic", side_effect=[0, 0, 1, 1, 2, 100, 200, 200]),
        pytest.raises(Stop),
    ):
        await run_forever(
            work,  # type: ignore[arg-type]
            Backoff(0.5, 15),
            on_failure=lambda *_: None,
            is_retried=lambda error: not isinstance(error, Stop),
        )
    assert slept == [0.5, 1.0, 0.5]


async def test_rounds_repeat_after_the_returned_delay_and_consecutive_failures_count(slept: list[float]) -> None:
    one_round = Script(7, OSError(), OSError(), 3, OSError())

    def delay_after(error: Exception, failures: int) -> float | None:
        return 100.0 * failures if isinstance(error, OSError) else None

    with pytest.raises(Stop):
        await run_periodically(one_round, delay_after)
    assert slept == [7, 100, 200, 3, 100]


async def test_error_of_a_round_is_raised_by_default(slept: list[float]) -> None:
    with pytest.raises(ValueError, match="bad"):
        await run_periodically(Script(5, ValueError("bad")))
    assert slept == [5]


async def test_ended_task_is_reported_and_restarted_and_others_continue() -> None:
    reports: list[tuple[str, str | None]] = []
    restarted, steady = asyncio.Event(), asyncio.Event()
    attempts = 0

    async def failing() -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise ValueError("once")
        restarted.set()
        await asyncio.Event().wait()

    async def running() -> None:
        steady.set()
        await asyncio.Event().wait()

    bugs: list[str] = []
    supervisor = TaskSupervisor(
        Backoff(0, 0), lambda *report: reports.append(report), lambda name, error: bugs.append(f"{name}: {error}")
    )
    supervisor.set_tasks({"failing": failing, "running": running})
    await asyncio.gather(restarted.wait(), steady.wait())
    assert reports == [("failing", "ValueError('once')"), ("failing", None)]
    assert bugs == ["failing: once"]
    supervisor.set_tasks({"running": running})
    await supervisor.stop()
