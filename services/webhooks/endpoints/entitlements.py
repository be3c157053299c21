"""Entitlements of endpoints: an endpoint receives only what its owner may read now.

The owner is the person or API client that last decided where an endpoint's events go. An endpoint whose owner was
locked, deactivated, moved or lost a right is suspended, until a person or client with the rights takes it over.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession
from yarl import URL

from services.webhooks.endpoints import pending_deliveries
from services.webhooks.event_catalogue.catalogue import DIRECT_EVENT_TYPES, subscribed_types
from shared import clock
from shared.auth import token_recheck
from shared.auth.callers import Caller
from shared.auth.rights import Right
from shared.contracts.catalogue import EVENT_RIGHTS
from shared.contracts.webhook_events import WebhookEndpointSuspended
from shared.database.id_conditions import is_one_of
from shared.database.sessions import WriteSession
from shared.events.outbox import NewEvent, emit
from shared.tables.registry import Organisation
from shared.tables.webhooks import WebhookEndpoint

PERSONAL_DATA_RIGHTS = (Right.APPEALS_READ, Right.MESSAGES_READ)


@dataclass(frozen=True)
class Entitlement:
    """What one endpoint may receive. `masking_reason` is None for an endpoint that receives unmasked texts."""

    owner: Caller | None
    owner_id: UUID | None
    organisation_id: UUID | None
    lineage: Sequence[UUID]
    suspension_reason: str | None
    masking_reason: str | None

    def refusal_reason(self, event_type: str) -> str | None:
        """Return why an event of this type must not be sent to the endpoint; None if it may be sent.

        A test and a challenge are about the endpoint alone: they need no right to read.
        """
        if event_type in DIRECT_EVENT_TYPES:
            return self.suspension_reason
        return self.suspension_reason or refusal_reason(
            self.owner, [event_type], self.organisation_id, self.lineage
        )

    def subordinate_refusal_reason(
        self, event_type: str, organisation_id: UUID, lineage: Sequence[UUID]
    ) -> str | None:
        """Return why an event of an organisation other than the endpoint's must not be sent; None if it may be.

        The endpoint has an organisation, and may receive the type.
        """
        if self.organisation_id not in lineage:
            return "the event's organisation is not under the endpoint's"
        right = EVENT_RIGHTS[event_type]
        if self.owner is None or not self.owner.may_access(right, organisation_id, lineage):
            return f"its owner lacks the right «{right}» for the event's organisation"
        return None


def refusal_reason(
    owner: Caller | None,
    event_types: Collection[str],
    organisation_id: UUID | None,
    lineage: Collection[UUID],
    subtree: Collection[Collection[UUID]] = (),
) -> str | None:
    """Return why the owner may not receive these events of this organisation; None if the owner may.

    `subtree`: the lineages of the organisations that the endpoint asks for with all those below them.
    """
    if owner is None:
        return "its owner no longer has access"
    if not owner.may_access(Right.WEBHOOKS_MANAGE, organisation_id, lineage):
        return f"its owner lacks the right «{Right.WEBHOOKS_MANAGE}» for this organisation"
    for event_type in subscribed_types(event_types):
        right = EVENT_RIGHTS[event_type]
        if not owner.may_access(right, organisation_id, lineage):
            return f"its owner lacks the right «{right}», which «{event_type}» needs"
        if not all(owner.may_access_subtree(right, filtered) for filtered in subtree):
            return f"its owner lacks the right «{right}» for an organisation of its filter with those below it"
    if organisation_id is not None and any(organisation_id not in filtered for filtered in subtree):
        return "an organisation of its filter is no longer under the endpoint's organisation"
    return None


async def lineage_of(session: AsyncSession, organisation_id: UUID | None) -> Sequence[UUID]:
    """Return the ids from the top of the organisation tree down to this organisation; none for the centre."""
    lineage = await session.scalar(select(Organisation.lineage).where(Organisation.id == organisation_id))
    return lineage or ()


async def lineages_of(session: AsyncSession, ids: Collection[UUID]) -> dict[UUID, Sequence[UUID]]:
    """Return the lineages of these organisations by id; an unknown organisation has none."""
    if not ids:
        return {}
    rows = await session.execute(
        select(Organisation.id, Organisation.lineage).where(is_one_of(Organisation.id, ids))
    )
    return {row.id: row.lineage for row in rows}


async def load_entitlements(
    session: AsyncSession, hosts: Collection[str], ids: Collection[UUID] | None = None
) -> dict[UUID, Entitlement]:
    """Return what the endpoints may receive, by endpoint id.

    Without `ids` all active endpoints that are not suspended are returned. `hosts` may receive personal data.
    """
    query = select(
        WebhookEndpoint.id,
        WebhookEndpoint.owner_id,
        WebhookEndpoint.organisation_id,
        WebhookEndpoint.event_types,
        WebhookEndpoint.organisation_subtree,
        WebhookEndpoint.url,
        WebhookEndpoint.personal_data,
        WebhookEndpoint.consent_at,
        Organisation.lineage,
    ).outerjoin(Organisation, Organisation.id == WebhookEndpoint.organisation_id)
    if ids is None:
        query = query.where(WebhookEndpoint.active, WebhookEndpoint.suspended_at.is_(None))
    else:
        query = query.where(WebhookEndpoint.id.in_(ids))
    rows = (await session.execute(query)).all()
    owners = await token_recheck.load_callers(session, {row.owner_id for row in rows if row.owner_id})
    lineages = await lineages_of(session, {of for row in rows for of in row.organisation_subtree})
    by_endpoint = {}
    for row in rows:
        owner, lineage = owners.get(row.owner_id), row.lineage or ()
        masked: str | None = "personal data was not asked for"
        if row.personal_data:
            masked = masking_reason(
                owner, row.organisation_id, row.url, hosts, consented=row.consent_at is not None
            )
        by_endpoint[row.id] = Entitlement(
            owner=owner,
            owner_id=row.owner_id,
            organisation_id=row.organisation_id,
            lineage=lineage,
            suspension_reason=refusal_reason(
                owner,
                row.event_types,
                row.organisation_id,
                lineage,
                [lineages.get(of, ()) for of in row.organisation_subtree],
            ),
            masking_reason=masked,
        )
    return by_endpoint


def masking_reason(
    owner: Caller | None, organisation_id: UUID | None, url: str, hosts: Collection[str], *, consented: bool
) -> str | None:
    """Return why personal data is masked for an endpoint that asks for it; None if it is not masked."""
    if (
        owner is None
        or owner.organisation_id != organisation_id
        or not owner.rights.issuperset(PERSONAL_DATA_RIGHTS)
    ):
        return "its owner may not read the messages of this organisation"
    if not is_listed(url, hosts):
        return "its host is not in GOSPABLIK_WEBHOOKS_PERSONAL_DATA_HOSTS"
    if not consented:
        return "nobody with the right «webhooks:consent» has consented yet"
    return None


def is_listed(url: str, hosts: Collection[str]) -> bool:
    """Return whether the URL's host may receive personal data."""
    return (URL(url).host or "").rstrip(".") in hosts


