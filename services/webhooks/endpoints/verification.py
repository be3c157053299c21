"""Verification of a URL: the receiver proves that it wants our deliveries by repeating a random challenge.

Without it, anyone with the right to create endpoints could make us send to somebody else's system. Until a new URL
is verified, other deliveries to it wait.
"""

import json
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.webhooks.endpoints import direct_deliveries
from shared import clock
from shared.audit import recorder
from shared.auth.callers import Caller
from shared.contracts.webhook_events import WebhookVerification
from shared.database.sessions import WriteSession
from shared.ids import new_id
from shared.tables.webhooks import WebhookDelivery, WebhookEndpoint

REPLACED = "another verification was requested"
WRONG_RESPONSE = "the response does not repeat the challenge"


async def is_pending(session: AsyncSession, endpoint: WebhookEndpoint) -> bool:
    """Return whether the endpoint's challenge is still to be sent, or to be sent again."""
    found = await session.scalar(
        select(WebhookDelivery.status).where(WebhookDelivery.id == endpoint.verification_id)
    )
    return found == "pending"


@dataclass(frozen=True)
class AnsweredChallenge:
    """A challenge, by its delivery, that the receiver at this URL of the endpoint has repeated."""

    endpoint_id: UUID
    delivery_id: UUID
    url: str


async def request(
    session: WriteSession, caller: Caller, endpoint: WebhookEndpoint, limit: int
) -> tuple[WebhookDelivery, int]:
    """Queue a delivery with a new challenge; return it and how many more may be requested this minute.

    A former challenge is no longer accepted. Raise `TooManyRequests` beyond `limit` per minute.
    """
    left = await direct_deliveries.take_from_limit(session, endpoint.organisation_id, limit)
    former, endpoint.verification_id = endpoint.verification_id, new_id()
    # The row of a new endpoint must exist before its delivery.
    await session.flush()
    if former is not None:
        await session.execute(
            update(WebhookDelivery)
            .where(WebhookDelivery.id == former, WebhookDelivery.status == "pending")
            .values(status="failed", last_error=REPLACED)
            .execution_options(synchronize_session=False)
        )
        # No audit row of the former delivery: the endpoint's audit row shows that it was replaced.
        await recorder.record(session, WebhookDelivery)
    data = WebhookVerification(endpoint_id=endpoint.id, challenge=secrets.token_urlsafe(32))
    delivery = await direct_deliveries.queue(session, endpoint, caller.actor, data, endpoint.verification_id)
    return delivery, left


async def confirm(session: WriteSession, answered: Collection[AnsweredChallenge]) -> None:
    """Record that the URLs of these endpoints are verified, unless another challenge was requested.

    An endpoint whose URL has changed since the challenge was sent stays unverified: another receiver answered.
    """
    for one in sorted(answered, key=lambda one: one.endpoint_id):
        await session.execute(
            update(WebhookEndpoint)
            .where(
                WebhookEndpoint.id == one.endpoint_id,
                WebhookEndpoint.verification_id == one.delivery_id,
                WebhookEndpoint.url == one.url,
                WebhookEndpoint.verified_at.is_(None),
            )
            .values(verified_at=clock.now(), updated_at=clock.now())
            .execution_options(synchronize_session=False)
        )


def repeats_challenge(body: bytes, challenge: str) -> bool:
    """Return whether the body of a response is the challenge, as text, as JSON text, or in a field `challenge`.

    A body that contains it elsewhere does not count: many servers return whatever they receive.
    """
    text = body.decode("utf-8", errors="replace").strip()
    if text == challenge:
        return True
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return found == challenge or (isinstance(found, dict) and found.get("challenge") == challenge)
