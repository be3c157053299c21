"""The hash chain of the audit trail: each row's hash covers the previous row, so that changes are detected.

The relay numbers committed rows and chains them in one step; `verify` recomputes the chain. A superuser of the
database could rebuild the whole chain: only a chain head stored elsewhere reveals that.
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
from shared.logs import get_logger
from shared.tables.common import AuditEntry

log = get_logger(__name__)

GENESIS = bytes(32)
CHAIN_BATCH_SIZE = 2_000
_HASHED = [column for column in AuditEntry.__table__.columns if column.name not in {"chain", "write_order"}]
_SET_CHAIN = text(
    """UPDATE audit SET position = given.position, chain = given.chain
    FROM unnest(CAST(:ids AS uuid[]), CAST(:positions AS bigint[]), CAST(:chains AS bytea[]))
        AS given (id, position, chain)
    WHERE audit.id = given.id"""
)


def chain_hash(previous_hash: bytes, row: Mapping[str, Any]) -> bytes:
    """Return the hash of a numbered row: SHA-256 over the previous hash and the row's canonical JSON."""
    values = {name: _canonical(value) for name, value in row.items() if name != "chain"}
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(previous_hash + canonical.encode()).digest()


def _canonical(value: Any) -> Any:
    match value:
        case UUID():
            return str(value)
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="microseconds")
        case _:
            return value


async def number_and_chain(session: WriteSession, limit: int = CHAIN_BATCH_SIZE) -> int:
    """Number and chain committed audit rows; return how many. The relay calls this under its lock."""
    rows = (
        await session.execute(
            select(*_HASHED)
            .where(AuditEntry.position.is_(None))
            .order_by(AuditEntry.write_order.nulls_first(), AuditEntry.created_at, AuditEntry.id)
            .limit(limit)
        )
    ).all()
    if not rows:
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
    for row in rows:
        position += 1
        chain = chain_hash(chain, {**row._mapping, "position": position})
        ids.append(row.id)
        positions.append(position)
        chains.append(chain)
    await session.execute(_SET_CHAIN, {"ids": ids, "positions": positions, "chains": chains})
    # Logs are stored outside the database, so they hold an independent copy of the head.
    log.info("audit chained", position=position, head=chain.hex())
    return len(rows)


@dataclass(frozen=True)
class ChainHead:
    """The last position and hash of the chain at some time, written `position:hash`."""

    position: int
    chain: bytes

    @classmethod
    def parse(cls, noted: str) -> "ChainHead":
        """Return the head that `str` wrote as `noted`. Raise `ValueError` if it is malformed."""
        position, _, chain = noted.partition(":")
        found = cls(int(position), bytes.fromhex(chain))
        if found.position < 1 or len(found.chain) != len(GENESIS):
            raise ValueError("a chain head is a position and 64 hexadecimal digits")
        return found

    def __str__(self) -> str:
        return f"{self.position}:{self.chain.hex()}"


@dataclass(frozen=True)
class ChainError:
    """The first position where the chain is wrong."""

    position: int
    detail: str


@dataclass(frozen=True)
class VerificationResult:
    """The result of a verification: the head of an intact chain or the error, and the number of unchained rows."""

    head: ChainHead | None
    unchained_count: int
    error: ChainError | None


async def verify(
    session: AsyncSession,
    expected_head: ChainHead | None = None,
    progress: Callable[[int], None] = lambda _position: None,
) -> VerificationResult:
    """Verify the chain from its beginning up to the first error.

    The chain must contain `expected_head`, a head stored earlier.
    """
    unchained_count = await session.scalar(select(func.count()).where(AuditEntry.position.is_(None))) or 0
    position, chain = 0, GENESIS
    async for row in _in_order(session):
        if (error := _chain_error(row, position + 1, chain, expected_head)) is not None:
            return VerificationResult(None, unchained_count, error)
        position, chain = row["position"], row["chain"]
        progress(position)
    if expected_head is not None and position < expected_head.position:
        return VerificationResult(
            None,
            unchained_count,
            ChainError(position + 1, "the row is missing: the expected head is beyond the end of the chain"),
        )
    return VerificationResult(ChainHead(position, chain) if position else None, unchained_count, None)


async def _in_order(session: AsyncSession) -> AsyncIterator[dict[str, Any]]:
    position = None
    query = select(*_HASHED, AuditEntry.chain).order_by(AuditEntry.position).limit(CHAIN_BATCH_SIZE)
    while True:
        after = AuditEntry.position.is_not(None) if position is None else AuditEntry.position > position
        rows = (await session.execute(query.where(after))).mappings().all()
        for row in rows:
            yield dict(row)
        if len(rows) < CHAIN_BATCH_SIZE:
            return
        position = rows[-1]["position"]


def _chain_error(
    row: Mapping[str, Any], position: int, previous_hash: bytes, expected_head: ChainHead | None
) -> ChainError | None:
    if row["position"] != position:
        if row["position"] < position:
            return ChainError(row["position"], "there is no such position: the chain starts at 1")
        return ChainError(position, "the row is missing")
    if row["chain"] != chain_hash(previous_hash, row):
        return ChainError(position, f"the row {row['id']} was changed or replaced after it was chained")
    if expected_head is not None and expected_head.position == position and expected_head.chain != row["chain"]:
        return ChainError(position, "the chain was rebuilt: the hash differs from the expected head")
    return None
