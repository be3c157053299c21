"""Turns of claims: one worker at a time claims deliveries of an endpoint with an order or a limit.

A claim locks the turn exclusively and skips endpoints whose turn is locked, so it never waits. Code that ends a
delivery of an ordered endpoint locks the turn in shared mode: at the same time, a claim could miss that the
delivery has ended. Lock order: endpoints, then turns, then deliveries.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, DateTime, Float, Uuid, bindparam, text

from shared.database.sessions import WriteSession

# Slightly slower than allowed: network jitter can bring requests closer together.
MARGIN = 1.05
# Requests are claimed at most this long before they are sent: a worker looks for due deliveries twice a second.
AHEAD_SECONDS = 1.0
# A turn further ahead was reserved before the clock was set back, by a failover for example: it is ignored.
FURTHEST_SECONDS = 30.0

_LOCK = text(
    """
    INSERT INTO webhook_claim_turns (endpoint_id, next_send_at) VALUES (:endpoint_id, clock_timestamp())
    ON CONFLICT (endpoint_id) DO UPDATE SET next_send_at = webhook_claim_turns.next_send_at
    """
).bindparams(bindparam("endpoint_id", type_=Uuid))
_SHARE = text(
    """
    SELECT endpoint_id FROM webhook_claim_turns WHERE endpoint_id = ANY(:endpoint_ids)
    ORDER BY endpoint_id FOR SHARE
    """
).bindparams(bindparam("endpoint_ids", type_=ARRAY(Uuid)))
_TAKE = text(
    """
    SELECT turn.endpoint_id, endpoint.max_per_second, clock_timestamp() AS now,
        extract(epoch FROM turn.next_send_at - clock_timestamp()) AS wait
    FROM webhook_claim_turns AS turn
    JOIN webhook_endpoints AS endpoint ON endpoint.id = turn.endpoint_id
    CROSS JOIN LATERAL (
        SELECT FROM webhook_deliveries
        WHERE endpoint_id = endpoint.id AND status = 'pending' AND next_attempt_at <= now()
        ORDER BY next_attempt_at
        LIMIT 1
    ) AS due
    WHERE NOT endpoint.paused
        AND (endpoint.ordered OR endpoint.max_per_second IS NOT NULL OR endpoint.max_concurrency IS NOT NULL)
    FOR NO KEY UPDATE OF turn SKIP LOCKED
    """
)
_RESERVE = text(
    """
    UPDATE webhook_claim_turns SET next_send_at = :taken_at + make_interval(secs => :seconds)
    WHERE endpoint_id = :endpoint_id
    """
).bindparams(
    bindparam("endpoint_id", type_=Uuid),
    bindparam("taken_at", type_=DateTime(timezone=True)),
    bindparam("seconds", type_=Float),
)


@dataclass(frozen=True)
class ClaimTurn:
    """A turn that this transaction holds.

    `max_per_second` is None for an endpoint without that limit; `wait_seconds`: until its next request may be
    sent, counted from `taken_at`, the time of the database.
    """

    endpoint_id: UUID
    taken_at: datetime
    max_per_second: int | None = None
    wait_seconds: float = 0.0

    @property
    def room(self) -> int | None:
        """Return how many requests may be claimed now; None: the rate is not limited."""
        if self.max_per_second is None:
            return None
        return max(math.ceil((AHEAD_SECONDS - self.wait_seconds) / (MARGIN / self.max_per_second)), 0)

    def seconds_until(self, place: int) -> float:
        """Return in how many seconds the request with this place may be sent; the first one has place 0."""
        if self.max_per_second is None:
            return 0.0
        return self.wait_seconds + place * MARGIN / self.max_per_second


async def lock(session: WriteSession, endpoint_id: UUID) -> None:
    """Create the endpoint's turn if there is none, and lock it exclusively until the transaction ends."""
    await session.execute(_LOCK, {"endpoint_id": endpoint_id})


async def share(session: WriteSession, endpoint_ids: Collection[UUID]) -> None:
    """Lock the turns of these endpoints in shared mode until the transaction ends."""
    await session.execute(_SHARE, {"endpoint_ids": list(endpoint_ids)})


async def take_due(session: WriteSession) -> Sequence[ClaimTurn]:
    """Take the free turns of the endpoints with an order or a limit that have due deliveries."""
    return [
        ClaimTurn(
            endpoint_id=row.endpoint_id,
            taken_at=row.now,
            max_per_second=row.max_per_second,
            wait_seconds=max(float(row.wait), 0.0) if row.wait <= FURTHEST_SECONDS else 0.0,
        )
        for row in await session.execute(_TAKE)
    ]


async def reserve(session: WriteSession, turns: Sequence[ClaimTurn], claimed: Mapping[UUID, int]) -> None:
    """Store when the next request may be sent, by the number of claimed deliveries of each endpoint."""
    rows = [
        {
            "endpoint_id": turn.endpoint_id,
            "taken_at": turn.taken_at,
            "seconds": turn.seconds_until(claimed[turn.endpoint_id]),
        }
        for turn in turns
        if turn.max_per_second is not None and claimed.get(turn.endpoint_id)
    ]
    if rows:
        connection = await session.connection()
        await connection.execute(_RESERVE, rows)
