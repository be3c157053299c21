"""Deliveries of the caller's endpoints: list, get, their attempts, and retry by hand."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from pydantic import Field
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.webhooks.endpoints.endpoints import require_receiving
from services.webhooks.endpoints.entitlements import lineages_of
from services.webhooks.event_catalogue.catalogue import VERIFICATION_EVENT_TYPE, organisation_of
from services.webhooks.schemas.webhooks import BoundedMoment, DeliveredEventType, WebhookDeliveryStatus
from shared.api.pagination import Paging, inline_literal
from shared.api.query_parameters import ListFilter
from shared.auth.callers import Caller
from shared.contracts.catalogue import EVENT_RIGHTS
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict, NotFound
from shared.tables.webhooks import WebhookAttempt, WebhookDelivery, WebhookEndpoint


class DeliveryFilter(ListFilter):
    """Filter of a list of deliveries."""

    endpoint_id: UUID | None = None
    status: WebhookDeliveryStatus | None = None
    event_type: DeliveredEventType | None = None
    event_id: UUID | None = None
    created_from: BoundedMoment | None = Field(default=None, description="RFC 3339 with offset, included")
    created_to: BoundedMoment | None = Field(default=None, description="RFC 3339 with offset, not included")


async def list_deliveries(
    session: AsyncSession, caller: Caller, filters: DeliveryFilter, paging: Paging
) -> Sequence[WebhookDelivery]:
    """Return deliveries to the caller's endpoints, newest first, one more than the page holds."""
    query = select(WebhookDelivery).where(caller.scope(WebhookDelivery.organisation_id))
    if filters.endpoint_id is not None:
        query = query.where(WebhookDelivery.endpoint_id == filters.endpoint_id)
    if filters.status is not None:
        query = query.where(WebhookDelivery.status == inline_literal(filters.status))
    if filters.event_id is not None:
        query = query.where(WebhookDelivery.event_id == filters.event_id)
    if filters.event_type is not None:
        query = query.where(WebhookDelivery.event_type == filters.event_type)
    if filters.created_from is not None:
        query = query.where(WebhookDelivery.created_at >= filters.created_from)
    if filters.created_to is not None:
        query = query.where(WebhookDelivery.created_at < filters.created_to)
    after = paging.after((WebhookDelivery.created_at, WebhookDelivery.id), (datetime.fromisoformat, UUID))
    if after is not None:
        query = query.where(after)
    newest_first = query.order_by(WebhookDelivery.created_at.desc(), WebhookDelivery.id.desc())
    return (await session.scalars(newest_first.limit(paging.limit + 1))).all()


async def get(session: AsyncSession, caller: Caller, delivery_id: UUID) -> WebhookDelivery:
    """Return a delivery. Raise `NotFound` when it does not exist or is out of the caller's scope."""
    delivery = await session.scalar(
        select(WebhookDelivery).where(
            WebhookDelivery.id == delivery_id, caller.scope(WebhookDelivery.organisation_id)
        )
    )
    if delivery is None:
        raise NotFound("No such delivery")
    return delivery


async def readable_ids(session: AsyncSession, caller: Caller, rows: Sequence[WebhookDelivery]) -> set[UUID]:
    """Return the ids of the deliveries whose events the caller may read.

    An endpoint may get events of organisations below its own, and not everybody who sees the endpoint may read
    these.
    """
    subordinate = {
        row.id: of
        for row in rows
        if (of := organisation_of(row.payload)) is not None and row.organisation_id not in {None, of}
    }
    lineages = await lineages_of(session, set(subordinate.values()))
    return {
        row.id
        for row in rows
        if (right := EVENT_RIGHTS[row.event_type]) in caller.rights
        and ((of := subordinate.get(row.id)) is None or caller.may_access(right, of, lineages.get(of, ())))
    }


async def list_attempts(
    session: AsyncSession, delivery: WebhookDelivery, paging: Paging
) -> Sequence[WebhookAttempt]:
    """Return the stored attempts of the delivery, newest first, one more than the page holds."""
    query = select(WebhookAttempt).where(WebhookAttempt.delivery_id == delivery.id)
    after = paging.after((WebhookAttempt.id,), (UUID,))
    if after is not None:
        query = query.where(after)
    return (await session.scalars(query.order_by(WebhookAttempt.id.desc()).limit(paging.limit + 1))).all()


async def retry(session: WriteSession, caller: Caller, delivery_id: UUID) -> WebhookDelivery:
    """Schedule the delivery for now, also a delivered one, with the same id and a new round of attempts.

    Raise `Conflict` for an endpoint that is inactive or suspended, and for a verification.
    """
    delivery = await get(session, caller, delivery_id)
    if delivery.event_type == VERIFICATION_EVENT_TYPE:
        raise Conflict("A verification is not repeated: request a new one with POST …/verification")
    # Lock order: endpoints before deliveries, as everywhere, to avoid deadlocks.
    endpoint = await session.scalar(
        select(WebhookEndpoint).where(WebhookEndpoint.id == delivery.endpoint_id).with_for_update(read=True)
    )
    if endpoint is None:
        raise NotFound("No such delivery")
    require_receiving(endpoint)
    await session.refresh(delivery, with_for_update=True)
    delivery.status = "pending"
    delivery.attempts = delivery.uncounted_attempts = 0
    # Without the claim, the result of an attempt that is under way is not recorded for the new round.
    delivery.last_attempt_at = None
    delivery.next_attempt_at = (await session.execute(select(func.clock_timestamp()))).scalar_one()
    delivery.delivered_at = None
    await session.flush()
    return delivery
