"""Routes of deliveries and their attempts."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from services.webhooks.api.dependencies import EndpointReader, WebhooksManager
from services.webhooks.api.presenters import present_attempt, present_delivery
from services.webhooks.deliveries import deliveries
from services.webhooks.schemas.webhooks import (
    WebhookAttempt,
    WebhookDelivery,
    WebhookDeliveryWithPayload,
)
from shared.api.pagination import Page, PagingDep
from shared.auth.callers import Caller
from shared.http.problems import Conflict, Forbidden, Invalid, NotFound, Unauthenticated, responses
from shared.service import ReadTransaction, WriteTransaction
from shared.tables import webhooks as tables

router = APIRouter(
    prefix="/webhooks/deliveries", tags=["webhooks"], responses=responses(Unauthenticated, Forbidden, Invalid)
)

NOT_FOUND_ERROR = responses(NotFound)


async def _shown(
    session: AsyncSession, caller: Caller, delivery: tables.WebhookDelivery
) -> WebhookDeliveryWithPayload:
    return present_delivery(delivery, may_read=bool(await deliveries.readable_ids(session, caller, [delivery])))


@router.get("", summary="Deliveries to the caller's endpoints")
async def list_webhook_deliveries(
    *,
    session: ReadTransaction,
    caller: EndpointReader,
    filters: Annotated[deliveries.DeliveryFilter, Query()],
    paging: PagingDep,
    response: Response,
) -> Page[WebhookDelivery]:
    """Return deliveries, newest first."""
    rows = await deliveries.list_deliveries(session, caller, filters, paging)
    kept, cursor = paging.page(rows, lambda row: (row.created_at, row.id), response)
    readable = await deliveries.readable_ids(session, caller, kept)
    shown = [present_delivery(row, may_read=row.id in readable) for row in kept]
    return Page(
        items=[WebhookDelivery(**one.model_dump(exclude={"payload"})) for one in shown], next_cursor=cursor
    )


@router.get("/{delivery_id}", responses=NOT_FOUND_ERROR, summary="One delivery with its body")
async def get_webhook_delivery(
    session: ReadTransaction, caller: EndpointReader, delivery_id: UUID
) -> WebhookDeliveryWithPayload:
    """Return the delivery with its body and the result of its last attempt."""
    return await _shown(session, caller, await deliveries.get(session, caller, delivery_id))


@router.get("/{delivery_id}/attempts", responses=NOT_FOUND_ERROR, summary="The attempts of one delivery")
async def list_webhook_attempts(
    *,
    session: ReadTransaction,
    caller: EndpointReader,
    delivery_id: UUID,
    paging: PagingDep,
    response: Response,
) -> Page[WebhookAttempt]:
    """Return the attempts of the last 30 days, newest first, with the start of each response."""
    delivery = await deliveries.get(session, caller, delivery_id)
    rows = await deliveries.list_attempts(session, delivery, paging)
    kept, cursor = paging.page(rows, lambda row: (row.id,), response)
    may_read = bool(await deliveries.readable_ids(session, caller, [delivery]))
    return Page(items=[present_attempt(row, may_read=may_read) for row in kept], next_cursor=cursor)


@router.post(
    "/{delivery_id}/retry",
    status_code=202,
    responses=responses(NotFound, Conflict),
    summary="Send a delivery again",
)
async def retry_webhook_delivery(
    session: WriteTransaction, caller: WebhooksManager, delivery_id: UUID
) -> WebhookDeliveryWithPayload:
    """Send the delivery now, with the same `webhook-id` and a new round of attempts.

    A delivery that was already accepted can be sent again too.
    """
    return await _shown(session, caller, await deliveries.retry(session, caller, delivery_id))
