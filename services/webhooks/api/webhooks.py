"""Routes of endpoints: each parses the request, authorises the caller and calls one function of a capability."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from fastapi import APIRouter, Response
from sqlalchemy.ext.asyncio import AsyncSession

from services.webhooks.api.dependencies import EndpointReader, WebhooksConsenter, WebhooksManager
from services.webhooks.api.presenters import present_delivery, present_health
from services.webhooks.deliveries.replay import replay
from services.webhooks.endpoints import direct_deliveries, endpoints, entitlements, health
from services.webhooks.endpoints.filters import EndpointFilters
from services.webhooks.event_catalogue.catalogue import CATALOGUE
from services.webhooks.schemas.replays import WebhookReplay, WebhookReplayRequest
from services.webhooks.schemas.webhooks import (
    WebhookDeliveryWithPayload,
    WebhookEndpoint,
    WebhookEndpointCreate,
    WebhookEndpointUpdate,
    WebhookEndpointWithHealth,
    WebhookEndpointWithSecret,
    WebhookEventTypeInfo,
    WebhookEventTypeList,
    WebhookSecretRotation,
)
from services.webhooks.settings import webhooks_settings
from shared.api.pagination import Page, PagingDep
from shared.api.preconditions import OptionalVersion, RequiredVersion, set_etag
from shared.api.response_headers import with_headers
from shared.auth import token_recheck
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
from shared.service import Once, ReadTransaction, ServiceDep, WriteTransaction
from shared.settings import settings
from shared.signing_secrets import SecretCipher, UndecryptableSecret
from shared.tables import webhooks as tables

router = APIRouter(prefix="/webhooks", tags=["webhooks"], responses=responses(Unauthenticated, Forbidden, Invalid))

NOT_FOUND_ERROR = responses(NotFound)
UPDATE_ERRORS = responses(NotFound, PreconditionFailed, PreconditionRequired, TooManyRequests)
IDEMPOTENCY_ERRORS = responses(InFlight, Conflict, KeyReused)


def _cipher() -> SecretCipher:
    return SecretCipher(webhooks_settings().encryption_keys)


def _https_only() -> bool:
    return settings().environment == "production"


async def _shown(session: AsyncSession, endpoint: tables.WebhookEndpoint, response: Response) -> WebhookEndpoint:
    set_etag(response, endpoint.version)
    [shown] = await _all_shown(session, [endpoint])
    return shown


async def _all_shown(session: AsyncSession, rows: Sequence[tables.WebhookEndpoint]) -> list[WebhookEndpoint]:
    asking = {row.id for row in rows if row.personal_data}
    by_endpoint = await entitlements.load_entitlements(
        session, webhooks_settings().webhooks_personal_data_hosts, asking
    )
    models = [WebhookEndpoint.model_validate(row, from_attributes=True) for row in rows]
    for endpoint_model in models:
        if endpoint_model.id in by_endpoint:
            endpoint_model.personal_data_masking_reason = by_endpoint[endpoint_model.id].masking_reason
    return models


@router.get("/event-types", summary="Event types that an endpoint can subscribe to")
async def list_webhook_event_types(caller: EndpointReader) -> WebhookEventTypeList:
    """Return the catalogue: each event type with the JSON Schema of its body and an example."""
    return WebhookEventTypeList(
        items=[
            WebhookEventTypeInfo(
                type=name,
                description=entry.description,
                right=EVENT_RIGHTS[name],
                json_schema=dict(entry.json_schema),
                example=dict(entry.example),
            )
            for name, entry in CATALOGUE.items()
        ]
    )


@router.post(
    "/endpoints",
    status_code=201,
    responses=IDEMPOTENCY_ERRORS | responses(TooManyRequests) | with_headers(201, "Location"),
    summary="Subscribe a system to events",
)
async def create_webhook_endpoint(
    *,
    session: WriteTransaction,
    caller: WebhooksManager,
    body: WebhookEndpointCreate,
    service: ServiceDep,
    once: Once,
    response: Response,
) -> WebhookEndpointWithSecret:
    """Create an endpoint.

    Only this response contains the secret. Organisation staff get the events of their organisation; with
    `organisation_subtree`, those of organisations below it too, if the caller may read these. An event is sent if
    it matches each given filter. The URL gets `webhook.verification` first, and other deliveries once its response
    has repeated the challenge, unless the operator requires no verification.

    Each event type needs a right (`GET /webhooks/event-types`). The caller becomes the endpoint's owner: the
    endpoint receives events as long as the owner may read them. Personal data in citizens' texts is masked.
    `personal_data: true` asks for unmasked texts: this needs the right to read appeals and messages, a host that
    the operator has listed, and the consent of a person with `webhooks:consent`; a request by such a person
    counts as consent.
    """
    made: list[str] = []
    config = webhooks_settings()
    wanted = EndpointFilters(body.organisation_subtree, body.topics, body.municipalities)

    # The response stored for the idempotency key must not contain the secret, so it is added afterwards.
    async def work() -> WebhookEndpoint:
        endpoint, secret = await endpoints.create(
            session,
            caller,
            _cipher(),
            config,
            url=body.url,
            event_types=body.event_types,
            description=body.description,
            wanted=wanted,
            headers=body.headers,
            personal_data=body.personal_data,
            ordered=body.ordered,
            max_per_second=body.max_per_second,
            max_concurrency=body.max_concurrency,
        )
        made.append(secret)
        [shown] = await _all_shown(session, [endpoint])
        return shown

    # A name lookup may take seconds, so no session holds a connection meanwhile. The write transaction checks all
    # this again.
    async with service.database.read() as checking:
        await token_recheck.require_access(checking, caller)
        shown = await once.stored(checking, WebhookEndpoint)
        if shown is None:
            await endpoints.require_creatable(
                checking,
                caller,
                config,
                url=body.url,
                event_types=body.event_types,
                wanted=wanted,
                headers=body.headers,
                personal_data=body.personal_data,
            )
    if shown is None:
        await endpoints.require_callable(body.url, config, https_only=_https_only())
        shown = await once(WebhookEndpoint, work)
    set_etag(response, shown.version)
    response.headers["Location"] = f"/api/v1/webhooks/endpoints/{shown.id}"
    return WebhookEndpointWithSecret(**shown.model_dump(), secret=made[0] if made else None)


@router.get("/endpoints", summary="The caller's endpoints")
async def list_webhook_endpoints(
    session: ReadTransaction, caller: EndpointReader, paging: PagingDep, response: Response
) -> Page[WebhookEndpoint]:
    """Return endpoints, newest first, without secrets."""
    rows = await endpoints.list_endpoints(session, caller, paging)
    kept, cursor = paging.page(rows, lambda row: (row.id,), response)
    return Page(items=await _all_shown(session, kept), next_cursor=cursor)


@router.get("/endpoints/{endpoint_id}", responses=NOT_FOUND_ERROR, summary="One endpoint")
async def get_webhook_endpoint(
    session: ReadTransaction, caller: EndpointReader, endpoint_id: UUID, response: Response
) -> WebhookEndpointWithHealth:
    """Return the endpoint without its secret, and its health."""
    endpoint = await endpoints.get(session, caller, endpoint_id)
    found = await health.load_health(session, endpoint.id)
    shown = await _shown(session, endpoint, response)
    return WebhookEndpointWithHealth(**shown.model_dump(), health=present_health(endpoint, found))


@router.patch("/endpoints/{endpoint_id}", responses=UPDATE_ERRORS, summary="Change an endpoint")
async def update_webhook_endpoint(
    *,
    session: WriteTransaction,
    caller: WebhooksManager,
    endpoint_id: UUID,
    body: WebhookEndpointUpdate,
    version: RequiredVersion,
    service: ServiceDep,
    response: Response,
) -> WebhookEndpoint:
    """Change the given fields. Deactivation fails pending deliveries; they can be replayed after reactivation.

    A new URL must be verified, as that of a new endpoint: until then, deliveries wait. `active: true` also enables
    an endpoint that was disabled. `paused: true` lets deliveries wait until `paused: false`, which sends them in
    the order in which they became due.

    A caller who changes the URL, the headers, the event types or the filters, or asks for personal data, needs the
    rights for it and becomes the endpoint's owner. A new URL, other headers or another `organisation_subtree` need
    a new consent to personal data. An empty list removes a filter; `headers` replaces all headers.
    """
    changes = body.model_dump(exclude_unset=True)
    if "url" in changes:
        # The name lookup may take seconds, so no session holds a connection meanwhile. The write transaction
        # checks access and version again.
        async with service.database.read() as checking:
            await token_recheck.require_access(checking, caller)
            await endpoints.require_version(checking, caller, endpoint_id, version)
        await endpoints.require_callable(changes["url"], webhooks_settings(), https_only=_https_only())
    endpoint = await endpoints.change(
        session,
        caller,
        _cipher(),
        webhooks_settings(),
        endpoint_id,
        version=version,
        changes=changes,
    )
    return await _shown(session, endpoint, response)


@router.delete(
    "/endpoints/{endpoint_id}", status_code=204, responses=NOT_FOUND_ERROR, summary="Delete an endpoint"
)
async def delete_webhook_endpoint(session: WriteTransaction, caller: WebhooksManager, endpoint_id: UUID) -> None:
    """Delete the endpoint with its deliveries."""
    await endpoints.delete_endpoint(session, caller, endpoint_id)


@router.post(
    "/endpoints/{endpoint_id}/take-over",
    responses=responses(NotFound, TooManyRequests),
    summary="Become the owner of an endpoint",
)
async def take_over_webhook_endpoint(
    session: WriteTransaction, caller: WebhooksManager, endpoint_id: UUID, response: Response
) -> WebhookEndpoint:
    """Make the caller the owner; the caller needs the rights for all its event types. Ends a suspension."""
    return await _shown(
        session, await endpoints.take_over(session, caller, webhooks_settings(), endpoint_id), response
    )


@router.post(
    "/endpoints/{endpoint_id}/consent",
    responses=responses(NotFound, Conflict, PreconditionFailed, PreconditionRequired),
    summary="Consent to sending personal data to an endpoint",
)
async def consent_to_personal_data(
    session: WriteTransaction,
    caller: WebhooksConsenter,
    endpoint_id: UUID,
    version: RequiredVersion,
    response: Response,
) -> WebhookEndpoint:
    """Consent for the endpoint's current URL. `If-Match` names the version that you saw: 412 if the URL or other
    settings have changed since. The endpoint and the audit trail show who consented and when.
    """
    endpoint = await endpoints.consent(session, caller, endpoint_id, version=version)
    return await _shown(session, endpoint, response)


@router.delete("/endpoints/{endpoint_id}/consent", responses=NOT_FOUND_ERROR, summary="Withdraw the consent")
async def withdraw_personal_data_consent(
    session: WriteTransaction, caller: WebhooksConsenter, endpoint_id: UUID, response: Response
) -> WebhookEndpoint:
    """Mask personal data from now on, also in pending deliveries."""
    return await _shown(session, await endpoints.withdraw_consent(session, caller, endpoint_id), response)


@router.post(
    "/endpoints/{endpoint_id}/rotate-secret",
    responses=responses(NotFound, Conflict, PreconditionFailed),
    summary="Rotate the secret",
)
async def rotate_webhook_secret(
    *,
    session: WriteTransaction,
    caller: WebhooksManager,
    endpoint_id: UUID,
    seen: OptionalVersion,
    response: Response,
    body: WebhookSecretRotation | None = None,
) -> WebhookEndpointWithSecret:
    """Issue a new secret, which only this response contains.

    For 24 hours, or `keep_old_hours`, each attempt is signed with both secrets. With `If-Match` a repeated request
    gets 412 instead of another secret.
    """
    overlap = timedelta(hours=(body or WebhookSecretRotation()).keep_old_hours)
    try:
        endpoint, secret = await endpoints.rotate_secret(
            session, caller, _cipher(), endpoint_id, overlap=overlap, version=seen.version
        )
    except UndecryptableSecret as error:
        raise Conflict("The old secret can no longer be decrypted: create a new endpoint") from error
    return WebhookEndpointWithSecret(**(await _shown(session, endpoint, response)).model_dump(), secret=secret)


@router.post(
    "/endpoints/{endpoint_id}/test",
    status_code=202,
    responses=NOT_FOUND_ERROR | IDEMPOTENCY_ERRORS | responses(TooManyRequests),
    summary="Send webhook.test to an endpoint",
)
async def send_webhook_test(
    *,
    session: WriteTransaction,
    caller: WebhooksManager,
    endpoint_id: UUID,
    once: Once,
    response: Response,
) -> WebhookDeliveryWithPayload:
    """Return the pending test delivery; request it again for its result.

    The `RateLimit` header says how many tests are left this minute.
    """

    async def work() -> WebhookDeliveryWithPayload:
        limit = webhooks_settings().webhooks_tests_per_minute
        delivery, left = await endpoints.send_test(session, caller, endpoint_id, limit)
        response.headers.update(direct_deliveries.limit_headers(limit, left, 60))
        return present_delivery(delivery, may_read=EVENT_RIGHTS[delivery.event_type] in caller.rights)

    return await once(WebhookDeliveryWithPayload, work)


@router.post(
    "/endpoints/{endpoint_id}/verification",
    status_code=202,
    responses=NOT_FOUND_ERROR | IDEMPOTENCY_ERRORS | responses(TooManyRequests),
    summary="Send webhook.verification to an endpoint again",
)
async def send_webhook_verification(
    *,
    session: WriteTransaction,
    caller: WebhooksManager,
    endpoint_id: UUID,
    once: Once,
    response: Response,
) -> WebhookDeliveryWithPayload:
    """Send a new challenge to an endpoint that is not verified; a former one no longer counts.

    Return the pending delivery; request it, or the endpoint with its `verified_at`, again for the result. The
    `RateLimit` header says how many tests and verifications are left this minute.
    """

    async def work() -> WebhookDeliveryWithPayload:
        limit = webhooks_settings().webhooks_tests_per_minute
        delivery, left = await endpoints.send_verification(session, caller, endpoint_id, limit)
        response.headers.update(direct_deliveries.limit_headers(limit, left, 60))
        return present_delivery(delivery, may_read=EVENT_RIGHTS[delivery.event_type] in caller.rights)

    return await once(WebhookDeliveryWithPayload, work)


@router.post(
    "/endpoints/{endpoint_id}/replay",
    status_code=202,
    responses=NOT_FOUND_ERROR | IDEMPOTENCY_ERRORS,
    summary="Send events to an endpoint again",
)
async def replay_webhook_events(
    *,
    session: WriteTransaction,
    caller: WebhooksManager,
    endpoint_id: UUID,
    body: WebhookReplayRequest,
    once: Once,
) -> WebhookReplay:
    """Queue failed deliveries, all events of a period, or one event, with the same `webhook-id` as before.

    `all` includes events that were never sent because the endpoint was inactive or suspended, or did not exist.
    Replayed deliveries are spread over time, so that they do not delay new events.
    """

    async def work() -> WebhookReplay:
        return await replay(session, caller, webhooks_settings(), endpoint_id, body)

    return await once(WebhookReplay, work)
