"""Disabling of endpoints whose receiver is gone, has failed for days, or did not repeat the challenge. Their
pending deliveries fail and can be replayed.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy import exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.webhooks.endpoints import health, pending_deliveries
from shared import clock
from shared.contracts.webhook_events import WebhookEndpointDisabled
from shared.database.sessions import WriteSession
from shared.events.outbox import NewEvent, emit
from shared.tables.notices import NoticeLetter, NoticeSettings
from shared.tables.webhooks import WebhookDelivery, WebhookEndpoint, WebhookEndpointHealth

# The purpose of the letter to the owner of a disabled endpoint.
LETTER_PURPOSE = "endpoint_disabled"
GONE_REASON = "the receiver answered 410 Gone"
UNVERIFIED_REASON = "the receiver did not repeat the challenge"

# Why an endpoint is disabled: its receiver answered 410, its URL was not verified, or deliveries failed for days.
DisablingCause = Literal["gone", "unverified", "failing"]
_CAUSES: dict[str, DisablingCause] = {GONE_REASON: "gone", UNVERIFIED_REASON: "unverified"}


async def disable_gone(session: WriteSession, urls: Mapping[UUID, str]) -> None:
    """Disable endpoints whose receivers answered 410 at these URLs, unless the URL has changed since."""
    for endpoint in await _lock_active(session, urls):
        if endpoint.url == urls[endpoint.id]:
            await _disable(session, endpoint, GONE_REASON)


async def disable_failing(session: WriteSession, ids: Collection[UUID], limit: timedelta) -> None:
    """Disable the endpoints among these that have failed for `limit` without a success."""
    locked = {endpoint.id: endpoint for endpoint in await _lock_active(session, ids)}
    # Checked again under the lock: another worker may have recorded a success meanwhile.
    for endpoint_id in await health.failing_for(session, locked, limit):
        await _disable(
            session, locked[endpoint_id], f"no delivery succeeded for {limit / timedelta(days=1):g} days"
        )


async def disable_unverified(session: WriteSession, deliveries: Mapping[UUID, UUID | None]) -> None:
    """Disable unverified endpoints after the last attempt of these verifications, unless another was requested."""
    for endpoint in await _lock_active(session, deliveries):
        if endpoint.verified_at is None and endpoint.verification_id == deliveries[endpoint.id]:
            await _disable(session, endpoint, UNVERIFIED_REASON)


async def disable_without_challenge(session: WriteSession) -> int:
    """Disable unverified endpoints whose challenge has failed; return how many.

    There are some if a worker died before it disabled them. Otherwise nothing more would be sent to them, and
    nobody would be notified.
    """
    is_pending = exists().where(
        WebhookDelivery.id == WebhookEndpoint.verification_id, WebhookDelivery.status == "pending"
    )
    rows = await session.execute(
        select(WebhookEndpoint.id, WebhookEndpoint.verification_id).where(
            WebhookEndpoint.active,
            ~WebhookEndpoint.paused,
            WebhookEndpoint.suspended_at.is_(None),
            WebhookEndpoint.verified_at.is_(None),
            ~is_pending,
        )
    )
    found: dict[UUID, UUID | None] = {row.id: row.verification_id for row in rows}
    if found:
        # Checked again under the lock: another challenge may have been requested meanwhile.
        await disable_unverified(session, found)
    return len(found)


@dataclass(frozen=True)
class DisabledEndpoint:
    """What a letter says about a disabled endpoint; `failing_since` is None unless deliveries failed for days."""

    id: UUID
    cause: DisablingCause
    failing_since: datetime | None
    failed_deliveries: int


async def load_disabled(
    session: AsyncSession, owner_id: UUID, endpoint_id: UUID | None
) -> DisabledEndpoint | None:
    """Return the owner's endpoint; None if it is no longer disabled, or belongs to another owner."""
    row = (
        await session.execute(
            select(WebhookEndpoint.disabled_reason, WebhookEndpointHealth.failing_since)
            .outerjoin(WebhookEndpointHealth, WebhookEndpointHealth.endpoint_id == WebhookEndpoint.id)
            .where(
                WebhookEndpoint.id == endpoint_id,
                WebhookEndpoint.owner_id == owner_id,
                WebhookEndpoint.disabled_at.is_not(None),
            )
        )
    ).one_or_none()
    if row is None or endpoint_id is None:
        return None
    cause = _CAUSES.get(row.disabled_reason, "failing")
    failed = await health.count_deliveries(session, endpoint_id, "failed")
    return DisabledEndpoint(endpoint_id, cause, row.failing_since if cause == "failing" else None, failed)


async def _lock_active(session: WriteSession, ids: Collection[UUID]) -> list[WebhookEndpoint]:
    """Lock and return the endpoints that are still active, so that only one worker disables them."""
    query = select(WebhookEndpoint).where(WebhookEndpoint.id.in_(ids), WebhookEndpoint.active)
    return list(await session.scalars(query.order_by(WebhookEndpoint.id).with_for_update()))


async def _disable(session: WriteSession, endpoint: WebhookEndpoint, reason: str) -> None:
    endpoint.active = False
    endpoint.disabled_reason = reason
    endpoint.disabled_at = await session.scalar(select(func.now()))
    endpoint.version += 1
    await session.flush()
    await pending_deliveries.fail_for_endpoints(session, [endpoint.id], f"the endpoint was disabled: {reason}")
    owner_is_reached = await session.scalar(
        select(NoticeSettings.person_id).where(
            NoticeSettings.person_id == endpoint.owner_id, NoticeSettings.address_state == "confirmed"
        )
    )
    if owner_is_reached is not None:
        session.add(
            NoticeLetter(
                person_id=owner_is_reached,
                purpose=LETTER_PURPOSE,
                endpoint_id=endpoint.id,
                next_attempt_at=clock.now(),
            )
        )
    stored = await session.get(WebhookEndpointHealth, endpoint.id)
    event = WebhookEndpointDisabled(
        reason=reason,
        failing_since=stored.failing_since if stored is not None else None,
        failed_deliveries=await health.count_deliveries(session, endpoint.id, "failed"),
    )
    await emit(
        session,
        NewEvent(data=event, subject_id=endpoint.id, organisation_id=endpoint.organisation_id, actor="webhooks"),
    )
