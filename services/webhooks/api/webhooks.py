"""Routes of webhooks and the event feed: parse, authorise, call one domain function, answer."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response
from sqlalchemy.ext.asyncio import AsyncSession

from services.webhooks.deliveries import deliveries
from services.webhooks.endpoints import endpoints, entitlements
from services.webhooks.endpoints.signing import Unreadable, Vault
from services.webhooks.endpoints.ssrf_guard import Refused, check_url
from services.webhooks.event_catalogue.catalogue import CATALOGUE, masked
from services.webhooks.schemas.webhooks import (
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
)
from services.webhooks.settings import webhooks_settings
from shared.api.idempotency import IdempotencyDep, once
from shared.api.pagination import Page, PagingDep
from shared.api.preconditions import RequiredVersion, set_etag
from shared.auth.callers import Caller, allowed
from shared.auth.rights import Right
from shared.contracts.catalogue import EVENT_RIGHTS
from shared.http.problems import (
    Conflict,
    Forbidden,
    InFlight,
    Invalid,
    KeyReused,
    NotFound,
    PreconditionFailed,
    PreconditionRequired,
    TooManyRequests,
    Unauthenticated,
    responses,
)
from shared.service import Reading, Writing
from shared.settings import settings
from shared.tables.webhooks import WebhookDelivery, WebhookEndpoint, WebhooksIdempotency

router = APIRouter(prefix="/webhooks", tags=["webhooks"], responses=responses(Unauthenticated, Forbidden, Invalid))

EndpointReader = Annotated[Caller, allowed(Right.WEBHOOKS_READ)]
Manager = Annotated[Caller, allowed(Right.WEBHOOKS_MANAGE)]
Consenter = Annotated[Caller, allowed(Right.WEBHOOKS_CONSENT)]
ONE = responses(NotFound)
CHANGE = responses(NotFound, PreconditionFailed, PreconditionRequired)
ONCE = responses(InFlight, Conflict, KeyReused)


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


async def _shown(session: AsyncSession, endpoint: WebhookEndpoint, response: Response) -> Endpoint:
    set_etag(response, endpoint.version)
    [shown] = await _all_shown(session, [endpoint])
    return shown


async def _all_shown(session: AsyncSession, rows: Sequence[WebhookEndpoint]) -> list[Endpoint]:
    asking = {row.id for row in rows if row.personal_data}
    found = await entitlements.entitlements(session, webhooks_settings().webhooks_personal_data_hosts, asking)
    shown = [Endpoint.model_validate(row, from_attributes=True) for row in rows]
    for one in shown:
        if one.id in found:
            one.personal_data_masked_because = found[one.id].masked_because
    return shown


def _delivery(caller: Caller, found: WebhookDelivery) -> DeliveryWithBody:
    shown = DeliveryWithBody.model_validate(found, from_attributes=True)
    may_read = EVENT_RIGHTS[found.event_type] in caller.rights
    shown.payload = masked(found.payload) if may_read else None
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
                right=EVENT_RIGHTS[name],
                json_schema={
                    "type": "object",
                    "required": ["type", "timestamp", "id", "position", "data"],
                    "properties": {
                        "type": {"const": str(name)},
                        "timestamp": {"type": "string", "format": "date-time"},
                        "id": {"type": "string", "format": "uuid", "description": "Of the event, as in the feed"},
                        "position": {
                            "type": ["string", "null"],
                            "description": "Its position in the feed; null in a test that was sent at once",
                        },
                        "data": kind.data.model_json_schema(by_alias=True),
                    },
                },
                example={
                    "type": name,
                    "timestamp": "2026-11-23T10:00:04+08:00",
                    "id": "0198f3a0-9a11-7c52-8d6e-3f0a5f1b2c3d",
                    "position": "0.42",
                    "data": dict(kind.example),
                },
            )
            for name, kind in CATALOGUE.items()
        ]
    )


@router.post("/endpoints", status_code=201, responses=ONCE, summary="Subscribe a system to events")
async def create_endpoint(
    *, session: Writing, caller: Manager, body: EndpointNew, idempotency: IdempotencyDep, response: Response
) -> EndpointWithSecret:
    """The secret in the answer is shown this once. Organisation staff get the events of their organisation.

    Each type takes a right (`GET /webhooks/event-types`). The caller becomes the endpoint's owner: it gets what
    they may read, as long as they may. Citizens' words arrive with personal data masked. `personal_data: true`
    asks for them as they were written: that takes the right to read appeals and messages, a host that the operator
    listed, and the consent of somebody with `webhooks:consent`, who consents by asking.
    """
    await _check_url(body.url)
    made: list[str] = []

    # The remembered answer must not hold the secret, so it is added outside of it.
    async def work() -> Endpoint:
        endpoint, secret = await endpoints.create(
            session,
            caller,
            _vault(),
            webhooks_settings(),
            url=body.url,
            event_types=body.event_types,
            description=body.description,
            personal_data=body.personal_data,
        )
        made.append(secret)
        [shown] = await _all_shown(session, [endpoint])
        return shown

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
    return Page(items=await _all_shown(session, kept), next_cursor=cursor)


@router.get("/endpoints/{endpoint_id}", responses=ONE, summary="One endpoint")
async def get_endpoint(
    session: Reading, caller: EndpointReader, endpoint_id: UUID, response: Response
) -> Endpoint:
    """Without its secret."""
    return await _shown(session, await endpoints.get(session, caller, endpoint_id), response)


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

    Who changes the URL or the types, or asks for personal data, must have the rights that this takes, and becomes
    the endpoint's owner. A new URL takes a new consent to personal data.
    """
    if body.url is not None:
        await _check_url(body.url)
    changes = body.model_dump(exclude_unset=True)
    found = await endpoints.change(
        session, caller, webhooks_settings(), endpoint_id, version=version, changes=changes
    )
    return await _shown(session, found, response)


