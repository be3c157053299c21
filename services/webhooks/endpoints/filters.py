"""Filters of endpoints: by organisation, topic and municipality. Checks what a caller asks for."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from services.webhooks.endpoints.entitlements import lineages_of
from services.webhooks.event_catalogue.catalogue import subscribed_types
from shared.auth.callers import Caller
from shared.contracts.catalogue import EVENT_RIGHTS
from shared.http.problems import FieldError, Forbidden, Invalid
from shared.tables.appeals_classification import Topic
from shared.tables.registry import Municipality


@dataclass(frozen=True)
class EndpointFilters:
    """The filters of an endpoint: an event must match each one that is not empty."""

    organisation_subtree: Sequence[UUID] = ()
    topics: Sequence[UUID] = ()
    municipalities: Sequence[str] = ()


async def require_valid(session: AsyncSession, filters: EndpointFilters) -> None:
    """Raise `Invalid` naming each topic or municipality that does not exist."""
    topics = await _unknown(session, Topic.id, filters.topics)
    municipalities = await _unknown(session, Municipality.oktmo, filters.municipalities)
    errors = [
        *(
            FieldError(pointer=f"/topics/{index}", detail="There is no such topic or topic group")
            for index in topics
        ),
        *(
            FieldError(
                pointer=f"/municipalities/{index}", detail="There is no such municipality: give its OKTMO code"
            )
            for index in municipalities
        ),
    ]
    if errors:
        raise Invalid("The filter is invalid", errors=errors)


async def _unknown(
    session: AsyncSession, column: InstrumentedAttribute[Any], values: Sequence[Any]
) -> Iterable[int]:
    """Return the indexes of the values that the column does not contain."""
    if not values:
        return ()
    known = set(await session.scalars(select(column).where(column.in_(values))))
    return (index for index, value in enumerate(values) if value not in known)


async def require_subtree(
    session: AsyncSession,
    caller: Caller,
    event_types: Sequence[str],
    organisation_id: UUID | None,
    subtree: Sequence[UUID],
) -> None:
    """Check the organisations whose events, with those of the organisations below, an endpoint asks for.

    Raise `Invalid` for an organisation that does not exist or is not under the endpoint's own, `Forbidden` for one
    whose events the caller may not read, or not those of the organisations below it.
    """
    lineages = await lineages_of(session, subtree)
    unknown, refused = [], []
    for index, wanted in enumerate(subtree):
        pointer, lineage = f"/organisation_subtree/{index}", lineages.get(wanted)
        if lineage is None:
            unknown.append(FieldError(pointer=pointer, detail="There is no such organisation"))
        elif organisation_id is not None and organisation_id not in lineage:
            detail = "The organisation is neither the endpoint's own nor under it"
            unknown.append(FieldError(pointer=pointer, detail=detail))
        else:
            rights = {EVENT_RIGHTS[kind] for kind in subscribed_types(event_types)}
            refused += [
                FieldError(
                    pointer=pointer,
                    detail=f"You lack the right «{right}» for this organisation with all those below it",
                )
                for right in sorted(rights)
                if not caller.may_access_subtree(right, lineage)
            ]
    if unknown:
        raise Invalid("The filter is invalid", errors=unknown)
    if refused:
        raise Forbidden("; ".join(error.detail for error in refused), errors=refused)
