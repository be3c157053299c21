"""Daily call limits per method and token, reserved in the database in blocks before the calls are made.

The day is a sliding window of the network's day length. A killed process leaves its block reserved, so the count
may be too high but never too low.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import bindparam, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from services.ingest.settings import IngestSettings
from shared import clock
from shared.database.sessions import Database, WriteSession
from shared.tables.ingest import CallCount

# Calls are counted in buckets shorter than an hour; a bucket counts in full until all of it is outside the window.
BUCKETS_PER_DAY = 96
BLOCK_SHARE = 200
MAX_BLOCK = 25

Key = tuple[UUID, str]

_COUNTED = (
    select(CallCount.token_id, CallCount.method, func.sum(CallCount.calls).label("calls"))
    .where(CallCount.bucket > bindparam("after"))
    .group_by(CallCount.token_id, CallCount.method)
)


@dataclass
class _Block:
    bucket: datetime
    left: int


class CallBudget:
    """Tracks how many calls of limited methods each token has left."""

    def __init__(self, database: Database, settings: IngestSettings) -> None:
        self._database = database
        self._settings = settings
        self._part = settings.call_budget_window_seconds / BUCKETS_PER_DAY
        self._blocks: dict[Key, _Block] = {}
        self._counted: dict[Key, int] = {}
        self._spent_until: dict[Key, datetime] = {}

    def limit(self, network: str, method: str) -> int | None:
        """Return how many calls one token may make in the network's day; None: no limit."""
        return self._settings.calls_per_day(network).get(method)

    def is_exhausted(self, token_id: UUID, network: str, method: str, now: datetime) -> bool:
        """Return whether the token has no calls of this method left, as far as this process knows."""
        if self.limit(network, method) is None:
            return False
        until = self._spent_until.get((token_id, method))
        return until is not None and now < until

    def calls_left(self, token_id: UUID, network: str, method: str) -> int | None:
        """Return the calls left, None: no limit; as of the last `refresh`, minus this process's calls since."""
        limit = self.limit(network, method)
        if limit is None:
            return None
        key = (token_id, method)
        if self.is_exhausted(token_id, network, method, clock.now()):
            return 0
        held = self._blocks.get(key)
        return max(limit - self._counted.get(key, 0), 0) + (held.left if held else 0)

    async def refresh(self) -> None:
        """Reload the counts of all processes."""
        async with self._database.read() as session:
            rows = await session.execute(_COUNTED, {"after": self._horizon(clock.now())})
            self._counted = {(row.token_id, row.method): int(row.calls) for row in rows}

    async def reserve_call(self, token_id: UUID, network: str, method: str) -> bool:
        """Reserve one call before it is made; return False if the token has none left."""
        limit = self.limit(network, method)
        if limit is None:
            return True
        key, now = (token_id, method), clock.now()
        if self.is_exhausted(token_id, network, method, now):
            return False
        bucket = self._bucket(now)
        block = self._blocks.get(key)
        if block is None or block.bucket != bucket or block.left <= 0:
            block = await self._reserve(key, bucket, limit)
            # Several calls may have waited for the lock; their reservations add up.
            held = self._blocks.get(key)
            if held is not None and held.bucket == bucket:
                block.left += held.left
            self._blocks[key] = block
        if block.left <= 0:
            self._spent_until[key] = bucket + timedelta(seconds=self._part)
            return False
        block.left -= 1
        return True

    async def _reserve(self, key: Key, bucket: datetime, limit: int) -> _Block:
        token_id, method = key
        old = self._blocks.pop(key, None)
        block = max(1, min(limit // BLOCK_SHARE, MAX_BLOCK))
        async with self._database.write() as session:
            # The lock allows one reservation per token and method at a time across processes.
            await session.execute(
                select(func.pg_advisory_xact_lock(func.hashtextextended(f"calls:{token_id}:{method}", 0)))
            )
            if old is not None and old.bucket != bucket and old.left > 0:
                await _give_back(session, key, old)
            counted = await session.scalar(
                select(func.coalesce(func.sum(CallCount.calls), 0)).where(
                    CallCount.token_id == token_id,
                    CallCount.method == method,
                    CallCount.bucket > self._horizon(clock.now()),
                )
            )
            counted = int(counted or 0)
            granted = max(min(block, limit - counted), 0)
            if granted:
                fresh = insert(CallCount).values(token_id=token_id, method=method, bucket=bucket, calls=granted)
                await session.execute(
                    fresh.on_conflict_do_update(
                        index_elements=[CallCount.token_id, CallCount.method, CallCount.bucket],
                        set_={"calls": CallCount.calls + granted},
                    )
                )
        self._counted[key] = counted + granted
        return _Block(bucket, granted)

    async def delete_expired(self) -> None:
        """Delete buckets that have left the window."""
        async with self._database.write() as session:
            await session.execute(delete(CallCount).where(CallCount.bucket <= self._horizon(clock.now())))

    def _bucket(self, now: datetime) -> datetime:
        number = int(now.timestamp() // self._part)
        return datetime.fromtimestamp(number * self._part, UTC)

    def _horizon(self, now: datetime) -> datetime:
        return now - timedelta(seconds=self._settings.call_budget_window_seconds + self._part)


async def _give_back(session: WriteSession, key: Key, block: _Block) -> None:
    token_id, method = key
    await session.execute(
        update(CallCount)
        .where(CallCount.token_id == token_id, CallCount.method == method, CallCount.bucket == block.bucket)
        .values(calls=CallCount.calls - block.left)
    )
