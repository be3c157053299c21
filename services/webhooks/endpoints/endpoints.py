"""Endpoints: URL, event types, owner and signing secret."""

from collections.abc import Mapping, Sequence, Set
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.webhooks.endpoints import (
    claim_turns,
    direct_deliveries,
    entitlements,
    filters,
    health,
    ordering,
    pending_deliveries,
    verification,
)
from services.webhooks.endpoints.custom_headers import require_valid_headers
from services.webhooks.endpoints.filters import EndpointFilters
from services.webhooks.endpoints.ssrf_guard import UrlNotAllowed, check_url
from services.webhooks.event_catalogue.catalogue import subscribed_types
from services.webhooks.settings import WebhooksSettings
from shared import clock
from shared.api.pagination import Paging
from shared.api.preconditions import check_version
from shared.audit import recorder
from shared.auth.callers import Caller
from shared.auth.rights import Right
from shared.contracts.catalogue import EVENT_RIGHTS
from shared.contracts.webhook_events import WebhookTest
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict, FieldError, Forbidden, Invalid, NotFound
from shared.ids import new_id
from shared.signing_secrets import SecretCipher, SigningSecrets, UndecryptableSecret, new_secret
from shared.tables.registry import Person
from shared.tables.webhooks import WebhookDelivery, WebhookEndpoint

FILTER_FIELDS = frozenset({"organisation_subtree", "topics", "municipalities"})
# A caller who changes one of these fields, or asks for personal data, decides where data goes and becomes the
# owner. A header may name the account, or be the credentials, under which the receiver takes the data.
OWNERSHIP_FIELDS = frozenset({"url", "headers", "event_types"}) | FILTER_FIELDS
# A consent to personal data is given for these.
CONSENT_FIELDS = frozenset({"url", "headers", "personal_data", "organisation_subtree"})
# Lists in which each value is stored only once.
_SETS = FILTER_FIELDS | {"event_types"}
# Fields that say which deliveries a worker may claim.
CLAIM_FIELDS = frozenset({"ordered", "max_per_second", "max_concurrency"})


async def require_creatable(
    session: AsyncSession,
    caller: Caller,
    settings: WebhooksSettings,
    *,
    url: str,
    event_types: Sequence[str],
    wanted: EndpointFilters,
    headers: Mapping[str, str],
    personal_data: bool,
) -> None:
    """Raise the errors of `create` unless the caller may create such an endpoint; its host is not looked up."""
    require_valid_headers(headers)
    _require_types(caller, event_types, caller.organisation_id, ())
    await filters.require_valid(session, wanted)
    await filters.require_subtree(
        session, caller, event_types, caller.organisation_id, wanted.organisation_subtree
    )
    await _check_quota(session, caller.organisation_id, settings.webhooks_max_endpoints)
    if personal_data:
        _require_personal_data_rights(caller, caller.organisation_id, url, settings)


async def create(
    session: WriteSession,
    caller: Caller,
    cipher: SecretCipher,
    settings: WebhooksSettings,
    *,
    url: str,
    event_types: Sequence[str],
    description: str,
    wanted: EndpointFilters,
    headers: Mapping[str, str],
    personal_data: bool = False,
    ordered: bool = False,
    max_per_second: int | None = None,
    max_concurrency: int | None = None,
) -> tuple[WebhookEndpoint, str]:
    """Create an endpoint of the caller's organisation (for the centre: of all events); return it and its secret.

    A challenge is sent to its URL, unless the settings require none. The URL has passed `require_callable`.

    Raise `Forbidden` for events or personal data that the caller may not read, `Invalid` for a filter by something
    that does not exist, a header that is not allowed or a host that may not get personal data, `Conflict` when the
    organisation has the maximum number of endpoints, `TooManyRequests` for too many challenges.
    """
    await _lock_quota(session, caller.organisation_id)
    await require_creatable(
        session,
        caller,
        settings,
        url=url,
        event_types=event_types,
        wanted=wanted,
        headers=headers,
        personal_data=personal_data,
    )
    secret = new_secret()
    endpoint = WebhookEndpoint(
        id=new_id(),
        organisation_id=caller.organisation_id,
        url=url,
        description=description,
        event_types=list(dict.fromkeys(event_types)),
        organisation_subtree=list(dict.fromkeys(wanted.organisation_subtree)),
        topics=list(dict.fromkeys(wanted.topics)),
        municipalities=list(dict.fromkeys(wanted.municipalities)),
        secret=cipher.encrypt(SigningSecrets(secret)),
        headers=cipher.encrypt_headers(headers) if headers else None,
        header_names=list(headers),
        active=True,
        personal_data=personal_data,
        verified_at=_unless_required(settings),
        ordered=ordered,
        max_per_second=max_per_second,
        max_concurrency=max_concurrency,
        created_by=caller.actor,
        owner_id=UUID(caller.subject),
        version=1,
    )
    if personal_data:
        await _record_consent_if_allowed(session, caller, endpoint, ())
    session.add(endpoint)
    await session.flush()
    await claim_turns.lock(session, endpoint.id)
    await _request_verification(session, caller, settings, endpoint)
    return endpoint, secret


