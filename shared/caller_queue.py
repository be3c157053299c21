"""Queues for slow work of requests, in turns by organisation and person; a request beyond the limits gets 429."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.types import Scope

from shared.auth.callers import Caller, ServiceCaller
from shared.fair_queue import FairQueue, QueueFull
from shared.http.problems import TooManyRequests

# How long a request waits for all its turns together. After 30 s the gateway answers 504 without Retry-After, and
# the request continues: the remaining time is for the work in the last turn.
LONGEST_WAIT_SECONDS = 22
_RETRY_AFTER = {"Retry-After": "5"}
_WAITS_UNTIL = "gospablik.waits_until"


def waits_until(scope: Scope) -> float:
    """Return the moment, by the clock of the event loop, until which a request waits for all its turns:
    `LONGEST_WAIT_SECONDS` after the first call for this request.
    """
    until: float = scope.setdefault(_WAITS_UNTIL, asyncio.get_running_loop().time() + LONGEST_WAIT_SECONDS)
    return until


class CallerQueue:
    """A `FairQueue` for work of signed-in callers; one caller has at most `max_per_caller` places in it.

    A semaphore would not limit the waiting requests, and the caller with the most requests would get most turns.
    """

    def __init__(
        self,
        refusal: str,
        *,
        concurrency: int,
        max_waiting: int,
        max_per_caller: int | None = None,
        timeout_seconds: float = 10,
    ) -> None:
        """Create an empty queue. `refusal` is the detail of a 429, without the advice to try again. A request
        waits up to `timeout_seconds`, which must be less than the gateway's timeout of 30 s.
        """
        self._refusal = refusal
        self._queue = FairQueue(
            concurrency=concurrency,
            max_waiting=max_waiting,
            max_per_name=max_per_caller,
            timeout_seconds=timeout_seconds,
        )

    @property
    def waiting(self) -> int:
        """Return how many requests wait."""
        return self._queue.waiting

    @asynccontextmanager
    async def turn(self, caller: Caller | ServiceCaller, *, until: float | None = None) -> AsyncIterator[None]:
        """Wait for the caller's turn and hold it during the block. Begin it before the first statement of a
        session, since a request that waits must not hold a connection.

        `until` is the moment, by the clock of the event loop, after which no turn begins: a request with several
        turns gives `waits_until` for each of them.

        Raises `TooManyRequests` if the queue is full, the caller has too many places in it, or the turn does not
        come in time.
        """
        if isinstance(caller, ServiceCaller):
            group, name = caller.service, caller.on_behalf_of
        else:
            group, name = str(caller.organisation_id), caller.subject
        left = None if until is None else until - asyncio.get_running_loop().time()
        if left is not None and left <= 0:
            raise self._too_many()
        try:
            async with self._queue.slot(group, name, priority=False, timeout_seconds=left):
                yield
        except QueueFull:
            raise self._too_many() from None

    def _too_many(self) -> TooManyRequests:
        return TooManyRequests(f"{self._refusal}: try again in a moment", headers=_RETRY_AFTER)
