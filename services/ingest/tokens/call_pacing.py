"""Spacing of a token's calls over all processes: each call waits for a turn that is reserved in the database."""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import asyncpg
from sqlalchemy import Interval, Uuid, bindparam, case, extract, func
from sqlalchemy.exc import SQLAlchemyError

from shared.database.bulk_insert import insert_into
from shared.database.sessions import Database
from shared.logs import get_logger
from shared.tables.ingest import CallTurn

log = get_logger(__name__)

# Slightly slower than allowed: network jitter can bring calls closer together.
MARGIN = 1.08
# A process reserves turns for the calls that wait in it, at most for this long: others wait no longer behind it.
BLOCK_SECONDS = 0.25
# Turns further ahead come from a clock that was set back, as after a failover: they are taken as never reserved.
FURTHEST = timedelta(seconds=30)
# A slower reservation would hold up all calls of the token: they are spaced locally for a while, and then the
# database is asked again.
RESERVE_SECONDS = 1.0
LOCAL_SECONDS = 10.0
# A turn that nobody took in time is not used later, when it would follow the next one too closely.
_LATE_SECONDS = 0.02
_NOW = func.clock_timestamp()
_TAKEN = bindparam("taken", type_=Interval)
_FREE_AT = case((CallTurn.next_at > _NOW + FURTHEST, _NOW), else_=func.greatest(CallTurn.next_at, _NOW))
_RESERVE = (
    insert_into(CallTurn)
    .values(token_id=bindparam("token", type_=Uuid), next_at=_NOW + _TAKEN)
    .on_conflict_do_update(index_elements=[CallTurn.token_id], set_={"next_at": _FREE_AT + _TAKEN})
    .returning(extract("epoch", CallTurn.next_at - _NOW).label("until_last"))
)
_DATABASE_ERRORS = (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)


@dataclass
class _Queue:
    """The calls of one token that wait in this process, and the turns reserved for them (event loop time).

    `local_until`: the database is not asked for turns before.
    """

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0
    turns: deque[float] = field(default_factory=deque)
    last: float = 0.0
    local_until: float = 0.0


class CallPacer:
    """Lets the calls of a token follow each other evenly, because a network's limit applies to any one second."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queues: dict[UUID, _Queue] = {}

    async def wait_for_turn(self, token_id: UUID, calls_per_second: float) -> None:
        """Wait until the token may make its next call, in whichever process.

        While the database does not answer in time, the calls of this process are spaced by themselves: an outage
        stops no call.
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
                    # The local clock decides too: what the database says is late by the way of its answer.
                    first = max(first, queue.last + interval)
                    queue.turns.extend(first + number * interval for number in range(wanted))
                queue.last = queue.turns.popleft()
                await asyncio.sleep(queue.last - loop.time())
        finally:
            queue.waiting -= 1

    async def _reserve(self, queue: _Queue, token_id: UUID, count: int, interval: float) -> float:
        """Reserve turns one after the other; return the seconds until the first one, 0 without the database."""
        loop = asyncio.get_running_loop()
        if loop.time() < queue.local_until:
            return 0.0
        taken = timedelta(seconds=count * interval)
        try:
            async with asyncio.timeout(RESERVE_SECONDS):
                found = await self._database.execute_alone(_RESERVE, {"token": token_id, "taken": taken})
        except _DATABASE_ERRORS as error:
            queue.local_until = loop.time() + LOCAL_SECONDS
            log.warning("calls of a token are spaced without the database", error=type(error).__name__)
            return 0.0
        return max(float(found.until_last) - taken.total_seconds(), 0.0)