def _unless_required(settings: WebhooksSettings) -> datetime | None:
    """Return when a new URL counts as verified: now if the settings require no challenge, None if they do."""
    return None if settings.webhooks_require_verification else clock.now()


async def _request_verification(
    session: WriteSession, caller: Caller, settings: WebhooksSettings, endpoint: WebhookEndpoint
) -> None:
    """Send a challenge to an unverified endpoint, unless nothing may be sent to it."""
    if endpoint.verified_at is None and endpoint.active and endpoint.suspended_at is None:
        await verification.request(session, caller, endpoint, settings.webhooks_tests_per_minute)


async def require_callable(url: str, settings: WebhooksSettings, *, https_only: bool) -> None:
    """Raise `Invalid` unless the URL is well-formed and its host has addresses that may all be called.

    The host is looked up, which takes seconds, so this is called outside transactions, and only for callers who
    may save the URL: others must not learn what names resolve to.
    """
    try:
        await check_url(url, settings.webhooks_allowed_networks, https_only=https_only)
    except UrlNotAllowed as refused:
        raise Invalid.field("/url", str(refused)) from refused


async def _lock_quota(session: WriteSession, organisation_id: UUID | None) -> None:
    # Two concurrent requests must not both create the last allowed endpoint (TOCTOU).
    await session.execute(
        select(func.pg_advisory_xact_lock(func.hashtextextended(f"webhooks\n{organisation_id}", 0)))
    )


async def _check_quota(session: AsyncSession, organisation_id: UUID | None, limit: int) -> None:
    count = await session.scalar(
        select(func.count()).where(WebhookEndpoint.organisation_id.is_not_distinct_from(organisation_id))
    )
    if (count or 0) >= limit:
        holder = "The centre" if organisation_id is None else "The organisation"
        raise Conflict(
            f"{holder} has {count} endpoints; the limit is {limit} (GOSPABLIK_WEBHOOKS_MAX_ENDPOINTS): delete at "
            "least one first"
        )


def _require_types(
    caller: Caller, event_types: Sequence[str], organisation_id: UUID | None, lineage: Sequence[UUID]
) -> None:
    """Raise `Forbidden` naming each event type that the caller may not read in this organisation."""
    errors = [
        FieldError(pointer=f"/event_types/{index}", detail=f"«{kind}» needs the right «{EVENT_RIGHTS[kind]}»")
        for index, subscription in enumerate(event_types)
        for kind in subscribed_types([subscription])
        if not caller.may_access(EVENT_RIGHTS[kind], organisation_id, lineage)
    ]
    if errors:
        raise Forbidden("; ".join(error.detail for error in errors), errors=errors)


def _require_personal_data_rights(
    caller: Caller, organisation_id: UUID | None, url: str, settings: WebhooksSettings
) -> None:
    """Raise `Forbidden` unless the caller may read unmasked texts of the organisation, `Invalid` for a host that
    is not listed.
    """
    for right in entitlements.PERSONAL_DATA_RIGHTS:
        caller.require(right)
    if caller.organisation_id != organisation_id:
        raise Forbidden("Only the endpoint's own organisation may ask for personal data")
    if not entitlements.is_listed(url, settings.webhooks_personal_data_hosts):
        raise Invalid.field(
            "/personal_data",
            "The operator must first add the URL's host to GOSPABLIK_WEBHOOKS_PERSONAL_DATA_HOSTS",
        )


async def _record_consent_if_allowed(
    session: AsyncSession, caller: Caller, endpoint: WebhookEndpoint, lineage: Sequence[UUID]
) -> None:
    """Record the caller's consent if the caller is a person who may consent: the request counts as consent."""
    may = caller.may_access(Right.WEBHOOKS_CONSENT, endpoint.organisation_id, lineage)
    if may and await _is_person(session, caller):
        endpoint.consent_by, endpoint.consent_at = UUID(caller.subject), clock.now()


