"""Space a token's calls over all processes: each call waits for a turn that is reserved in the database."""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import asyncpg
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from shared.database.sessions import Database
from shared.logs import get_logger

log = get_logger(__name__)

# Slightly slower than allowed: network jitter can bring calls closer together.
MARGIN = 1.08
# A process reserves one turn, or turns for at most this long, so that other processes do not wait longer.
BLOCK_SECONDS = 0.25
# Turns further ahead were reserved before the clock was set back, by a failover for example: they are ignored.
FURTHEST = timedelta(seconds=30)
# A reservation that takes longer than `RESERVE_SECONDS` would hold up all calls of the token: its calls are spaced
# locally for `LOCAL_SECONDS` before the database is used again.
RESERVE_SECONDS = 1.0
LOCAL_SECONDS = 10.0
# A turn that is this late is dropped: the call would be too close to the next one.
_LATE_SECONDS = 0.02
# One row for all tokens. Their order prevents deadlocks; tokens that were deleted meanwhile are left out.
_RESERVE = text(
    """WITH reserved AS (
        INSERT INTO call_turns AS turn (token_id, next_at)
        SELECT id, statement_timestamp() + wanted.taken
        FROM unnest(CAST(:tokens AS uuid[]), CAST(:taken AS interval[])) AS wanted (id, taken)
        JOIN network_tokens USING (id) ORDER BY id
        ON CONFLICT (token_id) DO UPDATE SET next_at = excluded.next_at - statement_timestamp() + CASE
            WHEN turn.next_at > clock_timestamp() + CAST(:furthest AS interval) THEN clock_timestamp()
            ELSE greatest(turn.next_at, clock_timestamp()) END
        RETURNING token_id, CAST(extract(epoch FROM next_at - clock_timestamp()) AS float8) AS until_last
    ) SELECT array_agg(token_id) AS tokens, array_agg(until_last) AS until_last FROM reserved"""
)
_DATABASE_ERRORS = (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)


@dataclass
class _Queue:
    """The calls of one token that wait in this process, and the turns reserved for them (event loop time).

    `local_until`: until then, turns are not reserved in the database.
    """

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0
    turns: deque[float] = field(default_factory=deque)
    last: float = 0.0
    local_until: float = 0.0


class _Reservations:
    """Reserves turns of several tokens in one statement: those that come while one is under way share the next."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: dict[UUID, tuple[timedelta, asyncio.Future[float]]] = {}
        self._writing: asyncio.Task[None] | None = None

    async def reserve(self, token_id: UUID, taken: timedelta) -> float:
        """Reserve the next turns of a token; return the seconds until their end.

        Raises `LookupError` if the token was deleted.
        """
        found: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._waiting[token_id] = taken, found
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        return await found

    async def _write(self) -> None:
        while self._waiting:
            waiting, self._waiting = self._waiting, {}
            taken = [of for of, _ in waiting.values()]
            try:
                async with asyncio.timeout(RESERVE_SECONDS):
                    row = await self._database.execute_alone(
                        _RESERVE, {"tokens": list(waiting), "taken": taken, "furthest": FURTHEST}
                    )
            except Exception as error:  # noqa: BLE001 — raised in each task that waits
                for _, found in waiting.values():
                    if not found.done():
                        found.set_exception(error)
                continue
            until_last = dict(zip(row.tokens or (), row.until_last or (), strict=True))
            for token_id, (_, found) in waiting.items():
                if found.done():
                    continue
                if token_id in until_last:
                    found.set_result(until_last[token_id])
                else:
                    found.set_exception(LookupError("the token was deleted"))


class CallPacer:
    """Spaces the calls of a token evenly, because a network's limit applies to every period of one second."""

    def __init__(self, database: Database) -> None:
        self._reservations = _Reservations(database)
        self._queues: dict[UUID, _Queue] = {}

    async def wait_for_turn(self, token_id: UUID, calls_per_second: float) -> None:
        """Wait until the token may make its next call; calls of all processes are spaced evenly.

        While the database does not answer in time, only the calls of this process are spaced: an outage does not
        stop calls.
        """
        queue = self._queues.setdefault(token_id, _Queue())
        loop, interval = asyncio.get_running_loop(), MARGIN / calls_per_second
        queue.waiting += 1
        try:
            async with queue.lock:
                while queue.turns and queue.turns[0] < loop.time() - _LATE_SECONDS:
                    queue.turns.popleft()
                if not queue.turns:
                    wanted = max(1, min(queue.waiting, int(calls_per_second * BLOCK_SECONDS)))
                    first = loop.time() + await self._reserve(queue, token_id, wanted, interval)
                    # Keep the interval by the local clock too: the database's response arrives with varying delay.
                    first = max(first, queue.last + interval)
                    queue.turns.extend(first + number * interval for number in range(wanted))
                queue.last = queue.turns.popleft()
                await asyncio.sleep(queue.last - loop.time())
        finally:
            queue.waiting -= 1

    async def _reserve(self, queue: _Queue, token_id: UUID, count: int, interval: float) -> float:
        """Reserve `count` turns in a row; return the seconds until the first one, 0 without the database."""
        loop = asyncio.get_running_loop()
        if loop.time() < queue.local_until:
            return 0.0
        taken = timedelta(seconds=count * interval)
        try:
            async with asyncio.timeout(RESERVE_SECONDS):
                until_last = await self._reservations.reserve(token_id, taken)
        except (*_DATABASE_ERRORS, LookupError) as error:
            queue.local_until = loop.time() + LOCAL_SECONDS
            log.warning("calls of a token are spaced without the database", error=type(error).__name__)
            return 0.0
        return max(until_last - taken.total_seconds(), 0.0)
