"""Endpoints: who gets which events where, and the secret that signs them."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.webhooks.event_types import TEST, body_of
from services.webhooks.signing import Secrets, Vault, new_secret
from shared import audit, clock
from shared.access import Caller, Right
from shared.database import WriteSession
from shared.events import NewEvent, emit
from shared.ids import new_id
from shared.pagination import Paging
from shared.preconditions import check_version
from shared.problems import Conflict, Forbidden, NotFound
from shared.tables.events import Event
from shared.tables.webhooks import WebhookDelivery, WebhookEndpoint


async def create(
    session: WriteSession,
    caller: Caller,
    vault: Vault,
    *,
    url: str,
    event_types: Sequence[str],
    description: str,
    personal_data: bool = False,
) -> tuple[WebhookEndpoint, str]:
    """A new endpoint of the caller's organisation (of the centre: all events), and its secret.

    Raises `Forbidden` for `personal_data` that the caller may not read.
    """
    if personal_data:
        _require_reading(caller, caller.organisation_id)
    secret = new_secret()
    endpoint = WebhookEndpoint(
        id=new_id(),
        organisation_id=caller.organisation_id,
        url=url,
        description=description,
        event_types=list(dict.fromkeys(event_types)),
        secret=vault.seal(Secrets(secret)),
        active=True,
        personal_data=personal_data,
        created_by=caller.actor,
        version=1,
    )
    session.add(endpoint)
    await session.flush()
    return endpoint, secret


def _require_reading(caller: Caller, organisation_id: UUID | None) -> None:
    """Whoever asks for words unmasked may read them here, and asks for their own organisation alone."""
    caller.require(Right.APPEALS_READ)
    caller.require(Right.MESSAGES_READ)
    if caller.organisation_id != organisation_id:
        raise Forbidden("Personal data is asked for by the endpoint's own organisation alone")


async def listed(session: AsyncSession, caller: Caller, paging: Paging) -> Sequence[WebhookEndpoint]:
    """The caller's endpoints, newest first, one more than the page holds."""
    query = select(WebhookEndpoint).where(caller.scope(WebhookEndpoint.organisation_id))
    after = paging.after((WebhookEndpoint.id,), (UUID,))
    if after is not None:
        query = query.where(after)
    return (await session.scalars(query.order_by(WebhookEndpoint.id.desc()).limit(paging.limit + 1))).all()


async def get(session: AsyncSession, caller: Caller, endpoint_id: UUID, *, lock: bool = False) -> WebhookEndpoint:
    """One endpoint; `lock` keeps others from changing it. Raises `NotFound` for none or another's."""
    query = select(WebhookEndpoint).where(
        WebhookEndpoint.id == endpoint_id, caller.scope(WebhookEndpoint.organisation_id)
    )
    found = await session.scalar(query.with_for_update() if lock else query)
    if found is None:
        raise NotFound(f"No endpoint {endpoint_id}")
    return found


async def change(
    session: WriteSession, caller: Caller, endpoint_id: UUID, version: int | None, changes: dict[str, Any]
) -> WebhookEndpoint:
    """Change the given fields. Switching off gives up what still waits, visibly and retriably.

    Raises `Forbidden` when citizens' words would go, unmasked, where a caller sends them who may not read them.
    """
    endpoint = await get(session, caller, endpoint_id, lock=True)
    check_version(endpoint.version, version)
    if changes.get("personal_data", endpoint.personal_data) and {"personal_data", "url"} & changes.keys():
        _require_reading(caller, endpoint.organisation_id)
    if "event_types" in changes:
        changes = changes | {"event_types": list(dict.fromkeys(changes["event_types"]))}
    for name, value in changes.items():
        setattr(endpoint, name, value)
    if changes:
        endpoint.version += 1
    await session.flush()
    if changes.get("active") is False:
        await give_up_waiting(session, [endpoint.id], "the endpoint was switched off")
    return endpoint


async def remove(session: WriteSession, caller: Caller, endpoint_id: UUID) -> None:
    """Delete the endpoint with its deliveries."""
    endpoint = await get(session, caller, endpoint_id, lock=True)
    await session.execute(delete(WebhookDelivery).where(WebhookDelivery.endpoint_id == endpoint.id))
    # Deliveries are copies of events and go with their endpoint, whose own row tells of it.
    await audit.record(session, WebhookDelivery)
    await session.delete(endpoint)
    await session.flush()


async def rotate(
    session: WriteSession, caller: Caller, vault: Vault, endpoint_id: UUID
) -> tuple[WebhookEndpoint, str]:
    """A new secret. For 24 hours attempts are signed with the old one too, so receivers can change over."""
    endpoint = await get(session, caller, endpoint_id, lock=True)
    rotated = vault.open(endpoint.secret).rotated(clock.now())
    endpoint.secret = vault.seal(rotated)
    endpoint.version += 1
    await session.flush()
    return endpoint, rotated.current


async def send_test(session: WriteSession, caller: Caller, endpoint_id: UUID) -> WebhookDelivery:
    """Write a `webhook.test` for this endpoint alone. Raises `Conflict` for one that is switched off."""
    endpoint = await get(session, caller, endpoint_id, lock=True)
    if not endpoint.active:
        raise Conflict("The endpoint is switched off")
    now = clock.now()
    delivery_id = new_id()
    data = {"endpoint_id": str(endpoint.id)}
    await emit(
        session,
        NewEvent(
            type=TEST,
            subject_id=delivery_id,
            organisation_id=endpoint.organisation_id,
            actor=caller.actor,
            data=data,
            occurred_at=now,
        ),
    )
    event_id = await session.scalar(select(Event.id).where(Event.subject_id == delivery_id))
    delivery = WebhookDelivery(
        id=delivery_id,
        endpoint_id=endpoint.id,
        event_id=event_id,
        event_type=TEST,
        organisation_id=endpoint.organisation_id,
        payload=body_of(TEST, now, data),
        status="pending",
        attempts=0,
        next_attempt_at=now,
    )
    session.add(delivery)
    await session.flush()
    return delivery


async def switch_off(session: WriteSession, ids: Sequence[UUID], reason: str) -> None:
    """Switch endpoints off because their receivers asked for it; what still waits for them is given up."""
    await session.execute(
        update(WebhookEndpoint)
        .where(WebhookEndpoint.id.in_(ids), WebhookEndpoint.active)
        .values(active=False, version=WebhookEndpoint.version + 1, updated_at=clock.now())
        .execution_options(synchronize_session=False)
    )
    await give_up_waiting(session, ids, reason)


async def give_up_waiting(session: WriteSession, ids: Sequence[UUID], reason: str) -> None:
    """Mark what waits for these endpoints as failed, with the reason; it can be retried by hand."""
    await session.execute(
        update(WebhookDelivery)
        .where(WebhookDelivery.endpoint_id.in_(ids), WebhookDelivery.status == "pending")
        .values(status="failed", last_error=reason)
        .execution_options(synchronize_session=False)
    )
    # It follows from what happened to the endpoint, which is recorded.
    await audit.record(session, WebhookDelivery)