async def _is_person(session: AsyncSession, caller: Caller) -> bool:
    return await session.scalar(select(Person.id).where(Person.id == UUID(caller.subject))) is not None


async def list_endpoints(session: AsyncSession, caller: Caller, paging: Paging) -> Sequence[WebhookEndpoint]:
    """Return the endpoints in the caller's scope, newest first, one more than the page holds."""
    query = select(WebhookEndpoint).where(caller.scope(WebhookEndpoint.organisation_id))
    after = paging.after((WebhookEndpoint.id,), (UUID,))
    if after is not None:
        query = query.where(after)
    return (await session.scalars(query.order_by(WebhookEndpoint.id.desc()).limit(paging.limit + 1))).all()


async def get(
    session: AsyncSession, caller: Caller, endpoint_id: UUID, *, lock: Literal["update", "share"] | None = None
) -> WebhookEndpoint:
    """Return an endpoint, with its row locked if `lock` is given. Raise `NotFound` outside the caller's scope."""
    query = select(WebhookEndpoint).where(
        WebhookEndpoint.id == endpoint_id, caller.scope(WebhookEndpoint.organisation_id)
    )
    endpoint = await session.scalar(query if lock is None else query.with_for_update(read=lock == "share"))
    if endpoint is None:
        raise NotFound("No such endpoint")
    return endpoint


async def require_version(session: AsyncSession, caller: Caller, endpoint_id: UUID, version: int | None) -> None:
    """Raise `NotFound` outside the caller's scope, `PreconditionFailed` for an outdated version."""
    check_version((await get(session, caller, endpoint_id)).version, version)


async def change(
    session: WriteSession,
    caller: Caller,
    cipher: SecretCipher,
    settings: WebhooksSettings,
    endpoint_id: UUID,
    *,
    version: int | None,
    changes: Mapping[str, Any],
) -> WebhookEndpoint:
    """Update the given fields. Deactivation fails pending deliveries, which can be retried; activation enables a
    disabled endpoint again. While an endpoint is paused, its deliveries wait.

    A new URL has passed `require_callable`; it must be verified, as that of a new endpoint. A caller who changes
    the destination or the content becomes the owner. A new URL, other headers and other organisations need a new
    consent to personal data.

    Raise `NotFound`, `PreconditionFailed` for an outdated `version`, `Forbidden` when the caller may not read the
    events or personal data that would be sent, `Invalid` as in `create`, `TooManyRequests` for too many
    challenges.
    """
    endpoint = await get(session, caller, endpoint_id, lock="update")
    check_version(endpoint.version, version)
    was_suspended = endpoint.suspended_at is not None
    changed = _apply(cipher, settings, endpoint, changes)
    await _apply_to_claims(session, endpoint, changed)
    if {"active", "url", "headers"} & changed or ("paused" in changed and not endpoint.paused):
        # Failures at the former URL or with former headers do not count; a paused or inactive endpoint received
        # nothing.
        await health.restart(session, endpoint.id)
    if changed & OWNERSHIP_FIELDS or (endpoint.personal_data and "personal_data" in changed):
        await _decide_content(session, caller, settings, endpoint, changed)
        if was_suspended:
            # A suspended endpoint received nothing, so its earlier failures say nothing about the receiver now.
            await health.restart(session, endpoint.id)
    if not endpoint.personal_data:
        endpoint.consent_by = endpoint.consent_at = None
    if "url" in changed and not endpoint.active:
        # No challenge is requested now, and the former one says nothing about this URL.
        endpoint.verification_id = None
    if changes:
        endpoint.version += 1
    await session.flush()
    # While the endpoint was paused, its challenge may have failed: then another one is sent.
    resumed = "paused" in changed and not endpoint.paused
    needs_challenge = resumed and not await verification.is_pending(session, endpoint)
    if {"url", "active"} & changed or (was_suspended and endpoint.suspended_at is None) or needs_challenge:
        await _request_verification(session, caller, settings, endpoint)
    if changes.get("active") is False:
        await pending_deliveries.fail_for_endpoints(session, [endpoint.id], "the endpoint was deactivated")
    return endpoint


