"""Response models of deliveries, attempts and the health of endpoints, with personal data masked."""

import re

from services.webhooks.endpoints import ordering
from services.webhooks.endpoints.health import EndpointHealth
from services.webhooks.event_catalogue.catalogue import mask_personal_data
from services.webhooks.schemas.webhooks import (
    WebhookAttempt,
    WebhookDeliveryStatus,
    WebhookDeliveryWithPayload,
    WebhookHealth,
    WebhookHealthState,
    WebhookLastAttempt,
)
from shared.masking import mask
from shared.tables import webhooks as tables

_HTTP_STATUS = re.compile(r"HTTP \d{3}")


def present_delivery(row: tables.WebhookDelivery, *, may_read: bool) -> WebhookDeliveryWithPayload:
    """Return the response model of a delivery. Its body is masked; null if the caller may not read the event."""
    shown = WebhookDeliveryWithPayload.model_validate(row, from_attributes=True)
    shown.payload = mask_personal_data(row.payload) if may_read else None
    shown.last_error = _error(row.last_error, may_read=may_read)
    shown.waits_for_earlier = ordering.waits(row)
    if shown.status is not WebhookDeliveryStatus.PENDING or shown.waits_for_earlier:
        shown.next_attempt_at = None
    return shown


def _error(error: str | None, *, may_read: bool) -> str | None:
    """Return why an attempt failed, masked; of an HTTP response only the status, unless `may_read`."""
    if error is None or may_read:
        return mask(error) if error else error
    status = _HTTP_STATUS.match(error)
    return status[0] if status else mask(error)


def present_attempt(row: tables.WebhookAttempt, *, may_read: bool) -> WebhookAttempt:
    """Return the response model of an attempt, masked: the response may repeat the delivery."""
    shown = WebhookAttempt.model_validate(row, from_attributes=True)
    masked = {
        name: mask(value)
        for name in ("response_head", "response_body", "error")
        if (value := getattr(shown, name))
    }
    return shown.model_copy(update=masked if may_read else masked | {"response_head": None, "response_body": None})


def present_health(endpoint: tables.WebhookEndpoint, found: EndpointHealth) -> WebhookHealth:
    """Return the response model of an endpoint's health."""
    stored, last = found.stored, found.last_attempt
    failures = stored.consecutive_failures if stored is not None else 0
    state = WebhookHealthState.FAILING if failures else WebhookHealthState.OK
    if endpoint.disabled_at is not None:
        state = WebhookHealthState.DISABLED
    last_attempt = None
    if last is not None:
        last_attempt = WebhookLastAttempt.model_validate(last, from_attributes=True)
        last_attempt.error = mask(last.error) if last.error else None
    return WebhookHealth(
        state=state,
        failing_since=stored.failing_since if stored is not None else None,
        consecutive_failures=failures,
        last_success_at=stored.last_success_at if stored is not None else None,
        last_attempt=last_attempt,
        waiting=found.waiting,
        failed=found.failed,
    )
