"""The chain of the audit trail: each row's hash covers the row before it, so that no row can change unnoticed.

The relay numbers committed rows and chains them in one step. `verify` walks the chain again. Whoever may write to
the database past its rights could make the whole chain anew: only a head that was noted elsewhere shows that.
"""

import hashlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.database.sessions import WriteSession
from shared.logs import logger
from shared.tables.common import AuditEntry

log = logger(__name__)

GENESIS = bytes(32)
BATCH = 2_000
_HASHED = [column for column in AuditEntry.__table__.columns if column.name not in {"chain", "write_order"}]
_SET = text(
    """UPDATE audit SET position = given.position, chain = given.chain
    FROM unnest(CAST(:ids AS uuid[]), CAST(:positions AS bigint[]), CAST(:chains AS bytea[]))
        AS given (id, position, chain)
    WHERE audit.id = given.id"""
)


def link(before: bytes, row: Mapping[str, Any]) -> bytes:
    """The hash of a numbered row after the one before: SHA-256 over that hash and the row's canonical JSON."""
    values = {name: _canonical(value) for name, value in row.items() if name != "chain"}
    written = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(before + written.encode()).digest()


def _canonical(value: Any) -> Any:
    match value:
        case UUID():
            return str(value)
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="microseconds")
        case _:
            return value


async def number_and_chain(session: WriteSession, limit: int = BATCH) -> int:
    """Give committed rows the next positions and their hashes; returns how many. For the relay, under its lock."""
    waiting = (
        await session.execute(
            select(*_HASHED)
            .where(AuditEntry.position.is_(None))
            .order_by(AuditEntry.write_order.nulls_first(), AuditEntry.created_at, AuditEntry.id)
            .limit(limit)
        )
    ).all()
    if not waiting:
        return 0
    last = (
        await session.execute(
            select(AuditEntry.position, AuditEntry.chain)
            .where(AuditEntry.position.is_not(None))
            .order_by(AuditEntry.position.desc())
            .limit(1)
        )
    ).one_or_none()
    position, chain = (last.position or 0, last.chain or GENESIS) if last is not None else (0, GENESIS)
    ids, positions, chains = [], [], []
    for row in waiting:
        position += 1
        chain = link(chain, {**row._mapping, "position": position})
        ids.append(row.id)
        positions.append(position)
        chains.append(chain)
    await session.execute(_SET, {"ids": ids, "positions": positions, "chains": chains})
    # A witness outside the database: logs are kept elsewhere.
    log.info("audit chained", position=position, head=chain.hex())
    return len(waiting)


@dataclass(frozen=True)
class Head:
    """How far the chain reached when somebody noted it: `position:hash`."""

    position: int
    chain: bytes

    @classmethod
    def parse(cls, noted: str) -> "Head":
        """A head as `str` writes it. Raises `ValueError`."""
        position, _, chain = noted.partition(":")
        found = cls(int(position), bytes.fromhex(chain))
        if found.position < 1 or len(found.chain) != len(GENESIS):
            raise ValueError("a head is a position and 64 hexadecimal digits")
        return found

    def __str__(self) -> str:
        return f"{self.position}:{self.chain.hex()}"


@dataclass(frozen=True)
class Broken:
    """The first place where the chain does not hold."""

    position: int
    what: str


@dataclass(frozen=True)
class Verdict:
    """What walking the chain found: its head when it holds; how many rows the relay has still to chain."""

    head: Head | None
    waiting: int
    broken: Broken | None


async def verify(
    session: AsyncSession, noted: Head | None = None, progress: Callable[[int], None] = lambda _position: None
) -> Verdict:
    """Walk the chain from its beginning to the first place that is wrong.

    `noted`: a head that was written down earlier; the chain must still go through it.
    """
    waiting = await session.scalar(select(func.count()).where(AuditEntry.position.is_(None))) or 0
    position, chain = 0, GENESIS
    async for row in _in_order(session):
        if (broken := _fault(row, position + 1, chain, noted)) is not None:
            return Verdict(None, waiting, broken)
        position, chain = row["position"], row["chain"]
        progress(position)
    if noted is not None and position < noted.position:
        return Verdict(None, waiting, Broken(position + 1, "the row is missing: the chain was longer once"))
    return Verdict(Head(position, chain) if position else None, waiting, None)


async def _in_order(session: AsyncSession) -> AsyncIterator[dict[str, Any]]:
    position = None
    query = select(*_HASHED, AuditEntry.chain).order_by(AuditEntry.position).limit(BATCH)
    while True:
        after = AuditEntry.position.is_not(None) if position is None else AuditEntry.position > position
        rows = (await session.execute(query.where(after))).mappings().all()
        for row in rows:
            yield dict(row)
        if len(rows) < BATCH:
            return
        position = rows[-1]["position"]


def _fault(row: Mapping[str, Any], position: int, before: bytes, noted: Head | None) -> Broken | None:
    if row["position"] != position:
        if row["position"] < position:
            return Broken(row["position"], "there is no such position: the chain begins at 1")
        return Broken(position, "the row is missing")
    if row["chain"] != link(before, row):
        return Broken(position, f"the row {row['id']} is not the one that was chained here")
    if noted is not None and noted.position == position and noted.chain != row["chain"]:
        return Broken(position, "the chain was made anew: its hash here is not the one noted")
    return None