def _apply(
    cipher: SecretCipher, settings: WebhooksSettings, endpoint: WebhookEndpoint, changes: Mapping[str, Any]
) -> set[str]:
    """Set the given fields; return the names of those that differ from before. Raise `Invalid` for a header."""
    changed = set()
    for name, value in changes.items():
        if name == "headers":
            is_new = _set_headers(cipher, endpoint, value)
        else:
            wanted = list(dict.fromkeys(value)) if name in _SETS else value
            is_new = getattr(endpoint, name) != wanted
            setattr(endpoint, name, wanted)
        if is_new:
            changed.add(name)
    if changes.get("active") is True:
        endpoint.disabled_at = endpoint.disabled_reason = None
    if "url" in changed:
        endpoint.verified_at = _unless_required(settings)
    return changed


async def _decide_content(
    session: AsyncSession,
    caller: Caller,
    settings: WebhooksSettings,
    endpoint: WebhookEndpoint,
    changed: Set[str],
) -> None:
    """Make the caller, who changed what is sent or where, the owner; remove a consent that is no longer valid.

    Raise `Forbidden` for events or personal data that the caller may not read, `Invalid` for an unknown filter.
    """
    await filters.require_valid(
        session,
        EndpointFilters(
            topics=endpoint.topics if "topics" in changed else (),
            municipalities=endpoint.municipalities if "municipalities" in changed else (),
        ),
    )
    lineage = await _require_content(session, caller, endpoint)
    if endpoint.personal_data:
        _require_personal_data_rights(caller, endpoint.organisation_id, endpoint.url, settings)
    _set_owner(endpoint, caller)
    if CONSENT_FIELDS & changed:
        endpoint.consent_by = endpoint.consent_at = None
    if endpoint.personal_data and endpoint.consent_at is None:
        await _record_consent_if_allowed(session, caller, endpoint, lineage)


async def _require_content(session: AsyncSession, caller: Caller, endpoint: WebhookEndpoint) -> Sequence[UUID]:
    """Return the lineage of the endpoint's organisation. Raise `Forbidden` for events the caller may not read."""
    lineage = await entitlements.lineage_of(session, endpoint.organisation_id)
    _require_types(caller, endpoint.event_types, endpoint.organisation_id, lineage)
    await filters.require_subtree(
        session, caller, endpoint.event_types, endpoint.organisation_id, endpoint.organisation_subtree
    )
    return lineage


def _set_headers(cipher: SecretCipher, endpoint: WebhookEndpoint, headers: Mapping[str, str]) -> bool:
    """Store the headers and return whether they differ from the stored ones. Raise `Invalid`."""
    require_valid_headers(headers)
    try:
        stored = {} if endpoint.headers is None else cipher.decrypt_headers(endpoint.headers)
    except UndecryptableSecret:
        stored = None
    if stored == headers:
        return False
    endpoint.headers = cipher.encrypt_headers(headers) if headers else None
    endpoint.header_names = list(headers)
    return True


async def _apply_to_claims(session: WriteSession, endpoint: WebhookEndpoint, changed: set[str]) -> None:
    """Apply a changed order or limit to claims. Locks the endpoint's turn, so that no worker claims its deliveries
    before the transaction ends.
    """
    if not changed & CLAIM_FIELDS:
        return
    await claim_turns.lock(session, endpoint.id)
    if not endpoint.ordered:
        await ordering.release(session, endpoint.id)


def _set_owner(endpoint: WebhookEndpoint, caller: Caller) -> None:
    endpoint.owner_id = UUID(caller.subject)
    endpoint.suspended_at = endpoint.suspended_reason = None


async def take_over(
    session: WriteSession, caller: Caller, settings: WebhooksSettings, endpoint_id: UUID
) -> WebhookEndpoint:
    """Make the caller the owner and end a suspension. Raise `Forbidden` without the rights for its event types."""
    endpoint = await get(session, caller, endpoint_id, lock="update")
    await _require_content(session, caller, endpoint)
    was_suspended = endpoint.suspended_at is not None
    _set_owner(endpoint, caller)
    await health.restart(session, endpoint.id)
    endpoint.version += 1
    await session.flush()
    if was_suspended:
        await _request_verification(session, caller, settings, endpoint)
    return endpoint


async def consent(
    session: WriteSession, caller: Caller, endpoint_id: UUID, *, version: int | None
) -> WebhookEndpoint:
    """Record the caller's consent to sending personal data to the endpoint as the caller saw it.

    Raise `PreconditionFailed` for an outdated `version`, `Forbidden` for an API client, `Conflict` when the
    endpoint does not ask for personal data.
    """
    endpoint = await get(session, caller, endpoint_id, lock="update")
    check_version(endpoint.version, version)
    if not await _is_person(session, caller):
        raise Forbidden("Only a person can consent, not an API client")
    if not endpoint.personal_data:
        raise Conflict("The endpoint does not ask for personal data: there is nothing to consent to")
    endpoint.consent_by, endpoint.consent_at = UUID(caller.subject), clock.now()
    endpoint.version += 1
    await session.flush()
    return endpoint


