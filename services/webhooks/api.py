"""Routes of webhooks and the event feed: parse, authorise, call one domain function, answer."""

import re
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from services.webhooks import deliveries, endpoints, feed
from services.webhooks.addresses import Refused, check_url
from services.webhooks.event_types import CATALOGUE, masked
from services.webhooks.schemas import (
    AnyEventType,
    Delivery,
    DeliveryStatus,
    DeliveryWithBody,
    Endpoint,
    EndpointChange,
    EndpointNew,
    EndpointWithSecret,
    EventType,
    EventTypeList,
    Feed,
    FeedEvent,
)
from services.webhooks.settings import webhooks_settings
from services.webhooks.signing import Unreadable, Vault
from shared.access import Caller, Right, allowed
from shared.idempotency import IdempotencyDep, once
from shared.pagination import Page, PagingDep
from shared.preconditions import RequiredVersion, set_etag
from shared.problems import (
    Conflict,
    Forbidden,
    Gone,
    InFlight,
    Invalid,
    KeyReused,
    NotFound,
    PreconditionFailed,
    PreconditionRequired,
    Unauthenticated,
    responses,
)
from shared.service import Reading, Writing
from shared.settings import settings
from shared.tables.events import WebhooksIdempotency
from shared.tables.webhooks import WebhookDelivery, WebhookEndpoint

router = APIRouter(prefix="/webhooks", tags=["webhooks"], responses=responses(Unauthenticated, Forbidden, Invalid))
events = APIRouter(tags=["events"], responses=responses(Unauthenticated, Forbidden, Invalid))

EndpointReader = Annotated[Caller, allowed(Right.WEBHOOKS_READ)]
Manager = Annotated[Caller, allowed(Right.WEBHOOKS_MANAGE)]
EventReader = Annotated[Caller, allowed(Right.EVENTS_READ)]
ONE = responses(NotFound)
CHANGE = responses(NotFound, PreconditionFailed, PreconditionRequired)
ONCE = responses(InFlight, Conflict, KeyReused)
_TYPE = re.compile(r"[a-z_]+\.[a-z_]+")


def _vault() -> Vault:
    return Vault(webhooks_settings().encryption_keys)


async def _check_url(url: str) -> None:
    try:
        await check_url(
            url,
            webhooks_settings().webhooks_allowed_networks,
            https_only=settings().environment == "production",
        )
    except Refused as refused:
        raise Invalid.field("/url", str(refused)) from refused


def _shown(endpoint: WebhookEndpoint, response: Response) -> Endpoint:
    set_etag(response, endpoint.version)
    return Endpoint.model_validate(endpoint, from_attributes=True)


def _delivery(found: WebhookDelivery) -> DeliveryWithBody:
    shown = DeliveryWithBody.model_validate(found, from_attributes=True)
    shown.payload = masked(shown.payload)
    if shown.status is not DeliveryStatus.PENDING:
        shown.next_attempt_at = None
    return shown


@router.get("/event-types", summary="What an endpoint can subscribe to")
async def event_types(caller: EndpointReader) -> EventTypeList:
    """The catalogue: each type with the JSON Schema of its body and an example."""
    return EventTypeList(
        items=[
            EventType(
                type=name,
                description=kind.description,
                json_schema={
                    "type": "object",
                    "required": ["type", "timestamp", "data"],
                    "properties": {
                        "type": {"const": str(name)},
                        "timestamp": {"type": "string", "format": "date-time"},
                        "data": kind.data.model_json_schema(by_alias=True),
                    },
                },
                example={"type": name, "timestamp": "2026-11-23T10:00:04+08:00", "data": dict(kind.example)},
            )
            for name, kind in CATALOGUE.items()
        ]
    )


@router.post("/endpoints", status_code=201, responses=ONCE, summary="Subscribe a system to events")
async def create_endpoint(
    *, session: Writing, caller: Manager, body: EndpointNew, idempotency: IdempotencyDep, response: Response
) -> EndpointWithSecret:
    """The secret in the answer is shown this once. Organisation staff get the events of their organisation.

    Citizens' words arrive with personal data masked. `personal_data: true` asks for them as they were written:
    that takes the right to read cases and messages, and is recorded.
    """
    await _check_url(body.url)
    made: list[str] = []

    # The remembered answer must not hold the secret, so it is added outside of it.
    async def work() -> Endpoint:
        endpoint, secret = await endpoints.create(
            session,
            caller,
            _vault(),
            url=body.url,
            event_types=body.event_types,
            description=body.description,
            personal_data=body.personal_data,
        )
        made.append(secret)
        return Endpoint.model_validate(endpoint, from_attributes=True)

    shown = await once(
        session,
        WebhooksIdempotency,
        caller=caller.subject,
        key=idempotency,
        response=response,
        model=Endpoint,
        work=work,
    )
    set_etag(response, shown.version)
    response.headers["Location"] = f"/api/v1/webhooks/endpoints/{shown.id}"
    return EndpointWithSecret(**shown.model_dump(), secret=made[0] if made else None)


@router.get("/endpoints", summary="The caller's endpoints")
async def list_endpoints(
    session: Reading, caller: EndpointReader, paging: PagingDep, response: Response
) -> Page[Endpoint]:
    """Newest first, without secrets."""
    rows = await endpoints.listed(session, caller, paging)
    kept, cursor = paging.page(rows, lambda row: (row.id,), response)
    return Page(items=[Endpoint.model_validate(row, from_attributes=True) for row in kept], next_cursor=cursor)


