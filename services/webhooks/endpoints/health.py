"""Health of endpoints: since when an endpoint fails, and its last success. Times are taken from the database."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Boolean, Integer, Uuid, bindparam, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from shared.api.pagination import inline_literal
from shared.database.id_conditions import is_one_of
from shared.database.sessions import WriteSession
from shared.tables.webhooks import WebhookAttempt, WebhookDelivery, WebhookEndpointHealth

# A count of an endpoint's deliveries stops here: counting more would be slow.
MAX_COUNTED = 10_000

_RECORD = text(
    """
    INSERT INTO webhook_endpoint_health AS health (endpoint_id, failing_since, consecutive_failures,
        last_success_at, last_delivery_id)
    SELECT id, CASE WHEN :failures > 0 THEN now() END, :failures, CASE WHEN :succeeded THEN now() END, :delivery_id
    FROM webhook_endpoints WHERE id = :endpoint_id
    ON CONFLICT (endpoint_id) DO UPDATE SET
        failing_since = CASE
            WHEN :succeeded OR health.failing_since IS NULL THEN excluded.failing_since
            ELSE health.failing_since
        END,
        consecutive_failures = excluded.consecutive_failures
            + CASE WHEN :succeeded THEN 0 ELSE health.consecutive_failures END,
        last_success_at = greatest(excluded.last_success_at, health.last_success_at),
        last_delivery_id = excluded.last_delivery_id
    """
).bindparams(
    bindparam("endpoint_id", type_=Uuid),
    bindparam("delivery_id", type_=Uuid),
    bindparam("failures", type_=Integer),
    bindparam("succeeded", type_=Boolean),
)


@dataclass(frozen=True)
class AttemptOutcomes:
    """Outcomes of attempts of one endpoint: whether any succeeded, and how many failed after the last success.

    `delivery_id` is the delivery of the last attempt.
    """

    endpoint_id: UUID
    delivery_id: UUID
    succeeded: bool
    failures: int


@dataclass(frozen=True)
class EndpointHealth:
    """The stored health of an endpoint, its last attempt, and its numbers of waiting and failed deliveries."""

    stored: WebhookEndpointHealth | None
    last_attempt: WebhookAttempt | None
    waiting: int
    failed: int


async def record_outcomes(session: WriteSession, outcomes: Collection[AttemptOutcomes]) -> None:
    """Add these outcomes to the endpoints' health, in the order of ids. The caller has locked the endpoints."""
    connection = await session.connection()
    await connection.execute(_RECORD, [vars(one) for one in sorted(outcomes, key=lambda one: one.endpoint_id)])


async def failing_for(session: AsyncSession, ids: Collection[UUID], duration: timedelta) -> Sequence[UUID]:
    """Return the ids of the endpoints among `ids` that have failed for at least `duration` without a success."""
    query = select(WebhookEndpointHealth.endpoint_id).where(
        is_one_of(WebhookEndpointHealth.endpoint_id, ids),
        WebhookEndpointHealth.failing_since <= func.now() - duration,
    )
    return (await session.scalars(query)).all()


async def restart(session: WriteSession, endpoint_id: UUID) -> None:
    """Reset the failures of an endpoint, so that the next failure does not disable it at once."""
    await session.execute(
        update(WebhookEndpointHealth)
        .where(WebhookEndpointHealth.endpoint_id == endpoint_id)
        .values(failing_since=None, consecutive_failures=0)
        .execution_options(synchronize_session=False)
    )


async def load_health(session: AsyncSession, endpoint_id: UUID) -> EndpointHealth:
    """Return the health of an endpoint."""
    stored = await session.get(WebhookEndpointHealth, endpoint_id)
    last_attempt = None
    if stored is not None and stored.last_delivery_id is not None:
        last_attempt = await session.scalar(
            select(WebhookAttempt)
            .where(WebhookAttempt.delivery_id == stored.last_delivery_id)
            .order_by(WebhookAttempt.id.desc())
            .limit(1)
        )
    return EndpointHealth(
        stored,
        last_attempt,
        waiting=await count_deliveries(session, endpoint_id, "pending"),
        failed=await count_deliveries(session, endpoint_id, "failed"),
    )


async def count_deliveries(session: AsyncSession, endpoint_id: UUID, status: str) -> int:
    """Return how many deliveries of the endpoint have this status, at most `MAX_COUNTED`."""
    some = (
        select(WebhookDelivery.endpoint_id)
        .where(WebhookDelivery.endpoint_id == endpoint_id, WebhookDelivery.status == inline_literal(status))
        .limit(MAX_COUNTED)
        .subquery()
    )
    return await session.scalar(select(func.count()).select_from(some)) or 0
