"""Attempts of deliveries: the claimed delivery, the receiver's answer, and how both are recorded."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, Integer, Interval, Text, Uuid, and_, bindparam, case, func, select, text, update

from services.webhooks.deliveries.retry_schedule import MOST_UNCOUNTED, SYSTEM_PAUSE, pause_after
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
    """A delivery that this worker has leased; it is sent at `send_at`, by the clock of the event loop.

    `attempts` and `uncounted_attempts` include the one that it is leased for. `claimed_at` is by the database's
    clock.
    """

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
    uncounted_attempts: int = 1
    personal_data: bool = False
    send_at: float = 0.0

    @property
    def challenge(self) -> str | None:
        """Return the challenge that the response must repeat; None for deliveries that are not verifications."""
        if self.event_type != VERIFICATION_EVENT_TYPE:
            return None
        challenge: str = self.payload["data"]["challenge"]
        return challenge

    @property
    def organisation_id(self) -> UUID | None:
        """Return the organisation that the event concerns, as the body says; None if it says none."""
        return organisation_of(self.payload)


@dataclass(frozen=True)
class Answer:
    """How the receiver answered; `error` is None if it accepted the delivery.

    `head` and `body` are the start of the response. `requested_wait`: how long the receiver asks to wait before
    the next attempt. `own_fault`: nothing was sent, for a reason on our side that says nothing about the receiver;
    `requested_wait` is then the pause.
    """

    status: int | None = None
    head: str | None = None
    body: str | None = None
    error: str | None = None
    requested_wait: timedelta | None = None
    own_fault: bool = False


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

    @property
    def counts(self) -> bool:
        """Return whether the attempt is one of the ten of its delivery.

        One that failed through our own fault is not, unless it is the tenth uncounted one in a row, or a later one
        (`MOST_UNCOUNTED`).
        """
        return not self.answer.own_fault or self.claim.uncounted_attempts >= MOST_UNCOUNTED


async def record_results(session: WriteSession, results: Sequence[AttemptResult]) -> None:
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
    new_values = [_delivery_row(result) for result in by_id]
    ended = [
        result.claim.id
        for result, row in zip(by_id, new_values, strict=True)
        if result.claim.endpoint_id in in_order and row["new_status"] != "pending"
    ]
    if ended:
        # All rows that change are locked at once, by id.
        await ordering.wake_following(session, ended, also_lock=[row["of"] for row in new_values])
    rows = WebhookDelivery.__table__
    new_status = bindparam("new_status", type_=Text)
    # If the endpoint was deactivated during the attempt, its deliveries have failed and are not tried again.
    stays_failed = and_(new_status == "pending", rows.c.status == "failed")
    statement = (
        update(WebhookDelivery)
        .where(rows.c.id == bindparam("of"), rows.c.last_attempt_at == bindparam("claimed_at"))
        .values(
            status=case((stays_failed, "failed"), else_=new_status),
            attempts=bindparam("counted"),
            uncounted_attempts=bindparam("uncounted"),
            next_attempt_at=func.now() + bindparam("pause", type_=Interval),
            response_status=bindparam("response"),
            last_error=bindparam("error"),
            delivered_at=case((new_status == "delivered", func.now())),
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
        endpoint_id, answer = result.claim.endpoint_id, result.answer
        before = found.get(endpoint_id, AttemptOutcomes(endpoint_id, result.claim.id))
        outcomes = replace(
            before, delivery_id=result.claim.id, answered=before.answered or answer.status is not None
        )
        if answer.error is None:
            outcomes = replace(outcomes, succeeded=True, failures=0)
        elif not answer.own_fault:
            outcomes = replace(outcomes, failures=before.failures + 1)
        found[endpoint_id] = outcomes
    return list(found.values())


def _delivery_row(result: AttemptResult) -> dict[str, Any]:
    claim, answer = result.claim, result.answer
    row: dict[str, Any] = {"of": claim.id, "claimed_at": claim.claimed_at, "response": answer.status}
    row |= {"counted": claim.attempts, "uncounted": 0, "error": result.error}
    if answer.error is None:
        return row | {"new_status": "delivered", "pause": timedelta()}
    if not result.counts:
        uncounted = {"counted": claim.attempts - 1, "uncounted": claim.uncounted_attempts}
        return row | uncounted | {"new_status": "pending", "pause": answer.requested_wait or SYSTEM_PAUSE}
    gone = answer.status == HTTP_GONE
    pause = None if gone else pause_after(claim.attempts, answer.requested_wait)
    return row | {"new_status": "failed" if pause is None else "pending", "pause": pause or timedelta()}


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