async def suspend_unentitled(session: WriteSession, entitlements_by_id: Mapping[UUID, Entitlement]) -> set[UUID]:
    """Suspend endpoints whose owner lacks the rights and fail their pending deliveries.

    An endpoint that is already suspended or has got another owner meanwhile is skipped, but its id is also
    returned.
    """
    refused = {
        of: entitlement
        for of, entitlement in sorted(entitlements_by_id.items())
        if entitlement.suspension_reason is not None
    }
    for endpoint_id, entitlement in refused.items():
        changed = await session.scalar(
            update(WebhookEndpoint)
            .where(
                WebhookEndpoint.id == endpoint_id,
                WebhookEndpoint.suspended_at.is_(None),
                WebhookEndpoint.owner_id.is_not_distinct_from(entitlement.owner_id),
            )
            .values(
                suspended_at=clock.now(),
                suspended_reason=entitlement.suspension_reason,
                version=WebhookEndpoint.version + 1,
                updated_at=clock.now(),
            )
            .returning(WebhookEndpoint.id)
            .execution_options(synchronize_session=False)
        )
        if changed is None:
            continue
        await pending_deliveries.fail_for_endpoints(
            session, [endpoint_id], f"the endpoint was suspended: {entitlement.suspension_reason}"
        )
        await emit(
            session,
            NewEvent(
                data=WebhookEndpointSuspended(reason=entitlement.suspension_reason),
                subject_id=endpoint_id,
                organisation_id=entitlement.organisation_id,
                actor="webhooks",
            ),
        )
    return set(refused)
