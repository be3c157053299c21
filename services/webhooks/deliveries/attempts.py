"""Attempts of deliveries: the claimed delivery, the receiver's answer, and how both are recorded."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, Integer, Text, Uuid, and_, bindparam, case, select, text, update

from services.webhooks.deliveries.retry_schedule import next_attempt_at
from services.webhooks.endpoints import health, ordering
from services.webhooks.endpoints.health import AttemptOutcomes
from services.webhooks.event_catalogue.catalogue import VERIFICATION_EVENT_TYPE, organisation_of
from shared.database.sessions import WriteSession
from shared.ids import new_id
from shared.tables.webhooks import WebhookDelivery, WebhookEndpoint

HTTP_GONE = 410
# Characters of the response head, and of its body, that the history of attempts keeps.
RESPONSE_KEPT = 1_024
# Characters of the response body that the delivery's `last_error` contains.
RESPONSE_EXCERPT = 200

# After a stale claim the delivery may have been purged or its texts erased meanwhile: the response is not kept.
_INSERT_ATTEMPT = text(
    """
    INSERT INTO webhook_attempts (delivery_id, id, number, started_at, duration_ms, response_status, response_head,
        response_body, error)
    SELECT delivery.id, :id, :number, :started_at, :duration_ms, :response_status,
        CASE WHEN last_attempt_at = :claimed_at THEN :response_head END,
        CASE WHEN last_attempt_at = :claimed_at THEN :response_body END,
        CASE WHEN last_attempt_at = :claimed_at THEN :error
            WHEN :error IS NOT NULL THEN 'the response is not kept' END
    FROM webhook_deliveries AS delivery WHERE delivery.id = :delivery_id FOR KEY SHARE
    """
).bindparams(
    bindparam("id", type_=Uuid),
    bindparam("delivery_id", type_=Uuid),
    *(bindparam(name, type_=DateTime(timezone=True)) for name in ("started_at", "claimed_at")),
    *(bindparam(name, type_=Integer) for name in ("number", "duration_ms", "response_status")),
    *(bindparam(name, type_=Text) for name in ("response_head", "response_body", "error")),
)


@dataclass(frozen=True)
class ClaimedDelivery:
    """A delivery that this worker has leased; it is sent at `send_at`, by the clock of the event loop."""

    id: UUID
    endpoint_id: UUID
    event_id: UUID
    event_type: str
    url: str
    secret: bytes
    payload: dict[str, Any]
    attempts: int
    claimed_at: datetime
    headers: bytes | None = None
    personal_data: bool = False
    send_at: float = 0.0

    @property
    def challenge(self) -> str | None:
        """Return the challenge that the response must repeat; None for other deliveries than verifications."""
        if self.event_type != VERIFICATION_EVENT_TYPE:
            return None
        challenge: str = self.payload["data"]["challenge"]
        return challenge

    @property
    def organisation_id(self) -> UUID | None:
        """Return the organisation that the event concerns, by the body."""
        return organisation_of(self.payload)


@dataclass(frozen=True)
class Answer:
    """How the receiver answered; `error` is None if it accepted the delivery.

    `head` and `body` are the start of the response. `requested_wait`: how long the receiver asks to wait before
    the next attempt.
    """

    status: int | None = None
    head: str | None = None
    body: str | None = None
    error: str | None = None
    requested_wait: timedelta | None = None


@dataclass(frozen=True)
class AttemptResult:
    """One attempt: when it started, how many seconds it took, and the answer."""

    claim: ClaimedDelivery
    started_at: datetime
    seconds: float
    answer: Answer

    @property
    def error(self) -> str | None:
        """Return why the attempt failed, with an excerpt of the response; None for an accepted delivery."""
        answer = self.answer
        if answer.status is not None and answer.error is not None and answer.body:
            return f"{answer.error}: {answer.body[:RESPONSE_EXCERPT].strip()}"
        return answer.error


async def record_results(session: WriteSession, results: Sequence[AttemptResult], now: datetime) -> None:
    """Store the attempts and the endpoints' health; update deliveries that have not been claimed again.

    A delivery of an ordered endpoint that ends makes the next one of its subject due.

    Lock order: endpoints before deliveries, each by id, to avoid deadlocks.
    """
    endpoints = await session.execute(
        select(WebhookEndpoint.id, WebhookEndpoint.ordered)
        .where(WebhookEndpoint.id.in_({result.claim.endpoint_id for result in results}))
        .order_by(WebhookEndpoint.id)
        .with_for_update(read=True)
    )
    in_order = {row.id for row in endpoints if row.ordered}
    by_id = sorted(results, key=lambda result: result.claim.id)
    new_values = [_delivery_row(result, now) for result in by_id]
    ended = [
        result.claim.id
        for result, row in zip(by_id, new_values, strict=True)
        if result.claim.endpoint_id in in_order and row["new_status"] != "pending"
    ]
    if ended:
        # All rows that change are locked at once, by id.
        await ordering.wake_following(session, ended, now, also_lock=[row["of"] for row in new_values])
    rows = WebhookDelivery.__table__
    new_status = bindparam("new_status", type_=Text)
    # The endpoint was deactivated during the attempt, which failed its deliveries: do not try again.
    stays_failed = and_(new_status == "pending", rows.c.status == "failed")
    statement = (
        update(WebhookDelivery)
        .where(rows.c.id == bindparam("of"), rows.c.last_attempt_at == bindparam("claimed_at"))
        .values(
            status=case((stays_failed, "failed"), else_=new_status),
            next_attempt_at=bindparam("next"),
            response_status=bindparam("response"),
            last_error=bindparam("error"),
            delivered_at=bindparam("delivered"),
        )
    )
    connection = await session.connection()
    await connection.execute(statement, new_values)
    await connection.execute(_INSERT_ATTEMPT, [_attempt_row(result) for result in by_id])
    await health.record_outcomes(session, outcomes_by_endpoint(results))


def outcomes_by_endpoint(results: Sequence[AttemptResult]) -> list[AttemptOutcomes]:
    """Return the combined outcome of each endpoint's attempts, counted in the order in which they ended."""
    found: dict[UUID, AttemptOutcomes] = {}
    for result in sorted(results, key=lambda one: one.started_at + timedelta(seconds=one.seconds)):
        endpoint_id, accepted = result.claim.endpoint_id, result.error is None
        before = found.get(endpoint_id)
        found[endpoint_id] = AttemptOutcomes(
            endpoint_id=endpoint_id,
            delivery_id=result.claim.id,
            succeeded=accepted or (before is not None and before.succeeded),
            failures=0 if accepted else 1 + (before.failures if before is not None else 0),
        )
    return list(found.values())


def _delivery_row(result: AttemptResult, now: datetime) -> dict[str, Any]:
    claim, answer = result.claim, result.answer
    row = {"of": claim.id, "claimed_at": claim.claimed_at, "response": answer.status}
    if answer.error is None:
        return row | {"new_status": "delivered", "next": now, "error": None, "delivered": now}
    gone = answer.status == HTTP_GONE
    again = None if gone else next_attempt_at(now, claim.attempts, answer.requested_wait)
    return row | {
        "new_status": "failed" if again is None else "pending",
        "next": again or now,
        "error": result.error,
        "delivered": None,
    }


def _attempt_row(result: AttemptResult) -> dict[str, Any]:
    return {
        "delivery_id": result.claim.id,
        "claimed_at": result.claim.claimed_at,
        "id": new_id(),
        "number": result.claim.attempts,
        "started_at": result.started_at,
        "duration_ms": round(result.seconds * 1_000),
        "response_status": result.answer.status,
        "response_head": result.answer.head,
        "response_body": result.answer.body,
        "error": result.answer.error,
    }
