"""Supervision: backoff after failures, and loops that restart failed work or run work periodically."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

Work = Callable[[], Awaitable[None]]
Report = Callable[[str, str | None], None]
# Gets the error of one worker, None if it is healthy.
WorkerReport = Callable[[str | None], None]

# Enough to reach every maximum. The limit is needed because 2.0**1024 overflows.
MAX_DOUBLINGS = 60


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff in seconds: `initial`, doubled by every further failure in a row, at most `maximum`.

    A delay is shortened at random by up to the share `jitter`, so that many callers do not retry at once.
    """

    initial: float
    maximum: float
    jitter: float = 0.0

    def delay(self, failures: int) -> float:
        """Return the delay in seconds after the n-th failure in a row, counted from 1."""
        doublings = min(max(failures - 1, 0), MAX_DOUBLINGS)
        delay: float = min(self.initial * 2.0**doublings, self.maximum)
        return delay * random.uniform(1.0 - self.jitter, 1.0) if self.jitter else delay  # noqa: S311 — no secret


def report_nothing(_error: str | None) -> None:
    """Ignore a worker's state, for a worker that belongs to no service."""


class WorkEnded(Exception):  # noqa: N818 — an outcome
    """Work that should run until it is cancelled returned."""


async def run_forever(
    work: Work,
    backoff: Backoff,
    *,
    on_failure: Callable[[Exception, float], None],
    on_restart: Callable[[], None] = lambda: None,
    reset_after: float = 60.0,
    is_retried: Callable[[Exception], bool] = lambda _: True,
    is_outage: Callable[[Exception], bool] = lambda _: False,
    outage_delay: float = 1.0,
) -> None:
    """Run `work` until cancelled, and start it again when it raises or returns.

    `on_failure` gets the error (`WorkEnded` if the work returned) and the delay before the restart. Work that ran
    longer than `reset_after` seconds resets its backoff. An outage is not counted as a failure: the delay
    after it is always `outage_delay`. An error that must not be retried is raised.
    """
    failures = 0
    while True:
        started = time.monotonic()
        try:
            await work()
            error: Exception = WorkEnded("worker exited")
        except Exception as raised:  # passed to `on_failure`
            if not is_retried(raised):
                raise
            error = raised
        if time.monotonic() - started > reset_after:
            failures = 0
        if is_outage(error):
            delay = outage_delay
        else:
            failures += 1
            delay = backoff.delay(failures)
        on_failure(error, delay)
        await asyncio.sleep(delay)
        on_restart()


async def run_periodically(
    one_round: Callable[[], Awaitable[float]],
    delay_after: Callable[[Exception, int], float | None] = lambda _error, _failures: None,
) -> None:
    """Run `one_round` until cancelled; it returns the seconds until the next round.

    `delay_after` gets an error and the number of failed rounds in a row; it returns the seconds until the next
    round, or None to raise the error, as by default.
    """
    failures = 0
    while True:
        try:
            delay = await one_round()
        except Exception as error:
            failures += 1
            retry_in = delay_after(error, failures)
            if retry_in is None:
                raise
            delay = retry_in
        else:
            failures = 0
        await asyncio.sleep(delay)


class TaskSupervisor:
    """Runs one task per name and restarts a task that ends.

    `report(name, error)` is called when a task ends, and with None when it is started again.
    """

    def __init__(self, backoff: Backoff, report: Report, on_failure: Callable[[str, Exception], None]) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._backoff = backoff
        self._report = report
        self._on_failure = on_failure

    def set_tasks(self, wanted: Mapping[str, Work]) -> None:
        """Start wanted tasks that are not running; cancel running tasks that are no longer wanted."""
        for name in self._tasks.keys() - wanted.keys():
            self._tasks.pop(name).cancel()
        for name, work in wanted.items():
            if name not in self._tasks:
                self._tasks[name] = asyncio.create_task(self._keep_running(name, work), name=name)

    async def _keep_running(self, name: str, work: Work) -> None:
        def failed(error: Exception, _delay: float) -> None:
            self._on_failure(name, error)
            self._report(name, repr(error))

        await run_forever(work, self._backoff, on_failure=failed, on_restart=lambda: self._report(name, None))

    async def stop(self) -> None:
        """Cancel all tasks and wait for them."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