@router.get("/endpoints/{endpoint_id}", responses=ONE, summary="One endpoint")
async def get_endpoint(
    session: Reading, caller: EndpointReader, endpoint_id: UUID, response: Response
) -> Endpoint:
    """Without its secret."""
    return _shown(await endpoints.get(session, caller, endpoint_id), response)


@router.patch("/endpoints/{endpoint_id}", responses=CHANGE, summary="Change an endpoint")
async def change_endpoint(
    *,
    session: Writing,
    caller: Manager,
    endpoint_id: UUID,
    body: EndpointChange,
    version: RequiredVersion,
    response: Response,
) -> Endpoint:
    """Switching it off gives up what still waits; those deliveries can be retried when it is on again.

    With `personal_data` on, who changes it or the URL must have the right to read cases and messages, and belong
    to the endpoint's organisation.
    """
    if body.url is not None:
        await _check_url(body.url)
    changes = body.model_dump(exclude_unset=True)
    return _shown(await endpoints.change(session, caller, endpoint_id, version, changes), response)


@router.delete("/endpoints/{endpoint_id}", status_code=204, responses=ONE, summary="Delete an endpoint")
async def delete_endpoint(session: Writing, caller: Manager, endpoint_id: UUID) -> None:
    """Its deliveries go with it."""
    await endpoints.remove(session, caller, endpoint_id)


@router.post(
    "/endpoints/{endpoint_id}/rotate-secret", responses=responses(NotFound, Conflict), summary="A new secret"
)
async def rotate_secret(
    session: Writing, caller: Manager, endpoint_id: UUID, response: Response
) -> EndpointWithSecret:
    """Shown this once. For 24 hours every attempt carries signatures of both secrets."""
    try:
        endpoint, secret = await endpoints.rotate(session, caller, _vault(), endpoint_id)
    except Unreadable as error:
        raise Conflict("The old secret cannot be read any more: make a new endpoint") from error
    return EndpointWithSecret(**_shown(endpoint, response).model_dump(), secret=secret)


@router.post(
    "/endpoints/{endpoint_id}/test",
    status_code=202,
    responses=ONE | ONCE,
    summary="Send webhook.test to an endpoint",
)
async def send_test(
    *, session: Writing, caller: Manager, endpoint_id: UUID, idempotency: IdempotencyDep, response: Response
) -> DeliveryWithBody:
    """The delivery that is now on its way; ask for it again to see how it went."""

    async def work() -> DeliveryWithBody:
        return _delivery(await endpoints.send_test(session, caller, endpoint_id))

    return await once(
        session,
        WebhooksIdempotency,
        caller=caller.subject,
        key=idempotency,
        response=response,
        model=DeliveryWithBody,
        work=work,
        status=202,
    )


@router.get("/deliveries", summary="Deliveries to the caller's endpoints")
async def list_deliveries(
    *,
    session: Reading,
    caller: EndpointReader,
    paging: PagingDep,
    response: Response,
    endpoint_id: UUID | None = None,
    status: DeliveryStatus | None = None,
    event_type: AnyEventType | None = None,
) -> Page[Delivery]:
    """Newest first."""
    rows = await deliveries.listed(
        session, caller, paging, endpoint_id=endpoint_id, status=status, event_type=event_type
    )
    kept, cursor = paging.page(rows, lambda row: (row.created_at, row.id), response)
    return Page(
        items=[Delivery(**_delivery(row).model_dump(exclude={"payload"})) for row in kept], next_cursor=cursor
    )


@router.get("/deliveries/{delivery_id}", responses=ONE, summary="One delivery with its body")
async def get_delivery(session: Reading, caller: EndpointReader, delivery_id: UUID) -> DeliveryWithBody:
    """With what became of its attempts."""
    return _delivery(await deliveries.get(session, caller, delivery_id))


@router.post(
    "/deliveries/{delivery_id}/retry",
    status_code=202,
    responses=responses(NotFound, Conflict),
    summary="Send a delivery again",
)
async def retry_delivery(session: Writing, caller: Manager, delivery_id: UUID) -> DeliveryWithBody:
    """Now, under the same `webhook-id`, with a fresh round of attempts. Delivered ones are sent again too."""
    return _delivery(await deliveries.retry(session, caller, delivery_id))


@events.get("/events", summary="The numbered feed of events", responses=responses(Gone))
async def read_events(
    session: Reading,
    caller: EventReader,
    after: Annotated[int, Query(ge=0, le=2**63 - 1, description="`next_after` of the answer before")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    types: Annotated[
        str | None,
        Query(max_length=1000, description="Comma-separated", examples=["appeal.opened,appeal.answered"]),
    ] = None,
) -> Feed:
    """Events in order of their positions, each exactly once. Organisation staff see their organisation's.

    Events are kept for a year and more. A reader that was away for longer gets 410 and is told where to go on.
    """
    wanted = None if types is None else [part.strip() for part in types.split(",")]
    if wanted is not None and not all(_TYPE.fullmatch(name) for name in wanted):
        raise Invalid.field("query/types", "Expected event types such as appeal.opened, separated by commas")
    found, next_after = await feed.read(session, caller, after=after, limit=limit, types=wanted)
    items = [FeedEvent.model_validate(event, from_attributes=True) for event in found]
    for item in items:
        item.data = masked(item.data)
    return Feed(items=items, next_after=next_after)
