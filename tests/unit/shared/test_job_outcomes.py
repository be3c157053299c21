"""Outcomes of jobs are written together, soon after the first, and also when the buffer is closed."""

import asyncio
from datetime import timedelta
from typing import Any, cast

import pytest
from pgqueuer.core import buffers

from shared.job_outcomes import OutcomeBuffer, install
from tests.support.eventually import eventually_true


class Sink:
    """Collects what is written; the first `failures` writes fail."""

    def __init__(self, failures: int = 0) -> None:
        self.batches: list[list[Any]] = []
        self.failures = failures

    async def log_jobs(self, job_status: list[Any]) -> None:
        if self.failures:
            self.failures -= 1
            raise ConnectionError
        self.batches.append(job_status)


def _outcome(number: int) -> Any:
    return cast("Any", (number, "successful", None))


@pytest.mark.parametrize("failures", [0, 2])
async def test_outcomes_are_written_soon_and_together(failures: int) -> None:
    sink = Sink(failures)
    async with OutcomeBuffer(max_size=10, repository=sink) as buffer:
        await asyncio.sleep(0)
        for number in range(3):
            await buffer.add(_outcome(number))
        await eventually_true(lambda: bool(sink.batches), "the outcomes are written")
        assert [[one[0] for one in batch] for batch in sink.batches] == [[0, 1, 2]]
        await buffer.add(_outcome(3))
        await eventually_true(lambda: len(sink.batches) == 2, "the next outcome is written")


async def test_outcomes_whose_write_in_a_full_buffer_fails_are_written_later() -> None:
    class SlowSink(Sink):
        async def log_jobs(self, job_status: list[Any]) -> None:
            if self.failures:
                await asyncio.sleep(0.3)
            await super().log_jobs(job_status)

    sink = SlowSink(failures=1)
    async with OutcomeBuffer(max_size=2, repository=sink) as buffer:
        await asyncio.sleep(0)
        for number in range(2):
            await buffer.add(_outcome(number))
        await eventually_true(lambda: bool(sink.batches), "the outcomes are written")


async def test_empty_buffer_is_not_flushed() -> None:
    flushes = 0

    class Counted(OutcomeBuffer):
        async def flush(self) -> None:
            nonlocal flushes
            flushes += 1
            await super().flush()

    sink = Sink()
    async with Counted(max_size=10, timeout=timedelta(milliseconds=1), repository=sink) as buffer:
        await buffer.add(_outcome(1))
        await eventually_true(lambda: bool(sink.batches), "the outcome is written")
        await asyncio.sleep(0.05)
        assert flushes == 1


async def test_outcomes_are_written_when_the_buffer_is_closed() -> None:
    sink = Sink()
    async with asyncio.timeout(20):
        async with OutcomeBuffer(max_size=10, repository=sink) as buffer:
            await asyncio.sleep(0.01)
            await buffer.add(_outcome(1))
        async with OutcomeBuffer(max_size=10, repository=sink):
            await asyncio.sleep(0.01)
    assert sink.batches == [[_outcome(1)]]


def test_pgqueuer_uses_the_buffer() -> None:
    install()
    assert buffers.JobStatusLogBuffer is OutcomeBuffer
