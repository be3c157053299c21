"""The outcomes of jobs that wait to be written together."""

import asyncio
from dataclasses import dataclass, field

from pgqueuer.core import buffers
from pgqueuer.domain.models import Job, TracebackRecord
from pgqueuer.domain.types import JOB_STATUS


@dataclass
class OutcomeBuffer(buffers.JobStatusLogBuffer):
    """PgQueuer's buffer, asleep while it is empty: PgQueuer's own looks ten times a second, which takes 0.16 % of
    a core in each worker.
    """

    filled: asyncio.Event = field(init=False, default_factory=asyncio.Event)

    async def add(self, item: tuple[Job, JOB_STATUS, TracebackRecord | None]) -> None:
        """Add an outcome, which is written a little later."""
        await super().add(item)
        self.filled.set()

    async def flush(self) -> None:
        """Write the outcomes that wait; those that cannot be written wait again."""
        try:
            await super().flush()
        finally:
            # Also after a flush of a full buffer, which runs beside `periodic_flush`.
            if not self.events.empty():
                self.filled.set()

    async def periodic_flush(self) -> None:
        """Write the outcomes that gather within the timeout, until the buffer is closed."""
        while True:
            await self.filled.wait()
            if self.shutdown.is_set():
                return
            self.filled.clear()
            await asyncio.sleep(self.timeout.total_seconds())
            await self.flush()

    async def __aexit__(self, *error: object) -> None:
        """Close the buffer: write what waits."""
        self.shutdown.set()
        self.filled.set()
        await super().__aexit__(*error)


def install() -> None:
    """Let PgQueuer use this buffer; it has no parameter for that."""
    buffers.JobStatusLogBuffer = OutcomeBuffer  # type: ignore[misc]