@router.delete("/endpoints/{endpoint_id}", status_code=204, responses=ONE, summary="Delete an endpoint")
async def delete_endpoint(session: Writing, caller: Manager, endpoint_id: UUID) -> None:
    """Its deliveries go with it."""
    await endpoints.remove(session, caller, endpoint_id)


@router.post("/endpoints/{endpoint_id}/take-over", responses=ONE, summary="Become the owner of an endpoint")
async def take_over_endpoint(session: Writing, caller: Manager, endpoint_id: UUID, response: Response) -> Endpoint:
    """It gets what the caller may read, who must have the rights of its types, and is suspended no more."""
    return await _shown(session, await endpoints.take_over(session, caller, endpoint_id), response)


@router.post(
    "/endpoints/{endpoint_id}/consent",
    responses=responses(NotFound, Conflict),
    summary="Consent that an endpoint gets personal data",
)
async def consent_to_personal_data(
    session: Writing, caller: Consenter, endpoint_id: UUID, response: Response
) -> Endpoint:
    """For its present URL. Who consented and when is shown, and is in the audit trail."""
    return await _shown(session, await endpoints.consent(session, caller, endpoint_id), response)


@router.delete("/endpoints/{endpoint_id}/consent", responses=ONE, summary="Withdraw that consent")
async def withdraw_consent(session: Writing, caller: Consenter, endpoint_id: UUID, response: Response) -> Endpoint:
    """Personal data is masked from now on, also in what waits to be sent."""
    return await _shown(session, await endpoints.withdraw_consent(session, caller, endpoint_id), response)


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
    return EndpointWithSecret(**(await _shown(session, endpoint, response)).model_dump(), secret=secret)


@router.post(
    "/endpoints/{endpoint_id}/test",
    status_code=202,
    responses=ONE | ONCE | responses(TooManyRequests),
    summary="Send webhook.test to an endpoint",
)
async def send_test(
    *, session: Writing, caller: Manager, endpoint_id: UUID, idempotency: IdempotencyDep, response: Response
) -> DeliveryWithBody:
    """The delivery that is now on its way; ask for it again to see how it went. `RateLimit`: how many are left."""

    async def work() -> DeliveryWithBody:
        most = webhooks_settings().webhooks_tests_a_minute
        delivery, left = await endpoints.send_test(session, caller, endpoint_id, most)
        response.headers.update(endpoints.limit_headers_of_tests(most, left, 60))
        return _delivery(caller, delivery)

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
    event_id: UUID | None = None,
) -> Page[Delivery]:
    """Newest first."""
    rows = await deliveries.listed(
        session, caller, paging, endpoint_id=endpoint_id, status=status, event_type=event_type, event_id=event_id
    )
    kept, cursor = paging.page(rows, lambda row: (row.created_at, row.id), response)
    return Page(
        items=[Delivery(**_delivery(caller, row).model_dump(exclude={"payload"})) for row in kept],
        next_cursor=cursor,
    )


@router.get("/deliveries/{delivery_id}", responses=ONE, summary="One delivery with its body")
async def get_delivery(session: Reading, caller: EndpointReader, delivery_id: UUID) -> DeliveryWithBody:
    """With what became of its attempts."""
    return _delivery(caller, await deliveries.get(session, caller, delivery_id))


@router.post(
    "/deliveries/{delivery_id}/retry",
    status_code=202,
    responses=responses(NotFound, Conflict),
    summary="Send a delivery again",
)
async def retry_delivery(session: Writing, caller: Manager, delivery_id: UUID) -> DeliveryWithBody:
    """Now, under the same `webhook-id`, with a fresh round of attempts. Delivered ones are sent again too."""
    return _delivery(caller, await deliveries.retry(session, caller, delivery_id))