async def withdraw_consent(session: WriteSession, caller: Caller, endpoint_id: UUID) -> WebhookEndpoint:
    """Withdraw the consent: personal data is masked from now on, also in pending deliveries."""
    endpoint = await get(session, caller, endpoint_id, lock="update")
    if endpoint.consent_at is not None:
        endpoint.consent_by = endpoint.consent_at = None
        endpoint.version += 1
        await session.flush()
    return endpoint


async def delete_endpoint(session: WriteSession, caller: Caller, endpoint_id: UUID) -> None:
    """Delete the endpoint with its deliveries."""
    endpoint = await get(session, caller, endpoint_id, lock="update")
    # The turn, which is deleted with the endpoint, is locked before deliveries.
    await claim_turns.lock(session, endpoint.id)
    await pending_deliveries.lock_deliveries(session, [endpoint.id])
    await session.execute(delete(WebhookDelivery).where(WebhookDelivery.endpoint_id == endpoint.id))
    # Deliveries are copies of events: the audit row of the endpoint is enough.
    await recorder.record(session, WebhookDelivery)
    await session.delete(endpoint)
    await session.flush()


async def rotate_secret(
    session: WriteSession,
    caller: Caller,
    cipher: SecretCipher,
    endpoint_id: UUID,
    *,
    overlap: timedelta,
    version: int | None,
) -> tuple[WebhookEndpoint, str]:
    """Issue a new secret and return it with the endpoint. Raise `PreconditionFailed` for an outdated `version`.

    During the overlap attempts are signed with the old secret too, so that receivers can switch to the new one.
    """
    endpoint = await get(session, caller, endpoint_id, lock="update")
    check_version(endpoint.version, version)
    rotated = cipher.decrypt(endpoint.secret).rotated(clock.now(), overlap)
    endpoint.secret = cipher.encrypt(rotated)
    endpoint.version += 1
    await session.flush()
    return endpoint, rotated.current


async def send_test(
    session: WriteSession, caller: Caller, endpoint_id: UUID, limit: int
) -> tuple[WebhookDelivery, int]:
    """Queue a `webhook.test` delivery to this endpoint; return it and how many tests are left this minute.

    Raise `Conflict` for an endpoint that is inactive, suspended, paused or not verified, `TooManyRequests` beyond
    `limit` per minute.
    """
    endpoint = await get(session, caller, endpoint_id, lock="update")
    require_receiving(endpoint)
    _require_running(endpoint)
    if endpoint.verified_at is None:
        raise Conflict("The endpoint is not verified: its receiver must repeat the challenge first")
    left = await direct_deliveries.take_from_limit(session, endpoint.organisation_id, limit)
    data = WebhookTest(endpoint_id=endpoint.id)
    delivery = await direct_deliveries.queue(session, endpoint, caller.actor, data, new_id())
    return delivery, left


async def send_verification(
    session: WriteSession, caller: Caller, endpoint_id: UUID, limit: int
) -> tuple[WebhookDelivery, int]:
    """Queue another `webhook.verification` delivery; return it and how many requests are left this minute.

    Raise `Conflict` for an endpoint that is inactive, suspended, paused or already verified, `TooManyRequests`
    beyond `limit` per minute.
    """
    endpoint = await get(session, caller, endpoint_id, lock="update")
    require_receiving(endpoint)
    _require_running(endpoint)
    if endpoint.verified_at is not None:
        raise Conflict("The endpoint is already verified")
    return await verification.request(session, caller, endpoint, limit)


def _require_running(endpoint: WebhookEndpoint) -> None:
    if endpoint.paused:
        raise Conflict("The endpoint is paused: resume it first")


def require_receiving(endpoint: WebhookEndpoint) -> None:
    """Raise `Conflict` for an endpoint that is inactive, disabled or suspended."""
    if endpoint.disabled_reason is not None:
        raise Conflict(f"The endpoint is disabled because {endpoint.disabled_reason}: activate it first")
    if not endpoint.active:
        raise Conflict("The endpoint is inactive: activate it first")
    if endpoint.suspended_at is not None:
        raise Conflict(f"The endpoint is suspended because {endpoint.suspended_reason}: take it over first")
