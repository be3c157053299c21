"""Health of endpoints: since when an endpoint has been failing, and its last success. Times are the database's.

An endpoint has failed for some days if it failed throughout them: after a time without attempts, the days are
counted from the next failure. While no receiver answers at all, the fault is taken to be our own network's, and
that time does not count.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ARRAY, Boolean, Integer, Interval, Text, Uuid, bindparam, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from shared.api.pagination import inline_literal
from shared.database.sessions import WriteSession
from shared.tables.webhooks import WebhookAttempt, WebhookDelivery, WebhookEndpointHealth

# A count of an endpoint's deliveries stops here: counting more would be slow.
MAX_COUNTED = 10_000
# A failure after this long without one starts the count of failing days again. Longer than the longest pause
# between two attempts of one delivery.
QUIET_AFTER = timedelta(hours=30)
# How far back other receivers are considered, to tell a failing receiver from a fault of our own network.
OTHERS_WITHIN = timedelta(days=1)

_RECORD = text(
    """
    INSERT INTO webhook_endpoint_health AS health (endpoint_id, failing_since, consecutive_failures,
        last_failure_at, last_success_at, last_answer_at, last_delivery_id)
    SELECT id, failed_at, :failures, failed_at, CASE WHEN :succeeded THEN now() END,
        CASE WHEN :answered THEN now() END, :delivery_id
    FROM webhook_endpoints CROSS JOIN LATERAL (SELECT CASE WHEN :failures > 0 THEN now() END AS failed_at) AS last
    WHERE id = :endpoint_id
    ON CONFLICT (endpoint_id) DO UPDATE SET
        failing_since = CASE
            WHEN :succeeded OR health.failing_since IS NULL THEN excluded.failing_since
            WHEN health.last_failure_at >= now() - :quiet_after OR excluded.failing_since IS NULL
                THEN health.failing_since
            ELSE excluded.failing_since
        END,
        last_failure_at = coalesce(excluded.last_failure_at, health.last_failure_at),
        consecutive_failures = excluded.consecutive_failures
            + CASE WHEN :succeeded THEN 0 ELSE health.consecutive_failures END,
        last_success_at = greatest(excluded.last_success_at, health.last_success_at),
        last_answer_at = greatest(excluded.last_answer_at, health.last_answer_at),
        last_delivery_id = excluded.last_delivery_id
    """
).bindparams(
    bindparam("endpoint_id", type_=Uuid),
    bindparam("delivery_id", type_=Uuid),
    bindparam("failures", type_=Integer),
    bindparam("succeeded", type_=Boolean),
    bindparam("answered", type_=Boolean),
    bindparam("quiet_after", type_=Interval, value=QUIET_AFTER),
)
# A receiver that answered with errors while it failed can be reached. For one that did not answer, others decide:
# those with another host that were called recently.
_OTHERS = """LATERAL (
        SELECT count(*) AS called, count(*) FILTER (WHERE last_answer_at > now() - :others_within) AS answered
        FROM webhook_endpoint_health AS other
        JOIN webhook_endpoints AS elsewhere ON elsewhere.id = other.endpoint_id
        WHERE greatest(other.last_failure_at, other.last_success_at) > now() - :others_within
            AND substring(elsewhere.url FROM :host) <> substring(endpoint.url FROM :host)
    ) AS others"""
_IS_REACHABLE = "(health.last_answer_at >= health.failing_since OR others.called = 0 OR others.answered > 0)"
_COMMON = (
    bindparam("ids", type_=ARRAY(Uuid)),
    bindparam("others_within", type_=Interval, value=OTHERS_WITHIN),
    bindparam("host", type_=Text, value=r"//(\[[^]]*\]|[^/?#:]+)"),
)
_FAILING = text(
    f"""
    SELECT health.endpoint_id
    FROM webhook_endpoint_health AS health
    JOIN webhook_endpoints AS endpoint ON endpoint.id = health.endpoint_id
    CROSS JOIN {_OTHERS}
    WHERE health.endpoint_id = ANY(:ids) AND health.failing_since <= now() - :duration AND {_IS_REACHABLE}
    """  # noqa: S608 — a constant
).bindparams(*_COMMON, bindparam("duration", type_=Interval))
# Only failures that began before `OTHERS_WITHIN`: later ones disable no endpoint yet, and need not be compared
# with other receivers each time.
_RESTART_UNREACHABLE = text(
    f"""
    UPDATE webhook_endpoint_health AS health SET failing_since = now()
    FROM webhook_endpoints AS endpoint CROSS JOIN {_OTHERS}
    WHERE health.endpoint_id = ANY(:ids) AND endpoint.id = health.endpoint_id
        AND health.failing_since <= now() - :others_within AND {_IS_REACHABLE} IS NOT TRUE
    """  # noqa: S608 — a constant
).bindparams(*_COMMON)


@dataclass(frozen=True)
class AttemptOutcomes:
    """Outcomes of attempts of one endpoint: whether any succeeded, and how many failed after the last success.

    `delivery_id` is the delivery of the last attempt; `answered`: whether the receiver sent any response. Faults
    of our own are not failures.
    """

    endpoint_id: UUID
    delivery_id: UUID
    succeeded: bool = False
    failures: int = 0
    answered: bool = False


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
    """Return the ids of the endpoints among `ids` that have failed throughout `duration`, without a success.

    One that gave no response at all is left out while no other receiver that was called responded either.
    """
    return (await session.scalars(_FAILING, {"ids": list(ids), "duration": duration})).all()


async def restart_unreachable(session: WriteSession, ids: Collection[UUID]) -> None:
    """Count the days of failure from now for those among `ids` that `failing_for` leaves out; they have just
    failed.

    Otherwise their first failure after a long fault of our own, once another receiver answers, would disable them.
    The caller has just recorded outcomes of all of them, which locked their rows.
    """
    await session.execute(_RESTART_UNREACHABLE, {"ids": list(ids)})


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
